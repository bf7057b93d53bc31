# SPDX-License-Identifier: Apache-2.0
"""A command behind a fence that lets it connect to a Service's address and not to its pods'.

fence.py landlock PORTS COMMAND...     connects to these TCP ports alone, the others answer EACCES
fence.py seccomp NETWORKS COMMAND...   a supervisor looks at each connect() and answers EPERM for these networks
fence.py cgroup NETWORKS COMMAND...    a BPF program of the command's cgroup answers EPERM for them

PORTS and NETWORKS are separated by commas; an IPv4 network counts in its v4-mapped form too. The file that the variable FENCE_LOG names
gets a line "denied ADDRESS" for each refusal of seccomp. Exits like the command, or with 77 and one line where the kernel
lacks the fence.
"""
import ctypes
import fcntl
import ipaddress
import os
import platform
import select
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import List, Union

LACKING = 77
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

_libc = ctypes.CDLL(None, use_errno=True)
_NO_NEW_PRIVS = 38
_CONNECT, _SECCOMP, _BPF, _AUDIT_ARCH = {
    "x86_64": (42, 317, 321, 0xC000003E),
    "aarch64": (203, 277, 280, 0xC00000B7),
}[platform.machine()]


def syscall(number: int, *arguments: object) -> int:
    result = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return int(result)


def landlock(ports: str, command: List[str]) -> int:
    connect_tcp = 1 << 1
    attributes = struct.pack("=QQ", 0, connect_tcp)
    rules = syscall(444, attributes, ctypes.c_size_t(len(attributes)), 0)
    for port in ports.split(","):
        syscall(445, rules, 2, struct.pack("=QQ", connect_tcp, int(port)), 0)
    _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    syscall(446, rules, 0)
    os.execvp(command[0], command)


def parse(networks: str) -> List[Network]:
    return [ipaddress.ip_network(network) for network in networks.split(",")]


def address_of(raw: bytes) -> "Union[None, ipaddress.IPv4Address, ipaddress.IPv6Address]":
    """Of a sockaddr; a v4-mapped one as IPv4."""
    family = struct.unpack_from("=H", raw)[0]
    if family == socket.AF_INET:
        return ipaddress.IPv4Address(raw[4:8])
    if family == socket.AF_INET6:
        six = ipaddress.IPv6Address(raw[8:24])
        return six.ipv4_mapped or six
    return None


def notify_connect() -> int:
    """A descriptor that tells each connect() of this process and what follows it."""
    code = [
        (0x20, 0, 0, 4),  # arch
        (0x15, 0, 3, _AUDIT_ARCH),
        (0x20, 0, 0, 0),  # number
        (0x15, 0, 1, _CONNECT),
        (0x06, 0, 0, 0x7FC00000),  # SECCOMP_RET_USER_NOTIF
        (0x06, 0, 0, 0x7FFF0000),  # SECCOMP_RET_ALLOW
    ]
    filters = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in code))
    program = struct.pack("@HP", len(code), ctypes.addressof(filters))
    _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    return syscall(_SECCOMP, 1, 8, program)


def supervise(listener: int, networks: List[Network]) -> None:
    """Answers until nobody is left who could ask."""
    log = open(os.environ.get("FENCE_LOG", os.devnull), "a", buffering=1)
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    while poller.poll()[0][1] & select.POLLIN:
        asked = bytearray(80)
        try:
            fcntl.ioctl(listener, 0xC0502100, asked)
        except OSError:  # it was killed, or a signal came
            continue
        number, pid = struct.unpack_from("=QI", asked)
        pointer, length = struct.unpack_from("=QQ", asked, 16 + 16 + 8)
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(pointer)
            address = address_of(memory.read(min(length, 128)))
        denied = address is not None and any(address.version == network.version and address in network for network in networks)
        if denied:
            log.write(f"denied {address}\n")
        answer = struct.pack("=Qqii", number, 0, -1 if denied else 0, 0 if denied else 1)  # EPERM, or go on
        try:
            fcntl.ioctl(listener, 0xC0182101, answer)
        except OSError:
            continue


def seccomp(networks: str, command: List[str]) -> int:
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        socket.send_fds(theirs, [b"x"], [notify_connect()])
        ours.close()
        theirs.close()
        os.execvp(command[0], command)
    theirs.close()
    descriptors = socket.recv_fds(ours, 1, 1)[1]
    if descriptors:
        supervise(descriptors[0], parse(networks))
    status = os.waitpid(child, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


def bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, 144)
    return syscall(_BPF, command, buffer, 144)


def instruction(code: int, registers: int = 0, offset: int = 0, immediate: int = 0) -> bytes:
    return struct.pack("=BBhI", code, registers, offset, immediate & 0xFFFFFFFF)


def denies(network: Network, six: bool) -> bytes:
    """Exits with 0 when the address of struct bpf_sock_addr in register 1 is in the network; else falls through."""
    packed, mask = network.network_address.packed, network.netmask.packed
    words = [(8 + 4 * i, packed[4 * i : 4 * i + 4], mask[4 * i : 4 * i + 4]) for i in range(len(packed) // 4)]
    if network.version == 4:
        words = [(4, packed, mask)]
        if six:  # v4-mapped
            whole = b"\xff" * 4
            words = [(8, bytes(4), whole), (12, bytes(4), whole), (16, b"\0\0\xff\xff", whole), (20, packed, mask)]
    code = b""
    for index, (offset, value, bits) in enumerate(words):
        behind = 3 * (len(words) - 1 - index) + 2
        code += instruction(0x61, 0x12, offset)  # r2 = the word
        code += instruction(0x54, 0x02, 0, int.from_bytes(bits, sys.byteorder))
        code += instruction(0x56, 0x02, behind, int.from_bytes(value, sys.byteorder))  # 32 bits differ: past this network
    return code + instruction(0xB7) + instruction(0x95)


def load(networks: List[Network], six: bool) -> int:
    code = b"".join(denies(network, six) for network in networks if six or network.version == 4)
    code += instruction(0xB7, 0, 0, 1) + instruction(0x95)
    code_buffer = ctypes.create_string_buffer(code)
    license_ = ctypes.create_string_buffer(b"GPL")
    attach_type = 11 if six else 10  # BPF_CGROUP_INET6_CONNECT, BPF_CGROUP_INET4_CONNECT
    attributes = struct.pack(
        "=IIQQIIQII16sII", 18, len(code) // 8, ctypes.addressof(code_buffer), ctypes.addressof(license_),
        0, 0, 0, 0, 0, b"", 0, attach_type,
    )  # fmt: skip
    return bpf(5, attributes)


def cgroup(networks: str, command: List[str]) -> int:
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    root = next((Path(mount[1]) for mount in mounts if mount[2] == "cgroup2"), None)
    if not root:
        raise OSError(0, "no cgroup2 is mounted")
    group = root / f"k8slb-fence-{os.getpid()}"
    group.mkdir()
    try:
        directory = os.open(group, os.O_RDONLY)
        for six in (False, True):
            bpf(8, struct.pack("=IIII", directory, load(parse(networks), six), 11 if six else 10, 0))
        enter = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(group)]
        return subprocess.run([*enter, *command]).returncode
    finally:
        group.rmdir()


if __name__ == "__main__":
    ways = {"landlock": landlock, "seccomp": seccomp, "cgroup": cgroup}
    try:
        sys.exit(ways[sys.argv[1]](sys.argv[2], sys.argv[3:]))
    except OSError as lacking:
        print(f"fence.py: {sys.argv[1]}: {lacking}", file=sys.stderr)
        sys.exit(LACKING)
