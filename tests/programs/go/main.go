// SPDX-License-Identifier: Apache-2.0

// ask HOST PORT COUNT: connect so often, one connection after the other, and print what answers WHO.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strconv"
)

func ask(address string) error {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer connection.Close()
	if _, err := fmt.Fprintln(connection, "WHO"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		return err
	}
	fmt.Print(answer, connection.RemoteAddr(), "\n")
	return nil
}

func main() {
	count, err := strconv.Atoi(os.Args[3])
	for i := 0; err == nil && i < count; i++ {
		err = ask(net.JoinHostPort(os.Args[1], os.Args[2]))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
