# SPDX-License-Identifier: Apache-2.0
"""strace and gdb on a program that is balanced: it goes on as without them, and they work with the shim in themselves."""
import signal
from collections import Counter
from typing import Callable, List

import pytest

from tests.e2e.common import Follower
from tests.harness import ShimRunner, expect, wait_until
from tests.programs.common import Backend, World

pytestmark = pytest.mark.clusters("double")

GDB = ["gdb", "-q", "-nx", "-batch", "-iex", "set auto-load no", "-iex", "set debuginfod enabled off"]


def curl(host: str) -> List[str]:
    return ["curl", "-sS", "-HConnection:close", f"http://{host}/[1-30]"]


def without_threads(text: str) -> str:
    """What gdb tells about threads, of which the shim adds one, and about processes by their number. It writes the bracket by
    itself, and a line of the program's may come after that."""
    lines = [line.lstrip("[") for line in text.splitlines()]
    return "\n".join(line for line in lines if not line.startswith(("New ", "Thread 0x", "Inferior")))


def expect_equal_shares(answers: List[str], web: Backend, *shown: object) -> None:
    tally = Counter(answers)
    expect(set(tally), web.pod_names, *shown)
    expect(max(tally.values()) - min(tally.values()) <= 1, True, tally, *shown)


@pytest.mark.parametrize("by", ["vip", "name"])
def test_strace_starts_the_program(world: World, by: str) -> None:
    web = world.web()
    # The tracer has the shim too, and hands it on.
    world.both(["strace", "-f", "-o", "trace", *curl(getattr(web, by))], {web: 30})


@pytest.mark.parametrize("by", ["vip", "name"])
def test_gdb_starts_the_program(world: World, by: str) -> None:
    web = world.web()
    world.both([*GDB, "-ex", "run", "--args", *curl(getattr(web, by))], {web: 30}, same=without_threads)


def test_gdb_stops_a_program_in_connect(world: World) -> None:
    web = world.web()
    # Only the program has the shim, not the debugger.
    prepare = [f"set environment LD_PRELOAD {world.build.preload()}", "set breakpoint pending on", "break connect"]
    session = [*prepare, "run", "info symbol $pc", "bt", "finish", "delete", "continue"]
    commands = [word for command in session for word in ("-ex", command)]
    program = [world.build.programs / "connect_loop", web.vip, web.port, 30, "plain"]
    with world.counting({web: 30}, caught=True):
        run = world.run([*GDB, *commands, "--args", *program], preload=False)
    expect(run.result.returncode, 0, run.result)
    expect(f"connect in section .text of {world.build.shim}" in run.result.stdout, True, run.result)
    expect_equal_shares([line for line in run.result.stdout.splitlines() if line in web.pod_names], web, run.result)


def attach_gdb(run_shim: ShimRunner, pid: int) -> None:
    commands = ["thread apply all bt", "info sharedlibrary k8slb", "detach"]
    words = [*GDB, "-p", pid, *(word for command in commands for word in ("-ex", command))]
    result = run_shim(words, preload=False)
    # Seen once in some thousand: gdb's own fault, which it tells.
    if "internal problem" in result.stderr:
        result = run_shim(words, preload=False)
    expect(result.returncode, 0, result)
    expect("libk8slb.so" in result.stdout, True, result)


def attach_strace(run_shim: ShimRunner, pid: int) -> None:
    strace = run_shim.start(["strace", "-f", "-e", "trace=connect", "-p", pid], preload=False)
    wait_until("calls of connect()", lambda: strace.result().stderr.count("connect(") >= 10, strace.result)
    strace.stop(signal.SIGINT)


@pytest.mark.parametrize("attach", [attach_gdb, attach_strace], ids=["gdb", "strace"])
def test_attached_while_it_connects(world: World, run_shim: ShimRunner, attach: Callable[[ShimRunner, int], None]) -> None:
    web = world.web()
    follower = Follower(run_shim, web.service, world.env(), pause_ms=1)
    follower.wait_results(web.pod_names)
    for _ in range(3):
        attach(run_shim, follower.process.pid)
    since = max(line.start for line in follower.lines())
    follower.wait("30 more connections", lambda lines: len(lines) >= 30, since=since)
    expect_equal_shares([line.result for line in follower.lines()], web, follower)
    expect(world.traffic(web).vip, 0, follower)
    follower.process.stop(signal.SIGTERM)
    expect((follower.process.result().returncode, follower.process.result().stderr), (0, ""), follower)
