# SPDX-License-Identifier: Apache-2.0
"""Hazard: the first connection comes when a thread or the program ends: from destructors of thread-specific data and of
thread_local objects, atexit() handlers, .fini_array, destructors of libraries.

A naive shim has taken itself down by then, or starts a thread that exit() runs over, or keeps per-thread state that is freed
already. Ours takes nothing down, and its thread is nobody's to wait for.
"""
import pytest

from tests.harness import Build, ShimRunner, counts, expect
from tests.hazards.isolation import by_point, evenly, expect_clean, library, preload_beside, target
from tests.kube.cluster import Cluster

pytestmark = pytest.mark.clusters("double")

ENDS = ["key", "cxa_thread", "key_main", "cxa_thread_main", "atexit", "on_exit", "fini"]
RUNS = counts(2, 40)


@pytest.mark.parametrize("point", ENDS)
@pytest.mark.parametrize("before", ["nothing", "main"])
def test_the_end_of(cluster: Cluster, run_shim: ShimRunner, build: Build, point: str, before: str) -> None:
    web = target(cluster)
    points = point if before == "nothing" else f"thread,main,{point}"
    for _ in range(RUNS):
        result = run_shim([build.programs / "lifetime", *web.arguments, points], env=cluster.env("web"))

        expect_clean(result)
        answers = by_point(result)
        expect(sum(answers[point].values()), 1, result)
        # The engine ends with the first thread, so the destructors of that may find it gone; then the call is libc's.
        allowed = {*web.names, "vip"} if point == "key_main" else set(web.names)
        assert set(answers.pop(point)) <= allowed, result
        for pods in answers.values():
            expect(pods, evenly(web.pods), result)


@pytest.mark.parametrize("first", [True, False], ids=["loaded-before-us", "loaded-behind-us"])
def test_every_end_in_one_program(cluster: Cluster, run_shim: ShimRunner, build: Build, first: bool) -> None:
    web = target(cluster)
    points = ["thread", "main", *(end for end in ENDS if end != "key_main")]  # after which main() does not return
    preload = preload_beside(build, library(build, "dialing_library"), first=first)
    env = cluster.env("web", LD_PRELOAD=preload, DIAL_AT=":".join(web.arguments))

    result = run_shim([build.programs / "lifetime", *web.arguments, ",".join(points)], env=env)

    expect_clean(result)
    expect(set(by_point(result)), {*points, "constructor", "destructor"}, result)
    total = sum(by_point(result).values(), evenly([], 0))
    # One sequence of turns for all of them.
    assert set(total) == set(web.names) and max(total.values()) - min(total.values()) <= 1, (total, result)
