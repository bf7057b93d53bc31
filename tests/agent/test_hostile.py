# SPDX-License-Identifier: Apache-2.0
"""Whatever lies at K8SLB_TABLE or answers there: the call goes to libc within its bound, and nothing of it stays."""
import array
import fcntl
import mmap
import os
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Tuple

import pytest

from tests.agent.common import BOUND, LINGER, MESSAGE, PROBE, STRANGER, Agents, probe, reader_env
from tests.harness import Build, ShimRunner, expect
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import python

pytestmark = pytest.mark.clusters("double")

SEALS = 0x1 | 0x2 | 0x4  # F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW
F_ADD_SEALS = 1033


class Impostor:
    """Listens at a path and does something to each client."""

    def __init__(self, path: Path, serve: Callable[[socket.socket], None], kind: int = socket.SOCK_SEQPACKET) -> None:
        self._socket = socket.socket(socket.AF_UNIX, kind)
        self._socket.bind(str(path))
        os.chmod(path, 0o666)
        self._held: List[socket.socket] = []
        self.clients = 0
        if kind == socket.SOCK_DGRAM:
            return
        self._socket.listen(16)
        self._serve = serve
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                client = self._socket.accept()[0]
            except OSError:
                return
            self.clients += 1
            self._held.append(client)
            try:
                self._serve(client)
            except OSError:
                pass  # the program has gone

    def close(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()
        for client in self._held:
            client.close()


def send(client: socket.socket, message: bytes, *fds: int) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    client.sendmsg([message], rights)
    client.close()


def memfd(content: bytes, size: int = 0, seals: int = SEALS, flags: int = 0) -> int:
    fd = os.memfd_create("not-a-table", os.MFD_ALLOW_SEALING | flags)
    os.write(fd, content)
    if size:
        os.truncate(fd, size)
    if seals:
        fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


@pytest.fixture
def impostors() -> Iterator[List[Impostor]]:
    made: List[Impostor] = []
    yield made
    for one in made:
        one.close()


def check_passed(run_shim: ShimRunner, vip: str, table: Path) -> None:
    """As without the library."""
    plain = probe(run_shim, vip, 80, table, preload=False)
    expect(plain.stdout, "0 77 vip\n" * 3 + "files 0 tables 0\n", plain)
    result = probe(run_shim, vip, 80, table)
    expect((result.returncode, result.stdout), (plain.returncode, plain.stdout), result)


def make_nothing(_table: Path) -> None:
    pass


def make_symlink_loop(table: Path) -> None:
    table.symlink_to(table)


def make_closed_socket(table: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as nobody:
        nobody.bind(str(table))


def make_full_queue(table: Path) -> None:
    """The sockets live as long as the test's process: nobody accepts."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(table))
    os.chmod(table, 0o666)
    listener.listen(0)
    waiting = []
    for _ in range(3):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.setblocking(False)
        try:
            client.connect(str(table))
        except BlockingIOError:
            pass
        waiting.append(client)
    _kept.extend([listener, *waiting])


_kept: List[socket.socket] = []

FILES: Dict[str, Callable[[Path], object]] = {
    "nothing": make_nothing,
    "file": lambda table: table.write_bytes(b"x" * 100000),
    "empty file": lambda table: table.touch(),
    "fifo": os.mkfifo,
    "device": lambda table: os.mknod(table, 0o20666, os.makedev(1, 5)),  # /dev/zero
    "directory": lambda table: table.mkdir(),
    "link to nothing": lambda table: table.symlink_to("gone"),
    "link to itself": make_symlink_loop,
    "link to a device": lambda table: table.symlink_to("/dev/zero"),
    "a socket that nobody listens at": make_closed_socket,
    "a full queue": make_full_queue,
}


@pytest.mark.parametrize("what", FILES)
def test_no_agent_at_the_path(cluster: DoubleCluster, run_shim: ShimRunner, vip: str, table: Path, what: str) -> None:
    FILES[what](table)
    try:
        check_passed(run_shim, vip, table)
    finally:
        while _kept:
            _kept.pop().close()


def stall(_client: socket.socket) -> None:
    pass


SERVERS: Dict[str, Callable[[socket.socket], None]] = {
    "says nothing": stall,
    "hangs up": lambda client: client.close(),
    "garbage": lambda client: send(client, os.urandom(200)),
    "one byte": lambda client: send(client, b"K"),
    "no descriptor": lambda client: send(client, MESSAGE),
    "another magic": lambda client: send(client, b"x" * 16, os.open("/dev/null", os.O_RDONLY)),
    "a long message": lambda client: send(client, MESSAGE + b"x" * 5000, os.open("/dev/null", os.O_RDONLY)),
    "two descriptors": lambda client: send(client, MESSAGE, *[os.open("/dev/null", os.O_RDONLY)] * 2),
    "hundred descriptors": lambda client: send(client, MESSAGE, *[os.open("/dev/null", os.O_RDONLY)] * 100),
    "a directory": lambda client: send(client, MESSAGE, os.open("/", os.O_RDONLY)),
    "a device": lambda client: send(client, MESSAGE, os.open("/dev/zero", os.O_RDONLY)),
    "a pipe": lambda client: send(client, MESSAGE, os.pipe()[0]),
    "its own socket": lambda client: send(client, MESSAGE, client.fileno()),
}


LINGERING: Dict[str, List[Tuple[bytes, int]]] = {
    "in an agent's message": [(MESSAGE, 0)],
    "in the second one": [(MESSAGE, 0), (MESSAGE, 0)],
    "behind an empty one": [(MESSAGE, 0), (b"", 0), (MESSAGE, 0)],
    "in garbage": [(b"garbage", 0)],
    "as the last of very many": [(MESSAGE, 252)],
}


@pytest.mark.parametrize("what", LINGERING)
def test_descriptors_that_linger(cluster: DoubleCluster, run_shim: ShimRunner, vip: str, table: Path, what: str) -> None:
    """Whoever is believed hands over what takes long to close."""
    server = run_shim.start(python(LINGER, table, repr(LINGERING[what])), preload=False)
    server.wait_output("listens")

    check_passed(run_shim, vip, table)
    server.wait_output("\nsent")


@pytest.mark.unsanitized("strace gives the program one preloaded library alone")
def test_a_stranger_sends_what_lingers(
    cluster: DoubleCluster, build: Build, run_shim: ShimRunner, vip: str, place: Path
) -> None:
    """Who is not believed: what he has sent is nobody's but its receiver's at the end of the connection, received or not. The
    reader is held up before it asks who listens, so that he has the time."""
    place.chmod(0o777)
    table = place / "table"
    server = run_shim.start([*STRANGER, *python(LINGER, table, repr([(b"x", 0)]))], preload=False)
    server.wait_output("listens")
    place.chmod(0o755)
    os.chown(table, 0, 0)  # as if somebody had handed him a socket of root's
    late = ["strace", "-qq", "-o", "/dev/null", "-e", "inject=getsockopt:delay_enter=100000", "-E", f"LD_PRELOAD={build.shim}"]

    result = run_shim([*late, *python(PROBE, vip, 80, "3")], env=reader_env(table, K8SLB_LOG=None), preload=False)

    expect(result.stdout, "0 77 vip\n" * 3 + "files 0 tables 0\n", result, server.result())
    server.wait_output("\nnot sent: Broken pipe")


@pytest.mark.parametrize("what", SERVERS)
def test_an_impostor(
    cluster: DoubleCluster, run_shim: ShimRunner, vip: str, table: Path, impostors: List[Impostor], what: str
) -> None:
    impostors.append(Impostor(table, SERVERS[what]))

    check_passed(run_shim, vip, table)
    assert impostors[0].clients >= 1


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_another_type_of_socket(
    cluster: DoubleCluster, run_shim: ShimRunner, vip: str, table: Path, impostors: List[Impostor], kind: int
) -> None:
    impostors.append(Impostor(table, stall, kind))

    check_passed(run_shim, vip, table)


HUGE = 8 << 30
MONOTONIC_COARSE, BEAT_AT = 6, 40  # linux/time.h; lib/table/layout.h
MEMORY: Dict[str, Callable[[bytes], int]] = {
    "as the agent's": lambda image: memfd(image),
    "unsealed": lambda image: memfd(image, seals=0),
    "may shrink": lambda image: memfd(image, seals=0x4),
    "tiny": lambda image: memfd(image[:4096]),
    "empty": lambda image: memfd(b""),
    "cut": lambda image: memfd(image[:-4096]),
    "huge": lambda image: memfd(image, HUGE),
    "larger than it says": lambda image: memfd(image, len(image) + (1 << 20)),
    "garbage": lambda image: memfd(os.urandom(len(image))),
    "zeros": lambda image: memfd(b"", len(image)),
    "nothing published": lambda image: memfd(image[:24] + bytes(8) + image[32:]),
    "huge arenas": lambda image: memfd(image[:16] + struct.pack("<Q", 1 << 40) + image[24:]),
    "another version": lambda image: memfd(image[:8] + struct.pack("<I", 9) + image[12:]),
    "an arena beyond": lambda image: memfd(image[:24] + struct.pack("<Q", 0x1FF) + image[32:]),
    "garbage in the arenas": lambda image: memfd(image[:4096] + os.urandom(len(image) - 4096)),
}
# What is a table, or looks like one: it is mapped; the others leave no trace.
MAPPED = {"as the agent's", "larger than it says", "an arena beyond", "garbage in the arenas"}


@pytest.mark.parametrize("what", MEMORY)
def test_memory(
    cluster: DoubleCluster, run_shim: ShimRunner, vip: str, table: Path, image: bytes, impostors: List[Impostor], what: str
) -> None:
    fd = MEMORY[what](image)
    good = what in ("as the agent's", "larger than it says")

    def serve(client: socket.socket) -> None:
        if good:  # as one that is written just now
            os.pwrite(fd, struct.pack("<Q", int(time.clock_gettime(MONOTONIC_COARSE) * 1000)), BEAT_AT)
        send(client, MESSAGE, fd)

    impostors.append(Impostor(table, serve))
    try:
        result = probe(run_shim, vip, 80, table)
    finally:
        os.close(fd)

    expect(result.returncode, 0, result)
    *answers, last = result.stdout.splitlines()
    if good:
        expect(sorted(answers), [f"0 77 web-{i}" for i in range(3)], result)
    else:
        expect(answers, ["0 77 vip"] * 3, result)
    assert last.startswith("files 0 tables "), result
    expect(last.endswith("tables 0"), what not in MAPPED, result)


BEFORE = struct.pack("<Q", 0x3144484C53384B)  # of 0.1.0
VERSIONS: Dict[str, Tuple[bytes, int]] = {
    "0.1.0": (BEFORE, 1),
    "an older layout": (MESSAGE, 1),
    "a layout to come": (MESSAGE, 99),
    "a message to come": (struct.pack("<Q", 0x3944484C53384B), 99),
}


@pytest.mark.parametrize("what", VERSIONS)
def test_an_agent_of_another_version(
    cluster: DoubleCluster, run_shim: ShimRunner, vip: str, table: Path, image: bytes, impostors: List[Impostor], what: str
) -> None:
    """Upgrades end in some order: until then calls are libc's, and one line says why."""
    message, version = VERSIONS[what]
    fd = memfd(image[:8] + struct.pack("<I", version) + image[12:])
    impostors.append(Impostor(table, lambda client: send(client, message, fd)))
    try:
        result = run_shim(python(PROBE, vip, 80, BOUND), env=reader_env(table))
    finally:
        os.close(fd)

    expect((result.returncode, result.stdout), (0, "0 77 vip\n" * 3 + "files 0 tables 0\n"), result)
    expect(len(result.log.splitlines()), 1, result)
    assert f"error: no table of an agent at {table}: what is there is none" in result.log, result


def test_memory_on_huge_pages(
    cluster: DoubleCluster, run_shim: ShimRunner, vip: str, table: Path, impostors: List[Impostor]
) -> None:
    """They may run out at the first load, which would be SIGBUS."""
    fd = os.memfd_create("huge", os.MFD_ALLOW_SEALING | os.MFD_HUGETLB)
    os.truncate(fd, 2 << 20)
    fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
    impostors.append(Impostor(table, lambda client: send(client, MESSAGE, fd)))

    check_passed(run_shim, vip, table)
    os.close(fd)


def test_a_reader_cannot_write(cluster: DoubleCluster, agents: Agents, vip: str, place: Path) -> None:
    """Not by the descriptor, not by opening it anew, not even as the agent's own user; nor change its size."""
    agents.run(cluster, place / "real")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(str(place / "real"))
        _message, (fd,), _flags, _address = socket.recv_fds(client, 100, 4)
    size = os.fstat(fd).st_size

    for attempt in (
        lambda: mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE),
        lambda: os.pwrite(fd, b"x", 0),
        lambda: os.ftruncate(fd, 0),
        lambda: os.truncate(f"/proc/self/fd/{fd}", 0),
        lambda: mmap.mmap(os.open(f"/proc/self/fd/{fd}", os.O_RDWR), 4096, mmap.MAP_SHARED),
        lambda: os.pwrite(os.open(f"/proc/self/fd/{fd}", os.O_RDWR), b"x", 0),
    ):
        with pytest.raises(OSError):
            attempt()
    expect(os.fstat(fd).st_size, size)
    os.close(fd)
