# SPDX-License-Identifier: Apache-2.0
"""Hazard: many threads make the first connection of a process at the same time.

A naive shim starts one engine for each of them, or lets those that come second use what the first has half made. Ours lets one
thread win, and the others wait for the same first table: one thread of ours, one list and one watch of a kind at the API server.
"""
from collections import Counter
from typing import Tuple

import pytest

from tests.harness import Build, ShimRunner, counts, expect, wait_until
from tests.hazards.isolation import Target, by_point, target
from tests.kube.double_cluster import DoubleCluster

pytestmark = pytest.mark.clusters("double")

RUNS = counts(15, 200)
KINDS = ("services", "endpointslices")


def race(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, web: Target, threads: int, *how: str
) -> Tuple["Counter[str]", str]:
    """One process; who answered its threads, and what is wrong with the rest ("" for nothing)."""
    wait_until("the end of the watches before", lambda: cluster.server.open_watches() == 0, 10, cluster.logs)
    cluster.server.log.clear()
    program = run_shim.start([build.programs / "first_use_race", *web.arguments, threads, *how], env=cluster.env("web"))
    program.wait_output("end\n")
    wait_until("both watches", lambda: cluster.server.open_watches() == len(KINDS), 10, program.result, cluster.logs)
    result = program.result()
    requests = {(kind, verb): cluster.server.counts(kind, verb) for kind in KINDS for verb in ("list", "watch")}
    program.stop()
    answers = by_point(result)
    expect((answers["engines"], result.stderr), (Counter({"1": 1}), ""), result)
    expect(requests, {(kind, verb): 1 for kind in KINDS for verb in ("list", "watch")}, result, cluster.logs())
    expect(sum(answers["race"].values()), threads, result)
    return answers["race"], str(result)


def test_64_threads(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    web = target(cluster)
    total: Counter[str] = Counter()
    for _ in range(RUNS):
        answers, shown = race(cluster, run_shim, build, web, 64)
        # All waited for the table; each got a turn of one sequence.
        expect(set(answers), set(web.names), shown)
        assert max(answers.values()) - min(answers.values()) <= 1, (answers, shown)
        total += answers
    print(f"\n{RUNS} runs of 64 threads: {dict(total)}; in each one engine, one list and one watch of each kind")


def test_64_threads_of_a_forked_child(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    """They also race for what fork() has left: whoever came while another one put it in order went to libc."""
    web = target(cluster)
    for _ in range(RUNS):
        answers, shown = race(cluster, run_shim, build, web, 64, "fork")
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

    program.wait_output("end\n")
    result = program.result()
    program.stop()

    expect(by_point(result)["engines"], Counter({"1": 1}), result)
    expect(by_point(result)["race"], Counter({"vip": 64}), result)
