# SPDX-License-Identifier: Apache-2.0
"""exit_fds.py REPORT COMMAND...: run a program, and write down as JSON which descriptors it still has when it exits.

The program is stopped by ptrace at the moment of its exit, when nothing is closed yet; signals pass as they are. The
variable TRACED_PRELOAD becomes its LD_PRELOAD, so that only the program itself runs with it. Ends as the program ended.
"""
import ctypes
import json
import os
import signal
import sys
from typing import Dict

PTRACE_CONT, PTRACE_LISTEN, PTRACE_SEIZE = 7, 0x4208, 0x4206
EVENT_EXIT, EVENT_STOP = 6, 128
TRACE_EXIT, KILL_WITH_ME = 1 << EVENT_EXIT, 1 << 20
EVERY_KIND_OF_CHILD = 0x40000000  # __WALL

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def ptrace(request: int, pid: int, data: int) -> None:
    if _libc.ptrace(request, pid, None, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace {request}: {os.strerror(number)}")


def descriptors(pid: int) -> Dict[str, str]:
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[number] = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:  # closed by another thread since
            pass
    return found


def run(report: str, command: "list[str]") -> int:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os.close(reader)
        env = {name: value for name, value in os.environ.items() if name != "TRACED_PRELOAD"}
        if "TRACED_PRELOAD" in os.environ:
            env["LD_PRELOAD"] = os.environ["TRACED_PRELOAD"]
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them
            signal.signal(number, signal.SIG_DFL)
        try:
            os.execvpe(command[0], command, env)
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        os._exit(127)
    os.close(reader)
    ptrace(PTRACE_SEIZE, pid, TRACE_EXIT | KILL_WITH_ME)
    os.close(writer)
    while True:
        _pid, status = os.waitpid(pid, EVERY_KIND_OF_CHILD)
        if not os.WIFSTOPPED(status):
            return status
        event = status >> 16
        if event == EVENT_EXIT:
            with open(report, "w") as file:
                json.dump(descriptors(pid), file)
        stopped = event == EVENT_STOP and os.WSTOPSIG(status) != signal.SIGTRAP
        ptrace(PTRACE_LISTEN if stopped else PTRACE_CONT, pid, 0 if event else os.WSTOPSIG(status))


if __name__ == "__main__":
    ended = run(sys.argv[1], sys.argv[2:])
    if os.WIFSIGNALED(ended):
        signal.signal(os.WTERMSIG(ended), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(ended))
    sys.exit(os.WEXITSTATUS(ended))
