# SPDX-License-Identifier: Apache-2.0
"""Hazard: the program has an allocator of its own, linked in or preloaded before or after us: jemalloc, tcmalloc, mimalloc.

A naive shim takes memory from one allocator and gives it back to another: what libc's strdup() took from jemalloc, its own free()
of libc ends in "invalid pointer". Ours calls what the program calls, for everything.
"""
import pytest

from tests.harness import Build, ShimRunner, counts, expect
from tests.hazards.isolation import by_point, evenly, expect_clean, preload_beside, system_library, target
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import client, tally
from tests.shared import forget

pytestmark = pytest.mark.clusters("double")

RUNS = counts(2, 30)
ALLOCATORS = ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libtcmalloc_minimal_debug.so.4", "libmimalloc.so.?"]


@pytest.mark.parametrize("first", [True, False], ids=["before-us", "behind-us"])
@pytest.mark.parametrize("name", ALLOCATORS)
def test_preloaded(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, name: str, first: bool) -> None:
    web = target(cluster)
    env = cluster.env("web", LD_PRELOAD=preload_beside(build, system_library(name), first=first))
    # The engine's thread comes and goes with each of them, and with it everything that it took.
    for command in (
        [build.programs / "churn", *web.arguments],
        [build.programs / "lifetime", *web.arguments, "init,thread,main,key,atexit"],
    ):
        for _ in range(RUNS):
            result = run_shim(command, env=env)
            expect_clean(result)
            expect(by_point(result)["main"], evenly(web.pods), result)
    result = run_shim(client("web.default.svc", web.service.port, 9), env=env)
    expect_clean(result)
    expect(tally(result.stdout), evenly(web.pods, 3), result)


def test_linked_in(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    web = target(cluster)
    for _ in range(RUNS):
        forget()  # who has a table that was left lists later than this program lives
        result = run_shim([build.programs / "own_malloc", *web.arguments, 30], env=cluster.env("web"))

        expect_clean(result)
        answers = by_point(result)
        # The engine took its memory from this allocator, and gave nothing back that was another's.
        assert int(next(iter(answers.pop("others")))) > 50, result
        expect(answers, {"main": evenly(web.pods, 10)}, result)
