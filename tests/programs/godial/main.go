// SPDX-License-Identifier: Apache-2.0

// Connections of a Go program, and what can disturb them.
//
//	godial serve ADDRESS NAME       answer each connection with a line, NAME, and end it
//	godial dial|raw|http ADDRESS[,ADDRESS] COUNT GOROUTINES [stress]
//	godial watch ADDRESS            dial again and again and print who answers, until the file that END names is there; when
//	                                the file that DROP names is there, become another user, once
//	godial nothing                  begin and end
//
// raw: by the system call itself, from an address that may be read and not written, at the end of its page.
// What it saw is one line of JSON: who answered how often, the peers, failures, the median time of a dial. Where AFTER is
// set it begins when that file is there; where WAIT is set, once somebody answers whose name begins so, five seconds later at
// most. stress: garbage collections, a profiler, deep stacks, and children meanwhile.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

type report struct {
	Answers  map[string]int
	Peers    map[string]int
	Failures map[string]int
	Ns       int64
	GCs      uint32
	Profile  int
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(address, name string) {
	listener, err := net.Listen("tcp", address)
	check(err)
	for {
		connection, err := listener.Accept()
		check(err)
		go func() {
			fmt.Fprintln(connection, name)
			io.Copy(io.Discard, connection) // whose side ends it first has to remember it
			connection.Close()
		}()
	}
}

func dial(address string) (string, string, error) {
	connection, err := dialNet(address)
	if err != nil {
		return "", "", err
	}
	defer connection.Close()
	if tcp, ok := connection.(*net.TCPConn); ok {
		defer tcp.SetLinger(0)
	}
	if _, err := fmt.Fprintln(connection, "WHO"); err != nil {
		return "", "", err
	}
	answer, err := bufio.NewReaderSize(connection, 64).ReadString('\n')
	return strings.TrimSpace(answer), connection.RemoteAddr().String(), err
}

func readOnly(address string) (uintptr, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return 0, err
	}
	page, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return 0, err
	}
	at := page[4096-syscall.SizeofSockaddrInet4:]
	binary.NativeEndian.PutUint16(at, syscall.AF_INET)
	binary.BigEndian.PutUint16(at[2:], uint16(number))
	copy(at[4:8], net.ParseIP(host).To4())
	return uintptr(unsafe.Pointer(&at[0])), syscall.Mprotect(page, syscall.PROT_READ)
}

var raws sync.Map

func dialRaw(address string) (string, string, error) {
	at, ok := raws.Load(address)
	if !ok {
		made, err := readOnly(address)
		if err != nil {
			return "", "", err
		}
		at, _ = raws.LoadOrStore(address, made)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", "", err
	}
	defer syscall.Close(fd)
	_, _, failed := syscall.Syscall(syscall.SYS_CONNECT, uintptr(fd), at.(uintptr), syscall.SizeofSockaddrInet4)
	if failed != 0 {
		return "", "", failed
	}
	if _, err := syscall.Write(fd, []byte("WHO\n")); err != nil {
		return "", "", err
	}
	answer := make([]byte, 64)
	size, err := syscall.Read(fd, answer)
	if err != nil {
		return "", "", err
	}
	err = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	return strings.TrimSpace(string(answer[:size])), "", err
}

func exists(variable string) bool {
	_, err := os.Stat(os.Getenv(variable))
	return err == nil
}

// Until somebody answers whose name begins so, for five seconds.
func waitFor(name, address string) {
	for began := time.Now(); name != "" && time.Since(began) < 5*time.Second; time.Sleep(time.Millisecond) {
		answer, _, err := dial(address)
		check(err)
		if strings.HasPrefix(answer, name) {
			return
		}
	}
}

func watch(address string) {
	for dropped := false; !exists("END"); time.Sleep(5 * time.Millisecond) {
		if !dropped && exists("DROP") {
			dropped = true
			check(syscall.Setgid(65534))
			check(syscall.Setuid(65534))
			fmt.Println("dropped")
		}
		answer, _, err := dial(address)
		if err != nil {
			answer = err.Error()
		}
		fmt.Println(answer)
	}
}

var client = http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func get(address string) (string, string, error) {
	response, err := client.Get("http://" + address + "/")
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return strings.TrimSpace(string(body)), "", err
}

func deep(depth int, f func()) {
	var room [64]byte
	if depth == 0 {
		f()
		return
	}
	room[depth%len(room)] = 1
	deep(depth-1, f)
	_ = room
}

var garbage atomic.Value

func litter(stop *atomic.Bool) {
	for !stop.Load() {
		pile := make([][]byte, 0, 50)
		for i := 0; i < 50; i++ {
			pile = append(pile, make([]byte, 1<<12))
		}
		garbage.Store(pile)
		runtime.Gosched()
	}
}

func main() {
	if os.Args[1] == "serve" {
		serve(os.Args[2], os.Args[3])
	}
	switch os.Args[1] {
	case "nothing":
		return
	case "watch":
		watch(os.Args[2])
		return
	}
	ask := map[string]func(string) (string, string, error){"dial": dial, "raw": dialRaw, "http": get}[os.Args[1]]
	addresses := strings.Split(os.Args[2], ",")
	count, err := strconv.Atoi(os.Args[3])
	check(err)
	goroutines, err := strconv.Atoi(os.Args[4])
	check(err)
	stress := len(os.Args) > 5 && os.Args[5] == "stress"
	for os.Getenv("AFTER") != "" && !exists("AFTER") {
		time.Sleep(time.Millisecond)
	}
	waitFor(os.Getenv("WAIT"), addresses[0])

	told := report{Answers: map[string]int{}, Peers: map[string]int{}, Failures: map[string]int{}}
	var profile bytes.Buffer
	var stop atomic.Bool
	if stress {
		debug.SetGCPercent(5)
		runtime.SetCPUProfileRate(1000)
		check(pprof.StartCPUProfile(&profile))
		go litter(&stop)
	}
	var times []int64
	var left atomic.Int64
	var mutex sync.Mutex
	var all sync.WaitGroup
	left.Store(int64(count))
	for g := 0; g < goroutines; g++ {
		all.Add(1)
		go func(g int) {
			defer all.Done()
			for i := left.Add(-1); i >= 0; i = left.Add(-1) {
				one := func() {
					began := time.Now()
					address := addresses[i%int64(len(addresses))]
					answer, peer, err := ask(address)
					took := time.Since(began).Nanoseconds()
					mutex.Lock()
					defer mutex.Unlock()
					if err != nil {
						told.Failures[err.Error()]++
						return
					}
					if len(addresses) > 1 {
						answer = address + " " + answer
					}
					told.Answers[answer]++
					told.Peers[peer]++
					times = append(times, took)
				}
				if !stress {
					one()
					continue
				}
				deep((g*37+int(i))%200, one)
				if g == 0 && i%500 == 0 {
					check(exec.Command("/bin/true").Run())
				}
			}
		}(g)
	}
	all.Wait()
	if stress {
		stop.Store(true)
		pprof.StopCPUProfile()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		told.GCs, told.Profile = memory.NumGC, profile.Len()
	}
	if len(times) > 0 {
		sort.Slice(times, func(a, b int) bool { return times[a] < times[b] })
		told.Ns = times[len(times)/2]
	}
	check(json.NewEncoder(os.Stdout).Encode(told))
}
