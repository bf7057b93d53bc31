# SPDX-License-Identifier: Apache-2.0
"""Hazard: fork() without exec, from threads and while the engine is anywhere in its work.

A naive shim leaves the child with the memory of a thread that it does not have: locks that nobody releases, a library
half initialised, a mark that says "started". The child hangs, or is never balanced again.
Defence: the page that says which process this is is wiped by the kernel in the child, hooks take no lock, and the child
starts an engine of its own that uses nothing of the parent's.
"""
from collections import Counter
from typing import Dict, List

import pytest

from tests.harness import Build, Result, ShimRunner, counts, expect
from tests.hazards.lifecycle import answers, expect_clean_survivor, shared_memory, three_and_vip, wait_no_watch
from tests.kube.cluster import Pod
from tests.kube.double_cluster import DoubleCluster

pytestmark = pytest.mark.clusters("double")

THREADS = 4
FORKS = 5  # of each thread

# The engine's calls in their order. getrandom: inside of curl's global init, with its lock held, or of a handshake.
PAUSES = (
    "pthread_create", "prctl", "getrandom", "eventfd", "open", "socket", "send", "recv", "poll",
)


def evenly(pods: List[Pod], total: int) -> Dict[str, int]:
    return {pod.name: total // len(pods) for pod in pods}


def together(result: Result, *tags: str) -> Dict[str, int]:
    total: Counter[str] = Counter()
    for tag in tags:
        total.update(answers(result.stdout, tag))
    return dict(total)


def test_threads_fork_at_once(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    service, pods = three_and_vip(cluster)
    command = [build.programs / "forks", service.vip, 80, "threads", THREADS]

    plain = run_shim(command, preload=False)
    result = run_shim(command, env=cluster.env("web"))

    children = THREADS * FORKS
    expect((plain.returncode, answers(plain.stdout, "child")), (0, {"vip": children * 6}), plain)
    expect((result.returncode, result.stderr), (0, ""), result)
    # All processes take their turns of one round.
    expect(together(result, "parent", "child", "grandchild"), evenly(pods, children * 18 + 3), result)


def test_child_and_grandchild_follow_changes(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    service, pods = three_and_vip(cluster)
    program = run_shim.start([build.programs / "forks", service.vip, 80, "follow"], env=cluster.env("web"))
    program.wait_output("child runs\n")

    cluster.add_pod("late", {"app": "web"})
    result = program.wait()

    expect(result.returncode, 0, result)
    for tag in ("child", "grandchild"):
        expect(answers(result.stdout, tag).get("followed"), 1, result)


@pytest.mark.unsanitized("the sanitizer's runtime makes the same calls")
@pytest.mark.parametrize("how", ["paused", "paused-clone"])
@pytest.mark.parametrize("pause", PAUSES)
def test_fork_while_the_engine_is_anywhere(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, pause: str, how: str
) -> None:
    """The parent's engine stands still for good, with all that it holds; the child's works, and both end."""
    service, pods = three_and_vip(cluster)
    preload = f"{build.directory / 'tests' / 'preload' / 'pause_engine.so'} {build.preload()}"
    env = cluster.env("web", K8SLB_SYNC_TIMEOUT="10000", LD_PRELOAD=preload, PAUSE_ENGINE_AT=pause)

    result = run_shim([build.programs / "forks", service.vip, 80, how], env=env)

    expect((result.returncode, result.stderr), (0, ""), result)
    expect(together(result, "child", "grandchild"), evenly(pods, 12), result)
    # Where the parent's engine has the writer's lock and no table yet, each finds out that it does not move.
    assert result.seconds < 10, result


@pytest.mark.timeout(300)
def test_storm_of_forks_during_the_first_sync(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    """10 forks in the first 30 ms of each program, so that they meet every moment of the engine's start and first sync."""
    service, pods = three_and_vip(cluster)
    programs, each = counts(4, 30), 10
    before = shared_memory()
    children = 0
    for _ in range(programs):
        program = run_shim.start([build.programs / "forks", service.vip, 80, "storm", each], env=cluster.env("web"))
        program.wait_output("end")
        result = program.result()
        expect(together(result, "parent", "child"), evenly(pods, 6 + each * 3), result)
        expect_clean_survivor(program.pid, "forks", result)
        children += sum(answers(result.stdout, "child").values()) // 3
        program.process.terminate()
        expect(program.wait().returncode, 0, result)
    wait_no_watch(cluster)
    expect(shared_memory(), before)
    print(f"\nforks during the first sync: {children} of {programs * each} children balanced, "
          f"{programs} parents went on, nothing left")
