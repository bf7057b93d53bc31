# SPDX-License-Identifier: Apache-2.0
"""Hazard: the library is loaded by every program of a container, and all but a few have nothing for it to do.

A naive shim looks up settings in each call, makes its structures in the constructor, or starts its thread there. Ours, with
K8SLB_SERVICES unset or empty or the program excluded, asks one word of its own whether it acts, and then is libc's call:
a few dozen instructions, no function of anybody else, no allocation. That it makes no system call is in
test_strace_unrelated.py.
"""
from typing import Dict, Optional

import pytest

from tests.harness import Build, Result, ShimRunner, expect

Settings = Dict[str, Optional[str]]

INERT: Dict[str, Settings] = {
    "unset": {"K8SLB_SERVICES": None},
    "empty": {"K8SLB_SERVICES": ""},
    "skipped": {"K8SLB_SERVICES": "web", "K8SLB_SKIP": "hook_steps hook_allocations"},
    "not among the only ones": {"K8SLB_SERVICES": "web", "K8SLB_ONLY": "nginx"},
}
inert = pytest.mark.parametrize("settings", [pytest.param(settings, id=name) for name, settings in INERT.items()])

HOOKS = {
    "connect", "getpeername", "getaddrinfo", "gethostbyname", "gethostbyname2", "gethostbyname_r", "gethostbyname2_r",
    "getsockopt", "poll", "select", "epoll_wait",
}  # fmt: skip
# One load, one branch, and the frames around libc's call; a hook that acts takes its first 55 to 180 instructions before it
# has looked at anything.
MOST_INSTRUCTIONS = 120


def table(result: Result) -> Dict[str, str]:
    """The lines "what: figures" of a program."""
    expect((result.returncode, result.stderr), (0, ""), result)
    return dict(line.split(": ", 1) for line in result.stdout.splitlines() if line)


@pytest.mark.unsanitized("the instructions of the sanitizer are counted")
@inert
def test_a_call_is_one_question_and_then_libcs(run_shim: ShimRunner, build: Build, settings: Settings) -> None:
    steps = table(run_shim([build.programs / "hook_steps"], env=settings))

    expect(set(steps), HOOKS)
    for name, line in steps.items():
        *called, instructions = line.split()
        # glibc calls its connect() __connect inside.
        others = [function for function in called if function.lstrip("_") != name]
        expect((others, len(called)), ([], 1), name, line)
        assert 0 < int(instructions) <= MOST_INSTRUCTIONS, f"{name}: {line}"


def test_without_the_library_nothing_is_counted(run_shim: ShimRunner, build: Build) -> None:
    """So the counts above are ours."""
    expect(table(run_shim([build.programs / "hook_steps"], preload=False)), dict.fromkeys(HOOKS, "0"))


@pytest.mark.unsanitized("the sanitizer brings an allocator of its own")
@inert
def test_nothing_is_allocated(run_shim: ShimRunner, build: Build, settings: Settings) -> None:
    program = [build.programs / "hook_allocations", "127.0.0.1", "1", "localhost"]
    bare = table(run_shim(program, preload=False))
    assert len(bare) == 7 and int(bare["whole program"]) > 0, bare

    expect(table(run_shim(program, env=settings)), bare)
