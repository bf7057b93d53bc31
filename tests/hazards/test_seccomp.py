# SPDX-License-Identifier: Apache-2.0
"""A program that locks itself into a seccomp filter: a naive shim's hooks make calls that the filter forbids, or its thread
spins on the errors that it then gets. Our hooks make none but connect() and getsockopt() once there is a table, and a thread
that is locked in too rests. What no shim can help: a filter of all threads that kills the process for a call kills it for one
of ours."""
import os
import signal
from typing import List

import pytest

from tests.e2e.common import stand_in
from tests.harness import Build, ShimProcess, ShimRunner, expect, wait_until
from tests.hazards.guests import expect_balanced, names
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import web

pytestmark = [
    pytest.mark.clusters("double"),
    pytest.mark.unsanitized("the sanitizers make system calls of their own"),
]

ACTIONS = ["errno", "kill", "trap"]

# With one attempt a hook makes the calls that a connection needs, and no other. To fail over it also asks for the
# descriptor's flags and bounds the attempt (fcntl, setsockopt), which a filter that kills must allow: docs/limits.md.
ONE_ATTEMPT = {"K8SLB_ATTEMPTS": "1"}


def go_on(program: ShimProcess) -> List[str]:
    """Its lines to the end, once it was told to go on."""
    os.kill(program.pid, signal.SIGUSR1)
    return program.wait().stdout.splitlines()


def expect_rested(lines: List[str], program: ShimProcess) -> None:
    assert int(lines[-1]) < 100, program.result()


def expect_not_held_up(program: ShimProcess) -> None:
    """No call waited for a table: that would have taken all of run_shim's K8SLB_SYNC_TIMEOUT."""
    result = program.result()
    assert result.seconds < 10, result


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("scope", ["self", "all"])
@pytest.mark.parametrize("action", ACTIONS)
def test_without_the_shim(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, when: str, scope: str, action: str
) -> None:
    """The program keeps to its own rules."""
    service, _pods = web(cluster, pods=1)
    vip = stand_in(cluster, service)

    program = run_shim.start([build.programs / "sandbox", service.vip, 80, when, scope, action], preload=False)
    program.wait_output("waiting\n")

    expect(set(go_on(program)[:-1]), {vip.name, "filtered", "waiting"}, program.result())


@pytest.mark.parametrize("action", ACTIONS)
def test_a_filter_of_the_programs_own_thread(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, action: str
) -> None:
    """The hooks keep to what a connection needs, and the thread, which is free, follows the changes."""
    service, pods = web(cluster)
    program = run_shim.start([build.programs / "sandbox", service.vip, 80, "after", "self", action], env=cluster.env("web", **ONE_ATTEMPT))
    program.wait_output("waiting\n")

    late = cluster.add_pod("late", {"app": "web"})
    program.wait_log(r"table \d+: 1 Services, 1 ports, 4 endpoints")
    lines = go_on(program)

    expect_balanced(lines[-10:-1], [*pods, late], program.result())
    expect_rested(lines, program)


@pytest.mark.parametrize("action", ACTIONS)
def test_session_affinity_behind_a_filter(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, action: str
) -> None:
    """The first connection to a Service with affinity comes behind the filter: what all programs share for it can no
    longer be attached by this thread."""
    service, _pods = web(cluster)
    sticky, pods = web(cluster, name="sticky", sessionAffinity="ClientIP")
    program = run_shim.start(
        [build.programs / "sandbox", service.vip, 80, "after", "self", action, sticky.vip], env=cluster.env("web,sticky", **ONE_ATTEMPT)
    )
    program.wait_output("waiting\n")

    lines = go_on(program)

    answers = set(lines[lines.index("filtered") + 1 : -1]) - {"waiting"}
    expect((len(answers), answers <= names(pods)), (1, True), program.result())


def last_answers(lines: List[str]) -> List[str]:
    return lines[lines.index("waiting") + 1 : -1]


def test_a_filter_of_all_threads_that_refuses(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    """The thread can neither read nor sleep as it wants; the last table serves on, and nothing spins."""
    service, pods = web(cluster)
    vip = stand_in(cluster, service)
    program = run_shim.start([build.programs / "sandbox", service.vip, 80, "after", "all", "errno"], env=cluster.env("web"))
    program.wait_output("waiting\n")
    expect_not_held_up(program)
    expect_balanced(program.result().stdout.splitlines()[4:-1], pods, program.result())

    cluster.add_pod("late", {"app": "web"})
    lines = go_on(program)

    expect(program.result().returncode, 0, program.result())
    expect(set(last_answers(lines)) <= names(pods) | {vip.name}, True, program.result())
    expect_rested(lines, program)


def ended_by(program: ShimProcess, number: int) -> None:
    wait_until("its end", lambda: program.process.poll() is not None, program.result)
    expect(program.result().returncode, -number, program.result())


@pytest.mark.parametrize("action", ["kill", "trap"])
def test_a_filter_of_all_threads_that_kills(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, action: str
) -> None:
    """The limit of every thread in another's process: it is balanced until the thread's next system call, which ends it.
    K8SLB_SKIP is for such programs."""
    service, pods = web(cluster)
    vip = stand_in(cluster, service)
    command = [build.programs / "sandbox", service.vip, 80, "after", "all", action]
    doomed = run_shim.start(command, env=cluster.env("web"))
    doomed.wait_output("filtered\n")
    cluster.add_pod("late", {"app": "web"})
    ended_by(doomed, signal.SIGSYS)
    expect(set(doomed.result().stdout.splitlines()) <= names(pods) | {"filtered", "waiting"}, True, doomed.result())

    spared = run_shim.start(command, env=cluster.env("web", K8SLB_SKIP="sandbox"))
    spared.wait_output("waiting\n")
    lines = go_on(spared)

    expect(spared.result().returncode, 0, spared.result())
    expect(set(last_answers(lines)), {vip.name}, spared.result())


def test_a_first_call_behind_a_filter_that_refuses(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    """No thread can be started: every connection goes where it would without us, and none is held up."""
    service, _pods = web(cluster)
    vip = stand_in(cluster, service)
    program = run_shim.start([build.programs / "sandbox", service.vip, 80, "before", "self", "errno"], env=cluster.env("web"))
    program.wait_output("waiting\n")
    expect_not_held_up(program)

    lines = go_on(program)

    expect(set(lines[:-1]), {vip.name, "filtered", "waiting"}, program.result())
    expect_rested(lines, program)


@pytest.mark.parametrize("action", ["kill", "trap"])
def test_a_first_call_behind_a_filter_that_kills(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, action: str
) -> None:
    """Starting a thread is a call that the program does not make itself. K8SLB_SKIP is for such programs too."""
    service, _pods = web(cluster)
    vip = stand_in(cluster, service)
    command = [build.programs / "sandbox", service.vip, 80, "before", "self", action]
    ended_by(run_shim.start(command, env=cluster.env("web")), signal.SIGSYS)

    spared = run_shim.start(command, env=cluster.env("web", K8SLB_SKIP="sandbox"))
    spared.wait_output("waiting\n")

    expect(set(go_on(spared)[:-1]), {vip.name, "filtered", "waiting"}, spared.result())
