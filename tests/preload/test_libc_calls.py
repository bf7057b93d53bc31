# SPDX-License-Identifier: Apache-2.0
"""Each intercepted call where libc's own cannot be looked up: a system call, or a failure that says so."""
import re
from pathlib import Path

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.preload.common import python

ROOT = Path(__file__).resolve().parent.parent.parent

# Looks them up by itself, so what it calls are the hooks.
CALLS = """
import ctypes, errno, os, socket, struct, threading, time
libc = ctypes.CDLL(None, use_errno=True)
h_errno = libc.__h_errno_location
h_errno.restype = ctypes.POINTER(ctypes.c_int)
def tell(name, *arguments, pointer=False, more=lambda: ()):
    call = getattr(libc, name)
    call.restype = ctypes.c_void_p if pointer else ctypes.c_int
    ctypes.set_errno(0)
    result = call(*arguments)
    print(name, result, errno.errorcode.get(ctypes.get_errno(), 0), *more())
for name in ("setuid", "setgid", "seteuid", "setegid"):
    tell(name, 4711)
for name in ("setreuid", "setregid"):
    tell(name, 4711, 4711)
for name in ("setresuid", "setresgid"):
    tell(name, 4711, 4711, 4711)
tell("setgroups", 0, None)
tell("initgroups", b"nobody", 4711)
tell("setns", -1, 0)
tell("unshare", 0)
list_ = ctypes.c_void_p()
tell("getaddrinfo", b"127.0.0.1", None, None, ctypes.byref(list_))
def host_told():
    return (h_errno().contents.value,)
h_errno().contents.value = 0
tell("gethostbyname", b"127.0.0.1", pointer=True, more=host_told)
h_errno().contents.value = 0
tell("gethostbyname2", b"127.0.0.1", socket.AF_INET, pointer=True, more=host_told)
host, told, buffer = ctypes.c_void_p(4711), ctypes.c_int(), ctypes.create_string_buffer(1024)
rest = (ctypes.create_string_buffer(64), buffer, len(buffer), ctypes.byref(host), ctypes.byref(told))
tell("gethostbyname_r", b"127.0.0.1", *rest, more=lambda: (host.value, told.value))
host.value, told.value = 4711, 0
tell("gethostbyname2_r", b"127.0.0.1", socket.AF_INET, *rest, more=lambda: (host.value, told.value))
tell("socket", socket.AF_INET, -1, 0)
tell("setsockopt", -1, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, buffer, 4)
tell("getsockopt", -1, socket.SOL_SOCKET, socket.SO_ERROR, buffer, ctypes.byref(ctypes.c_int(4)))
one = ctypes.create_string_buffer(struct.pack("=ihh", 1, 0, 0))
tell("poll", one, 1, 0)
tell("poll", one, -1, 0)
tell("ppoll", one, 1, ctypes.byref((ctypes.c_long * 2)(0, 1)), None)
tell("__poll_chk", one, 1, 0, 8)
tell("__ppoll_chk", one, 1, ctypes.byref((ctypes.c_long * 2)(0, 1)), None, 8)
time_ = (ctypes.c_long * 2)(0, 1)
tell("select", 0, None, None, None, ctypes.byref(time_), more=lambda: tuple(time_))
tell("select", -1, None, None, None, None)
tell("pselect", 0, None, None, None, ctypes.byref((ctypes.c_long * 2)(0, 1)), None)
queue = libc.epoll_create1(0)
for name in ("epoll_wait", "epoll_pwait"):
    tell(name, queue, buffer, 1, 0, *([None] if name == "epoll_pwait" else []))
tell("epoll_pwait2", queue, buffer, 1, ctypes.byref((ctypes.c_long * 2)(0, 1)), None)
tell("epoll_ctl", queue, 1, -1, buffer)
tell("close", -1)
tell("dup2", -1, 900)
tell("dup2", queue, queue, more=lambda: (queue,))
tell("dup3", queue, queue, 0)
tell("close_range", 2, 1, 0)
tell("closefrom", 900)
with socket.socket() as s:
    tell("connect", s.fileno(), struct.pack("=HHI8x", socket.AF_INET, socket.htons(1), socket.htonl(0x7f000001)), 16)
with socket.socket() as s:
    tell("getpeername", s.fileno(), buffer, ctypes.byref(ctypes.c_int(16)))
threading.Thread(target=libc.pthread_exit, args=[None], daemon=True).start()
while len(os.listdir("/proc/self/task")) > 1:
    time.sleep(0.001)
print("pthread_exit")
"""

WITHOUT = """
setuid -1 ENOSYS
setgid -1 ENOSYS
seteuid -1 ENOSYS
setegid -1 ENOSYS
setreuid -1 ENOSYS
setregid -1 ENOSYS
setresuid -1 ENOSYS
setresgid -1 ENOSYS
setgroups -1 ENOSYS
initgroups -1 ENOSYS
setns -1 ENOSYS
unshare -1 ENOSYS
getaddrinfo -11 ENOSYS
gethostbyname None ENOSYS -1
gethostbyname2 None ENOSYS -1
gethostbyname_r 38 ENOSYS None -1
gethostbyname2_r 38 ENOSYS None -1
socket -1 EINVAL
setsockopt -1 EBADF
getsockopt -1 EBADF
poll 0 0
poll -1 EINVAL
ppoll 0 0
__poll_chk 0 0
__ppoll_chk 0 0
select 0 0 0 0
select -1 EINVAL
pselect 0 0
epoll_wait 0 0
epoll_pwait 0 0
epoll_pwait2 0 0
epoll_ctl -1 EBADF
close -1 EBADF
dup2 -1 EBADF
dup2 3 0 3
dup3 -1 EINVAL
close_range -1 EINVAL
closefrom 0 0
connect -1 ECONNREFUSED
getpeername -1 ENOTCONN
pthread_exit
""".lstrip()


@pytest.mark.unsanitized("the runtimes look up what they intercept themselves")
def test_where_libcs_own_cannot_be_looked_up(network: None, run_shim: ShimRunner, build: Build) -> None:
    preload = f"{build.directory / 'tests/preload/no_dlsym.so'} {build.preload()}"

    result = run_shim(python(CALLS), env={"LD_PRELOAD": preload})

    expect((result.returncode, result.stdout, result.stderr), (0, WITHOUT, ""), result)


def test_every_call_was_asked() -> None:
    exported = re.search(r"global:(.*?)local:", (ROOT / "shim/shim.map").read_text(), re.DOTALL)
    assert exported
    expect(set(re.findall(r"\w+", exported[1])), {line.split()[0] for line in WITHOUT.splitlines()})
