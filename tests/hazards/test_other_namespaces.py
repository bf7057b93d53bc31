# SPDX-License-Identifier: Apache-2.0
"""Hazard: a library that connects is opened by dlmopen(), so that it has a libc of its own, or with RTLD_DEEPBIND, so that it finds
libc first (tests/hazards/test_deepbind.py).

A naive shim opens its own parts so and meets two copies of malloc() or of libcurl. Ours opens nothing. What a library of another
namespace connects to is not caught (docs/limits.md): it goes to the VIP as without us, and the rest of the program is balanced.
"""
import pytest

from tests.harness import Build, ShimRunner, expect
from tests.hazards.isolation import by_point, evenly, expect_clean, library, target
from tests.kube.cluster import Cluster
from tests.preload.common import python

pytestmark = pytest.mark.clusters("double")

OPEN = """
import ctypes, os, socket, sys
path, how, host, port = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
libc = ctypes.CDLL(None)

def open_library():
    if how != "dlmopen":
        return ctypes.CDLL(path, getattr(os, how) | os.RTLD_NOW)
    libc.dlmopen.restype = ctypes.c_void_p
    LM_ID_NEWLM = ctypes.c_long(-1)
    handle = libc.dlmopen(LM_ID_NEWLM, path.encode(), os.RTLD_NOW)
    return ctypes.CDLL(path, handle=handle)

def from_library(library):
    name = ctypes.create_string_buffer(64)
    rc = library.dial_from_library(host.encode(), port, name, ctypes.c_size_t(64))
    return name.value.decode() if rc == 0 else f"error {rc}"

def from_program():
    with socket.create_connection((host, port)) as s:
        s.sendall(b"WHO\\n")
        return s.recv(100).decode().strip()

early = open_library() if sys.argv[5] == "first" else None
if early:
    print("library", from_library(early))
for _ in range(3):
    print("program", from_program())
late = early or open_library()
for _ in range(3):
    print("library", from_library(late))
for _ in range(3):
    print("program", from_program())
"""


@pytest.mark.parametrize("order", ["first", "later"])
@pytest.mark.parametrize("how", ["RTLD_DEEPBIND", "dlmopen", "RTLD_LOCAL"])
def test_a_library_of(cluster: Cluster, run_shim: ShimRunner, build: Build, how: str, order: str) -> None:
    web = target(cluster)

    result = run_shim(python(OPEN, library(build, "dialing_library"), how, *web.arguments, order), env=cluster.env("web"))

    expect_clean(result)
    calls = 4 if order == "first" else 3
    found = by_point(result)
    if how != "dlmopen":  # as any library: caught
        total = found["program"] + found["library"]
        expect((sum(total.values()), set(total)), (6 + calls, set(web.names)), result)
        assert max(total.values()) - min(total.values()) <= 1, (total, result)
    else:
        expect((found["program"], found["library"]), (evenly(web.pods, 2), {"vip": calls}), result)
