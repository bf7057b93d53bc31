# SPDX-License-Identifier: Apache-2.0
"""Hazard: many threads make the first connection of a process at the same time.

A naive shim starts one engine for each of them, or lets those that come second use what the first has half made. Ours lets one
thread win, and the others wait for the same first table: one thread of ours, one list and one watch of a kind at the API server.
"""
from collections import Counter
from typing import Tuple

import pytest

from tests import shared
from tests.harness import Build, ShimProcess, ShimRunner, counts, expect, wait_until
from tests.hazards.isolation import Target, by_point, target
from tests.hazards.lifecycle import threads as threads_of
from tests.kube.double_cluster import DoubleCluster

pytestmark = pytest.mark.clusters("double")

# Where nothing is left by others a run lasts as long as its first sync; with a table that is left, a second, after which its
# new writer asks.
RUNS = pytest.mark.parametrize("left, runs", [("nothing", counts(15, 200)), ("table", counts(5, 50))])
KINDS = ("services", "endpointslices")


def wait_one_engine(program: ShimProcess, *others: str) -> None:
    """A thread has its name once it runs, which may be after a table that was left has served all others."""
    program.wait_output("end\n")
    pid = int(next(iter(by_point(program.result())["pid"])))
    wait_until(
        "one engine, and no other thread",
        lambda: threads_of(pid) == ["first_use_race", "k8slb", *others], program.result,
        lambda: threads_of(pid),
    )


def race(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, web: Target, threads: int, *how: str, left: str = "nothing"
) -> Tuple["Counter[str]", str]:
    """One process; who answered its threads, and what is wrong with the rest ("" for nothing)."""
    wait_until("the end of the watches before", lambda: cluster.server.open_watches() == 0, cluster.logs)
    if left == "nothing":
        shared.forget()
    cluster.server.log.clear()
    program = run_shim.start([build.programs / "first_use_race", *web.arguments, threads, *how], env=cluster.env("web"))
    wait_one_engine(program, "k8slb-watchdog")
    wait_until("both watches", lambda: cluster.server.open_watches() == len(KINDS), program.result, cluster.logs)
    result = program.result()
    requests = {(kind, verb): cluster.server.counts(kind, verb) for kind in KINDS for verb in ("list", "watch")}
    program.stop()
    answers = by_point(result)
    expect(result.stderr, "", result)
    expect(requests, {(kind, verb): 1 for kind in KINDS for verb in ("list", "watch")}, result, cluster.logs())
    expect(sum(answers["race"].values()), threads, result)
    return answers["race"], str(result)


@RUNS
def test_64_threads(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, left: str, runs: int) -> None:
    web = target(cluster)
    total: Counter[str] = Counter()
    for _ in range(runs):
        answers, shown = race(cluster, run_shim, build, web, 64, left=left)
        # All waited for the table; each got a turn of one sequence.
        expect(set(answers), set(web.names), shown)
        assert max(answers.values()) - min(answers.values()) <= 1, (answers, shown)
        total += answers
    print(f"\n{runs} runs of 64 threads: {dict(total)}; in each one engine, one list and one watch of each kind")


@RUNS
def test_64_threads_of_a_forked_child(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, left: str, runs: int
) -> None:
    """They also race for what fork() has left: whoever came while another one put it in order went to libc."""
    web = target(cluster)
    for _ in range(runs):
        answers, shown = race(cluster, run_shim, build, web, 64, "fork", left=left)
        expect(set(answers), set(web.names), shown)
        assert max(answers.values()) - min(answers.values()) <= 1, (answers, shown)


def test_500_threads(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    web = target(cluster)
    for _ in range(counts(1, 20)):
        answers, shown = race(cluster, run_shim, build, web, 500)
        expect(set(answers), set(web.names), shown)
        assert max(answers.values()) - min(answers.values()) <= 1, (answers, shown)


def test_while_the_api_server_is_away(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    web = target(cluster)
    cluster.stop_api()
    program = run_shim.start([build.programs / "first_use_race", *web.arguments, 64], env=cluster.env("web"))

    wait_one_engine(program)
    result = program.result()
    program.stop()

    expect(by_point(result)["race"], Counter({"vip": 64}), result)
