# SPDX-License-Identifier: Apache-2.0
"""The caller's address, errno, descriptor and flags are as libc would leave them; no turn is lost."""
import pytest

from tests.e2e.common import stand_in
from tests.failover.common import refuse
from tests.harness import Build, ShimRunner, expect
from tests.kube.cluster import Cluster
from tests.preload.common import python, tally, web

pytestmark = pytest.mark.clusters("double")

EINPROGRESS, EISCONN = 115, 106


def test_address_errno_and_flags(cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
    service, pods = web(cluster)

    result = run_shim([build.programs / "probe_untouched", service.vip, service.port], env=cluster.env("web"))

    kept = f"address kept, flags kept, then 0, again -1 errno {EISCONN}"
    expected = {
        f"blocking: 0 errno 77, {kept}": 4,
        f"non-blocking: -1 errno {EINPROGRESS}, {kept}": 4,
        f"mapped: 0 errno 77, {kept}": 4,
    }
    expect(dict(tally(result.stdout)), expected, result)
    # The repeated calls took no turn: 12 connections, 4 for each pod.
    expect([pod.connections() for pod in pods], [4, 4, 4], result)


def test_a_failed_connect_tells_what_libc_tells(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster, pods=1)
    code = (
        "import socket, sys\n"
        "for _ in range(2):\n"
        "    with socket.socket() as s:\n"
        "        print(s.connect_ex((sys.argv[1], 80)))\n"
    )
    refuse(*pods, stand_in(cluster, service))

    result = run_shim(python(code, service.vip), env=cluster.env("web"))

    expect(result.stdout, "111\n111\n", result)


# Addresses whose last byte is the last one that can be read, and lengths that can only be read, in a child each.
ENDS = """
import ctypes, errno, mmap, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
page = mmap.PAGESIZE
room = libc.mmap(None, ctypes.c_size_t(2 * page), 3, 0x22, -1, ctypes.c_long(0))
libc.mprotect(ctypes.c_void_p(room + page), ctypes.c_size_t(page), 0)
def in_child(what, ask):
    sys.stdout.flush()
    if os.fork() == 0:
        ask()
        sys.stdout.flush()
        os._exit(0)
    print(what, os.wait()[1])
def at_end(family, vip, length):
    raw = struct.pack("=H", family) + struct.pack("!H", 80)
    raw += socket.inet_aton(vip) + bytes(8) if family == 2 else bytes(4) + socket.inet_pton(10, "::ffff:" + vip) + bytes(4)
    at = room + page - len(raw)
    ctypes.memmove(at, raw, len(raw))
    one = socket.socket(family)
    print(libc.connect(one.fileno(), ctypes.c_void_p(at), length or len(raw)) == 0)
def read_only_length(vip):
    one = socket.create_connection((vip, 80))
    ctypes.memmove(room, struct.pack("=I", 16), 4)
    libc.mprotect(ctypes.c_void_p(room), ctypes.c_size_t(page), 1)
    buffer = ctypes.create_string_buffer(128)
    print(libc.getpeername(one.fileno(), buffer, ctypes.c_void_p(room)), errno.errorcode[ctypes.get_errno()])
vip = sys.argv[1]
socket.create_connection((vip, 80)).close()
for family in (2, 10):
    for length in (0, 64, 128):
        in_child("ended", lambda: at_end(family, vip, length))
in_child("ended", lambda: read_only_length(vip))
"""


def test_an_address_at_the_end_of_what_can_be_read(cluster: Cluster, run_shim: ShimRunner) -> None:
    """No more is read than the family needs; what the kernel finds in a length pointer it tells."""
    service, _pods = web(cluster)

    result = run_shim(python(ENDS, service.vip), env=cluster.env("web"))

    expect((result.stdout, result.stderr), ("True\nended 0\n" * 6 + "-1 EFAULT\nended 0\n", ""), result)
