# SPDX-License-Identifier: Apache-2.0
"""Programs that connect, give up root and connect again, and programs that start others as somebody else or in other namespaces: the
kernel and libc ask every thread of a process then, and ours must not be one that answers."""
import os
from typing import Dict, List

import pytest

from tests.programs.common import World
from tests.programs.servers import needs_real_root

pytestmark = [pytest.mark.clusters("double"), needs_real_root]

ASK = 'for _ in range(%d):\n with socket.create_connection(address) as s:\n  s.sendall(b"WHO\\n"); print(s.recv(100).decode().strip(), flush=True)\n'
PYTHON = "import ctypes, os, socket, sys\naddress = (sys.argv[1], int(sys.argv[2]))\n"
DROPS: Dict[str, List[str]] = {
    "python": ["python3", "-c", PYTHON + ASK % 3 + "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n" + ASK % 9 + "print(os.getresuid(), os.getresgid(), os.getgroups())"],
    "perl": ["perl", "-MIO::Socket::INET", "-e", """
        sub ask { for (1..$_[0]) { my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => $ARGV[1]) or die $!; print $s "WHO\\n"; print scalar <$s>; } }
        ask(3); $( = 65534; $) = "65534 65534"; $< = $> = 65534; ask(9); print "$< $> $( $)\\n";"""],
    "node": ["node", "-e", """
        const net = require("net"), [host, port] = process.argv.slice(1);
        const ask = n => n && net.connect(port, host, function () { this.end("WHO\\n"); this.on("data", d => process.stdout.write(d)).on("close", () => n > 1 ? ask(n - 1) : next()); });
        let next = () => { process.setgroups([]); process.setgid(65534); process.setuid(65534); next = () => console.log(process.getuid(), process.getgid(), process.getgroups()); ask(9); };
        ask(3);"""],
    "php": ["php", "-r", """
        function ask($n, $a) { for (; $n; $n--) { $s = stream_socket_client("tcp://$a[1]:$a[2]"); fwrite($s, "WHO\\n"); echo fgets($s); } }
        ask(3, $argv); posix_initgroups("nobody", 65534); posix_setgid(65534); posix_setuid(65534); ask(9, $argv); echo posix_getuid(), posix_getgid(), "\\n";"""],
}


@pytest.mark.parametrize("program", DROPS)
def test_it_gives_up_root_between_connections(world: World, program: str) -> None:
    web = world.web()
    world.both([*DROPS[program], web.vip, web.port], {web: 12}, uneven=9, env=world.public_env())


def test_socat_gives_up_root_with_a_connection(world: World) -> None:
    web = world.web()
    world.both(["socat", "-t", "5", "-", f"TCP:{web.vip}:{web.port},su=nobody"], {web: 1}, env=world.public_env(), stdin="WHO\nQUIT\n")


CURL = ["curl", "-sS", "-HConnection:close"]
STARTERS: Dict[str, List[str]] = {
    "setpriv": ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"],
    "runuser": ["runuser", "-u", "nobody", "--"],
    "chroot": ["chroot", "--userspec=65534:65534", "/"],
    "start-stop-daemon": ["start-stop-daemon", "--start", "--chuid", "nobody", "--pidfile", "/nobodys", "--startas", "/usr/bin/curl", "--"],
    "capsh": ["capsh", "--user=nobody", "--", "-c", 'exec "$0" "$@"'],
    "unshare -m": ["unshare", "--mount"],
    "unshare -U": ["unshare", "--user", "--map-root-user"],
    "unshare -i": ["unshare", "--ipc"],
    "unshare -p": ["unshare", "--fork", "--pid", "--mount-proc"],
    "nsenter": ["nsenter", "--target", str(os.getpid()), "--mount", "--ipc", "--net"],
    "busybox unshare": ["busybox", "unshare", "-m"],
}


@pytest.mark.parametrize("starter", STARTERS)
def test_it_starts_another_one(world: World, starter: str) -> None:
    web = world.web()
    words = CURL[1:] if starter == "start-stop-daemon" else CURL
    world.both([*STARTERS[starter], *words, f"http://{web.vip}:{web.port}/[1-30]"], {web: 30}, env=world.public_env())


# libc's own functions, as an interpreter calls them by name; the numbers are of linux/sched.h.
IN_PROCESS: Dict[str, List[str]] = {
    "python setns": [
        "python3", "-c", PYTHON + ASK % 3 + "libc = ctypes.CDLL(None)\nfd = os.open('/proc/self/ns/mnt', os.O_RDONLY)\n"
        "print(libc.setns(fd, 0)); os.close(fd)\n" + ASK % 9,
    ],
    "python unshare": ["python3", "-c", PYTHON + ASK % 3 + "print(ctypes.CDLL(None).unshare(0x10000000))\n" + ASK % 9],
    "php": ["php", "-r", """
        function ask($n, $a) { for (; $n; $n--) { $s = stream_socket_client("tcp://$a[1]:$a[2]"); fwrite($s, "WHO\\n"); echo fgets($s); } }
        ask(3, $argv); var_dump(pcntl_unshare(CLONE_NEWUSER)); ask(9, $argv);"""],
}


@pytest.mark.parametrize("program", IN_PROCESS)
def test_it_changes_its_namespaces_between_connections(world: World, program: str) -> None:
    web = world.web()
    world.both([*IN_PROCESS[program], web.vip, web.port], {web: 12}, uneven=9, env=world.public_env())


# A thread that wants the interpreter's lock after its end is ended by pthread_exit().
DAEMON_THREADS = PYTHON + """
import threading, time
def ask(ready):
    with socket.create_connection(address) as s:
        s.sendall(b"WHO\\n"); s.recv(100)
    ready.wait()
    while True:
        time.sleep(0.0002)
ready = threading.Barrier(4)
for _ in range(3):
    threading.Thread(target=ask, args=(ready,), daemon=True).start()
ready.wait()
print("end")
"""


def test_threads_that_outlive_the_interpreter(world: World) -> None:
    web = world.web()
    for _ in range(5):
        world.both(["python3", "-c", DAEMON_THREADS, web.vip, web.port], {web: 3}, uneven=3)
