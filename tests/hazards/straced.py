# SPDX-License-Identifier: Apache-2.0
"""What programs ask of the kernel, as strace tells it, made comparable between two runs."""
import difflib
import re
from pathlib import Path
from typing import Any, List, Sequence

from tests.harness import Environment, Result, ShimRunner, expect

Calls = List[str]

# What differs between two runs of one program, and what stands for it. Strings that strace cut ("...) count as themselves.
_MASKS = [
    (re.compile(r"0x[0-9a-f]+"), "ADDRESS"),
    (re.compile(r'^getrandom\("[^"]*"'), "getrandom(BYTES"),
    (re.compile(r"^mmap\(NULL, \d+, PROT_READ\|PROT_WRITE, MAP_PRIVATE\|MAP_ANONYMOUS,"), "mmap(NULL, SIZE, ANONYMOUS,"),
    (re.compile(r"^mprotect\(ADDRESS, \d+, PROT_READ\)"), "mprotect(ADDRESS, SIZE, PROT_READ)"),
    (re.compile(r"/\* \d+ vars \*/"), "/* VARIABLES */"),
    (re.compile(r"^(getpid|getppid|gettid|set_tid_address|getpgrp|wait4|clone3?|v?fork)(\(.*) = \d+"), r"\1\2 = PID"),
    (re.compile(r"^(sysinfo|clock_gettime|gettimeofday|times|getrusage)\(.*"), r"\1(NOW)"),
    (re.compile(r"parent_tid=\[\d+\]"), "parent_tid=[PID]"),
    (re.compile(r"nl_pid=[1-9]\d*|nlmsg_pid=[1-9]\d*"), "nl_pid=PID"),
    (re.compile(r"nlmsg_seq=\d+"), "nlmsg_seq=N"),
    (re.compile(r"sin6?_port=htons\(\d{5}\)"), "PORT"),
    (re.compile(r"\s+= "), " = "),
]
# How often a program waits, and where a signal reaches it, differs from run to run.
_TIMING = re.compile(r"^(rt_sigreturn|restart_syscall|futex|p?poll|epoll_wait)\(|^wait4\(.*WNOHANG")
_ANONYMOUS = "mmap(NULL, SIZE, ANONYMOUS, -1, 0) = ADDRESS"

_LIBRARY = re.compile(r'^openat\(AT_FDCWD, "[^"]*/(libk8slb|libpthread|libdl)\.so[^"]*", O_RDONLY\|O_CLOEXEC\) = (\d+)')


def straced(
    run_shim: ShimRunner, folder: Path, command: Sequence[Any], env: Environment, preload: str, bare: bool = False
) -> "tuple[Result, List[Calls]]":
    """The calls of each process and thread of the command, in the order of their birth. The library gets into the program
    alone and not into strace. bare: without it, in an environment of the same size, which interpreters copy."""
    folder.mkdir()
    inject = ["-E", f"{'UN_PRELOAD' if bare else 'LD_PRELOAD'}={preload}"]
    options = ["-ff", "-qq", "-e", "signal=none", "-s", "40", "-o", folder / "trace"]
    result = run_shim(["strace", *options, *inject, *command], env={"K8SLB_LOG": None, **env}, preload=False)
    traces = sorted(folder.iterdir(), key=lambda path: int(path.suffix[1:]))
    return result, [_comparable(path.read_text(errors="replace").splitlines()) for path in traces]


def _comparable(lines: Sequence[str]) -> Calls:
    calls = []
    loading = False
    for line in lines:
        for pattern, replacement in _MASKS:
            line = pattern.sub(replacement, line)
        # The loader needs memory for what it notes of each object, here or there a page more.
        if line.startswith("execve(") and line.endswith("= 0"):
            loading = True
        elif line.startswith("set_tid_address("):
            loading = False
        if not _TIMING.match(line) and not (loading and line == _ANONYMOUS):
            calls.append(line)
    return calls


def without_library(calls: Calls, bare: Calls, constructor: Calls) -> Calls:
    """The calls without those of the loader for libk8slb.so (and for parts of libc that it needs and the bare program does
    not) and without those of our constructor, which must follow each load exactly once."""
    had = {match.group(1) for match in map(_LIBRARY.match, bare) if match}
    rest: Calls = []
    relro = 0  # a loaded object's one mprotect()
    due = 0  # constructors that have not run
    i = 0
    while i < len(calls):
        match = _LIBRARY.match(calls[i])
        if match and match.group(1) not in had:
            end = calls.index(f"close({match.group(2)}) = 0", i)
            expect([call for call in calls[i + 1 : end] if not re.match(r"(read|pread64|newfstatat|fstat|mmap)\(", call)], [])
            relro += 1
            due += match.group(1) == "libk8slb"
            i = end + 1
        elif relro and calls[i] == "mprotect(ADDRESS, SIZE, PROT_READ) = 0":
            relro -= 1
            i += 1
        elif due and constructor and calls[i : i + len(constructor)] == constructor:
            due -= 1
            i += len(constructor)
        else:
            rest.append(calls[i])
            i += 1
    expect((relro, due if constructor else 0), (0, 0), *calls)
    return rest


def difference(bare: Calls, shim: Calls) -> str:
    """As diff -u shows it; "" when there is none."""
    return "\n".join(difflib.unified_diff(bare, shim, "bare", "under the shim", lineterm="", n=3))
