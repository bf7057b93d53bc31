# SPDX-License-Identifier: Apache-2.0
"""TCP Fast Open: sendto(), sendmsg() and sendmmsg() with MSG_FASTOPEN connect by themselves, to a pod; and what they send is sent once."""
import errno
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from tests.e2e.common import stand_in
from tests.failover.common import Firewall, firewall, no_route, refuse, route_again, sysctl  # noqa: F401  # a fixture
from tests.harness import Result, ShimRunner, expect
from tests.kube.cluster import Cluster
from tests.preload.common import python, tally, web
from tests.preload.test_family import dual_stack, needs_ipv6

pytestmark = pytest.mark.clusters("double")

CALLS = ["sendto", "sendmsg", "sendmmsg"]
ROUNDS = 3


@pytest.fixture
def fast() -> Iterator[None]:
    """Clients may, servers do, without an option of the listener's."""
    with sysctl("tcp_fastopen", 0x403):
        yield


def fast_open(host: str, port: int, *options: Any) -> List[str]:
    return [sys.executable, str(Path(__file__).with_name("fast_open.py")), *map(str, options), host, str(port)]


def leave_table(run_shim: ShimRunner, cluster: Cluster) -> None:
    """As after a program that has just ended: a first call that does not wait has 300 ms to find one."""
    run_shim(["getent", "ahosts", "web"], env=cluster.env("web"))


def in_first_packet() -> int:
    """How often data that went out with a SYN was taken, in this network namespace."""
    names, values = (line.split() for line in Path("/proc/net/netstat").read_text().splitlines() if line.startswith("TcpExt:"))
    return int(values[names.index("TCPFastOpenActive")])


@needs_ipv6
@pytest.mark.parametrize("family, how", [("v4", "blocking"), ("v6", "blocking"), ("mapped", "nonblocking"), ("v4", "nonblocking")])
@pytest.mark.parametrize("call", CALLS)
def test_it_is_balanced(cluster: Cluster, run_shim: ShimRunner, fast: None, call: str, family: str, how: str) -> None:
    service, pods = dual_stack(cluster, "IPv6" if family == "v6" else "IPv4")
    host = f"::ffff:{service.vip}" if family == "mapped" else str(service.vip)
    options = ["--call", call, *(["-6"] if family != "v4" else []), *(["--nonblocking"] if how == "nonblocking" else [])]
    leave_table(run_shim, cluster)
    before = in_first_packet()

    result = run_shim(fast_open(host, 80, "-n", ROUNDS * len(pods), *options), env=cluster.env("web"))

    expect(tally(result.stdout), Counter({f"{pod.name} {host} 80": ROUNDS for pod in pods}), result)
    expect([pod.connections() for pod in pods], [ROUNDS] * len(pods), result)
    # Each pod gave a cookie with its first connection at the latest; the others carried the request.
    assert in_first_packet() - before >= (ROUNDS - 1) * len(pods), result


def expect_once(result: Result, answered: int, *listeners: Any) -> None:
    """Nobody got a connection more than the program has answers."""
    expect(sum(one.connections() for one in listeners), answered, result)


@pytest.mark.parametrize("call", CALLS)
def test_a_dead_pod_is_told_and_passed_over(cluster: Cluster, run_shim: ShimRunner, fast: None, call: str) -> None:
    service, pods = web(cluster)
    vip = stand_in(cluster, service)
    refuse(pods[0])

    result = run_shim(fast_open(str(service.vip), 80, "--call", call, "-n", 12), env=cluster.env("web"))

    answers = Counter(line.split()[0] for line in result.stdout.splitlines())
    expect((answers.pop("ECONNREFUSED", 0), set(answers)), (1, {"web-1", "web-2"}), result)
    expect_once(result, 11, *pods, vip)


def test_a_dead_pod_of_one_that_does_not_wait(
    cluster: Cluster, run_shim: ShimRunner, fast: None, firewall: Firewall  # noqa: F811
) -> None:
    service, pods = web(cluster)
    vip = stand_in(cluster, service)
    leave_table(run_shim, cluster)
    firewall.refuse(pods[0])

    result = run_shim(fast_open(str(service.vip), 80, "--nonblocking", "-n", 12), env=cluster.env("web"))

    answers = Counter(line.split()[0] for line in result.stdout.splitlines())
    expect((sum(answers.values()), answers.pop("ECONNREFUSED", 0), set(answers)), (12, 1, {"web-1", "web-2"}), result)
    expect_once(result, 11, *pods, vip)


@pytest.mark.parametrize("kind", ["throw", "blackhole"])
@pytest.mark.parametrize("call", CALLS)
def test_what_was_not_sent_goes_to_the_vip(cluster: Cluster, run_shim: ShimRunner, fast: None, call: str, kind: str) -> None:
    """This host knows no way to the pod, and knows so before it sends anything: the caller's own address is next."""
    service, pods = web(cluster, pods=1)
    stand_in(cluster, service)
    no_route(kind, pods[0])
    try:
        result = run_shim(fast_open(str(service.vip), 80, "--call", call, "-n", 3), env=cluster.env("web"))
    finally:
        route_again(kind, pods[0])

    expect(tally(result.stdout), Counter({f"vip {service.vip} 80": 3}), result)


def test_what_may_have_been_sent_goes_nowhere_else(
    cluster: Cluster, run_shim: ShimRunner, fast: None, firewall: Firewall  # noqa: F811
) -> None:
    """The same error as one of this host, by a router that got the packet with the request."""
    service, pods = web(cluster, pods=1)
    vip = stand_in(cluster, service)
    warm = run_shim(fast_open(str(service.vip), 80, "-n", 2), env=cluster.env("web"))
    expect(tally(warm.stdout), Counter({f"web-0 {service.vip} 80": 2}), warm)
    firewall.reject(*pods, what="net")

    result = run_shim(fast_open(str(service.vip), 80), env=cluster.env("web"))

    expect(result.stdout, "ENETUNREACH sendto\n", result)
    expect(vip.connections(), 0, result)


@pytest.mark.parametrize("call", CALLS)
def test_where_the_kernel_does_not_take_the_flag(cluster: Cluster, run_shim: ShimRunner, call: str) -> None:
    """The program then calls connect(): two turns for each would leave it with every other pod."""
    service, pods = web(cluster, pods=2)
    with sysctl("tcp_fastopen", 0):
        result = run_shim(fast_open(str(service.vip), 80, "--call", call, "--twice", "-n", 9), env=cluster.env("web"))

    shares = [pod.connections() for pod in pods]
    expect((sum(shares), max(shares) - min(shares)), (9, 1), result)


def test_it_is_tried_again_once_the_kernel_takes_it(cluster: Cluster, run_shim: ShimRunner, fast: None) -> None:
    service, pods = web(cluster)
    vip = stand_in(cluster, service)
    code = (
        "import socket, sys\n"
        "def ask():\n"
        "    with socket.socket() as s:\n"
        "        try:\n"
        "            s.sendto(b'WHO\\n', socket.MSG_FASTOPEN, (sys.argv[1], 80))\n"
        "            print(s.makefile().readline().strip())\n"
        "        except OSError as error:\n"
        "            print(error.errno)\n"
        "def kernel(value):\n"
        "    open('/proc/sys/net/ipv4/tcp_fastopen', 'w').write(str(value))\n"
        "for value in (0x403, 0, 0, 0x403, 0x403):\n"
        "    kernel(value)\n"
        "    ask()\n"
    )
    lines = run_shim(python(code, service.vip), env=cluster.env("web")).stdout.splitlines()

    # One connection finds out.
    expect((len(lines), lines[1:4]), (5, [str(errno.EOPNOTSUPP)] * 2 + ["vip"]), lines)
    expect({lines[0], lines[4]} - {pod.name for pod in pods}, set(), lines)
    expect(vip.connections(), 1, lines)


# Every odd call that a program can make: what it says, and what is left of its memory.
ODD = r"""
import ctypes, errno, mmap, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
FAST, DONT = 0x20000000, 0x40
vip = sys.argv[1]
def address(host, port=80, family=2, more=0):
    return struct.pack("=H", family) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8 + more)
def unsent(fd):
    return fd if isinstance(fd, int) else fd.fileno()
def tell(what, rc):
    print(what, rc, errno.errorcode.get(ctypes.get_errno(), ctypes.get_errno()))
def sendto(what, fd, flags, name, length):
    data = ctypes.create_string_buffer(b"WHO\n", 4)
    at = ctypes.c_void_p(name) if isinstance(name, int) or name is None else ctypes.create_string_buffer(name, len(name))
    ctypes.set_errno(77)
    tell("sendto " + what, libc.sendto(unsent(fd), data, ctypes.c_size_t(4), flags, at, length))
    if not isinstance(name, int) and name is not None and at.raw != name:
        print("the address was changed")
def sendmsg(what, fd, flags, name, length, control=b"", call=libc.sendmsg):
    data = ctypes.create_string_buffer(b"WHO\n", 4)
    vector = ctypes.create_string_buffer(struct.pack("PN", ctypes.addressof(data), 4))
    at = ctypes.create_string_buffer(name or b"", len(name or b"") + 1) if not isinstance(name, int) else None
    place = name if isinstance(name, int) else ctypes.addressof(at) if name is not None else 0
    more = ctypes.create_string_buffer(control, len(control) + 1)
    header = struct.pack("PI4xPNPNi4xI4x", place, length & 0xffffffff, ctypes.addressof(vector), 1,
                         ctypes.addressof(more) if control else 0, len(control), 0, 0)
    message = ctypes.create_string_buffer(header)
    ctypes.set_errno(77)
    if call is libc.sendmsg:
        rc = call(unsent(fd), message, flags)
    else:
        rc = call(unsent(fd), message, 1, flags)
    tell(("sendmsg " if call is libc.sendmsg else "sendmmsg ") + what, rc)
    if message.raw[:56] != header[:56]:
        print("the message was changed")
def calls(what, make, flags, name, length):
    for send in (sendto, sendmsg, lambda *a: sendmsg(*a, call=libc.sendmmsg)):
        one = make()
        send(what, one, flags, name, length)
        if not isinstance(one, int):
            one.close()
tcp = lambda: socket.socket()
udp = lambda: socket.socket(type=socket.SOCK_DGRAM)
def connected():
    return socket.create_connection((vip, 80))
listener = socket.create_server(("127.0.0.1", 0))
local = listener.getsockname()[1]
def warm():
    connected().close()
warm()
calls("no flag", tcp, 0x4000, address(vip), 16)  # MSG_NOSIGNAL
calls("no address", tcp, FAST, None, 0)
calls("no address but a length", tcp, FAST, None, 16)
calls("impossible pointer", tcp, FAST, 2**64 - 1, 16)
calls("page 0", tcp, FAST, 16, 16)
calls("bad fd", lambda: -1, FAST, address(vip), 16)
calls("no socket", lambda: os.open("/dev/null", os.O_RDWR), FAST, address(vip), 16)
for length in range(0, 16):
    calls(f"short {length}", tcp, FAST, address(vip), length)
calls("129 bytes", tcp, FAST, address(vip, more=128), 129)
calls("negative length", tcp, FAST, address(vip, more=128), -1)
calls("unspecified", tcp, FAST, address(vip, family=0), 16)
calls("unknown family", tcp, FAST, address(vip, family=222), 16)
calls("v6 address on v4 socket", tcp, FAST, struct.pack("=H", 10) + bytes(26), 28)
calls("datagram", udp, FAST | DONT, address(vip), 16)
calls("datagram without address", udp, FAST | DONT, None, 0)
calls("connected", connected, FAST, address(vip), 16)
calls("loopback", tcp, FAST, address("127.0.0.1", local), 16)
calls("refused", tcp, FAST, address("127.0.0.1", 1), 16)
for call in (libc.sendmsg, libc.sendmmsg):
    for place in (None, 2**64 - 1, 16):
        ctypes.set_errno(77)
        rest = (FAST,) if call is libc.sendmsg else (1, FAST)
        with tcp() as one:
            tell("header", call(one.fileno(), ctypes.c_void_p(place), *rest))
with tcp() as one:
    ctypes.set_errno(77)
    tell("none of many", libc.sendmmsg(one.fileno(), None, 0, FAST))
# Control messages are kept: the kernel answers for one that it does not know.
unknown = struct.pack("Nii", 20, socket.SOL_SOCKET, 4711) + bytes(8)
for call in (libc.sendmsg, libc.sendmmsg):
    with tcp() as one:
        sendmsg("unknown control message to the Service", one, FAST, address(vip), 16, unknown, call)
"""


def test_every_odd_call_is_as_without_the_shim(cluster: Cluster, run_shim: ShimRunner, fast: None) -> None:
    service, pods = web(cluster, pods=1)
    stand_in(cluster, service)
    probe = python(ODD, service.vip)

    plain = run_shim(probe, preload=False)
    shimmed = run_shim(probe, env=cluster.env("web"))

    expect((plain.returncode, plain.stderr, "was changed" in plain.stdout), (0, "", False), plain)
    assert plain.stdout.count("\n") > 100, plain
    expect(shimmed.stdout.split("\n"), plain.stdout.split("\n"), shimmed)
    expect((shimmed.returncode, shimmed.stderr), (0, ""), shimmed)
    assert pods[0].connections() > 0, shimmed


def test_without_services_nothing_happens(cluster: Cluster, run_shim: ShimRunner, fast: None) -> None:
    service, _pods = web(cluster)
    vip = stand_in(cluster, service)

    result = run_shim(fast_open(str(service.vip), 80, "-n", 3), env=cluster.env(""))

    expect((tally(result.stdout), result.log), (Counter({f"vip {service.vip} 80": 3}), ""), result)
    expect(vip.connections(), 3, result)


@pytest.mark.unsanitized("the sanitizers make system calls of their own")
def test_nothing_is_asked_before_a_match(cluster: Cluster, run_shim: ShimRunner, fast: None) -> None:
    """A call without the flag, or to an address that is not the cluster's, is one system call."""
    service, _pods = web(cluster)
    code = (
        "import socket, sys\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection((sys.argv[1], 80)).close()\n"
        "datagrams = socket.socket(type=socket.SOCK_DGRAM)\n"
        "print('from here', flush=True)\n"
        "datagrams.sendto(b'x', listener.getsockname())\n"
        "datagrams.sendmsg([b'x'], [], 0, listener.getsockname())\n"
        "with socket.socket() as one:\n"
        "    one.sendto(b'x', socket.MSG_FASTOPEN, listener.getsockname())\n"
        "with socket.socket() as one:\n"
        "    one.sendmsg([b'x'], [], socket.MSG_FASTOPEN, listener.getsockname())\n"
        "print('to here', flush=True)\n"
    )
    traced = ["strace", "-qq", "-e", "signal=none", "-E", f"LD_PRELOAD={run_shim.env()['LD_PRELOAD']}", *python(code, service.vip)]
    result = run_shim(traced, env=cluster.env("web"), preload=False)

    calls = [re.split(r"\(", line)[0] for line in result.stderr.partition("from here")[2].partition("to here")[0].splitlines()[1:-1]]
    sends = [name for name in calls if name not in ("getsockname", "socket", "close", "write", "mmap", "munmap", "brk")]
    expect(sends, ["sendto", "sendmsg", "sendto", "sendmsg"], result)
