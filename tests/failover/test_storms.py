# SPDX-License-Identifier: Apache-2.0
"""Storms of connections that do not block, while two of three pods are dead and nobody remembers it (dead_pods.py): epolls that threads
share, numbers that are closed and used again, children of fork(), answers that come in the moment of the abort. None is lost,
none is stuck, and no socket is touched that is another one's."""
from collections import Counter
from contextlib import contextmanager
from typing import Dict, Iterator, List, NamedTuple

import pytest

from tests.e2e.common import hold_table, stand_in
from tests.failover.common import Firewall
from tests.failover.dead_pods import dialled, far, forgetful
from tests.harness import Build, Result, ShimRunner, counts, expect
from tests.kube.cluster import Cluster, Pod, Service
from tests.preload.common import web

pytestmark = [pytest.mark.clusters("double"), pytest.mark.timeout(counts(300, 900))]

WAITS = ["lt", "et", "oneshot"]
SLOW_WAITS = counts(["oneshot"], WAITS)
SHARED = counts(150, 15000)  # for each way to wait
PARALLEL = 16
SILENT = counts(16, 480)
ROUNDS = counts(8, 5000)  # of eight numbers, for each way and each distance
IN_A_PROCESS = 50
FORKS = counts(5, 600)
ABORTED = counts(100, 24000)


def of(build: Build, number: int) -> int:
    """So many, or a twentieth where ThreadSanitizer makes each as slow as that."""
    return max(number // 20, min(number, 150)) if "tsan" in build.preload() else number


def figures(result: Result, with_errors: bool = False) -> Dict[str, int]:
    """What a program printed, if it ended well."""
    expect((result.returncode, "" if with_errors else result.stderr), (0, ""), result)
    return {name: int(number) for name, number in (line.split() for line in result.stdout.splitlines())}


class Near(NamedTuple):
    service: Service
    pods: List[Pod]


@contextmanager
def near(cluster: Cluster, firewall: Firewall) -> Iterator[Near]:
    """As far(), on this node."""
    service, pods = web(cluster)
    firewall.refuse(pods[0])
    yield Near(service, pods)


@pytest.mark.parametrize("epolls", [1, 2])
@pytest.mark.parametrize("wait", WAITS)
def test_threads_share_epolls(
    cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall, wait: str, epolls: int
) -> None:
    count = of(build, SHARED)
    service, pods = web(cluster)
    stand_in(cluster, service)
    hold_table(run_shim, cluster)
    firewall.refuse(*pods[:2])
    command = [build.programs / "storm", service.vip, service.port, count, PARALLEL, wait, epolls, 5]
    with forgetful(build), dialled(pods) as dials:
        result = run_shim(command, env=cluster.env("web"), timeout=600)

    told = figures(result)
    expect(told, {"stuck": 0, "answered": count, "hung": 0, "closed": 0}, dials.counts(), result)
    expect(dials.counts()["web-0"] > count // 6, True, dials.counts(), result)


@pytest.mark.parametrize("wait", SLOW_WAITS)
def test_threads_share_an_epoll_and_a_refusal_comes_late(cluster: Cluster, run_shim: ShimRunner, build: Build, wait: str) -> None:
    count = of(build, SHARED)
    with far(cluster, dead=2) as there, dialled(there.pods) as dials:
        stand_in(cluster, there.service)
        hold_table(run_shim, cluster)
        command = [build.programs / "storm", there.service.vip, there.service.port, count, 2 * PARALLEL, wait, 2, 5]
        with forgetful(build):
            result = run_shim(command, env=cluster.env("web"), timeout=600)

        told = figures(result)
        expect(told, {"stuck": 0, "answered": count, "hung": 0, "closed": 0}, dials.counts(), result)
        expect(dials.counts()["web-0"] > count // 6, True, dials.counts(), result)


@pytest.mark.parametrize("wait", SLOW_WAITS)
def test_threads_share_an_epoll_and_a_pod_is_silent(
    cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall, wait: str
) -> None:
    count = of(build, SILENT)
    service, pods = web(cluster)
    stand_in(cluster, service)
    hold_table(run_shim, cluster)
    firewall.drop(*pods[:2])
    command = [build.programs / "storm", service.vip, service.port, count, PARALLEL, wait, 2, 5]
    with forgetful(build):
        result = run_shim(command, env=cluster.env("web"), timeout=600)

    expect(figures(result), {"stuck": 0, "answered": count, "hung": 0, "closed": 0}, result)


def expect_untouched(
    run_shim: ShimRunner, cluster: Cluster, build: Build, service: Service, rounds: int, longest_us: int, wait: str, **settings: str
) -> None:
    """Some rounds in a process each: the first surprise (shim/events.h) ends its filter, and a number that is another socket's is one."""
    other = cluster.add_pod("other", {"app": "other"})
    sums: "Counter[str]" = Counter()
    stderr = ""
    in_a_process = min(rounds, IN_A_PROCESS)
    command = [build.programs / "reuse", service.vip, service.port, in_a_process, longest_us, wait, other.ip, other.port]
    for _ in range(rounds // in_a_process):
        result = run_shim(command, env=cluster.env("web", **settings), timeout=100)
        sums.update(figures(result, with_errors=True))
        stderr += result.stderr
    print(dict(sums))
    expect((sums["rounds"], sums["stale"], sums["foreign"], stderr), (rounds // in_a_process * in_a_process, 0, 0, ""), dict(sums))


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("longest_us", [60, 300])
def test_numbers_are_used_again(
    cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall, wait: str, longest_us: int
) -> None:
    """Pods refuse at once: their events are there as soon as the connection is in the epoll."""
    service, pods = web(cluster)
    hold_table(run_shim, cluster)
    firewall.refuse(*pods[:2])
    with forgetful(build):
        expect_untouched(run_shim, cluster, build, service, of(build, ROUNDS), longest_us, wait)


@pytest.mark.parametrize("wait", ["lt", "et"])
def test_numbers_are_used_again_when_the_refusal_comes_late(cluster: Cluster, run_shim: ShimRunner, build: Build, wait: str) -> None:
    """It comes within the time in which they are closed."""
    with far(cluster, dead=2) as there:
        hold_table(run_shim, cluster)
        with forgetful(build):
            expect_untouched(run_shim, cluster, build, there.service, of(build, ROUNDS), 12000, wait)


@pytest.mark.parametrize("wait", ["lt", "et"])
def test_numbers_are_used_again_when_a_try_is_over(
    cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall, wait: str
) -> None:
    """Pods are silent, and the connections are closed in the moment when their tries end."""
    service, pods = web(cluster)
    hold_table(run_shim, cluster)
    firewall.drop(*pods)
    rounds = counts(4, 1000)
    with forgetful(build):
        expect_untouched(run_shim, cluster, build, service, rounds, 110000, wait, K8SLB_CONNECT_TIMEOUT="50")


@pytest.mark.parametrize("who", counts(["both"], ["parent", "child", "both"]))
@pytest.mark.parametrize("distance", ["near", "far"])
def test_a_fork_while_it_connects(
    cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall, who: str, distance: str
) -> None:
    """Who made the connection sees no dead pod, its child at most what it sees without; no process waits for ever."""
    count = of(build, FORKS)
    with far(cluster) if distance == "far" else near(cluster, firewall) as there:
        hold_table(run_shim, cluster)
        with forgetful(build), dialled(there.pods) as dials:
            command = [build.programs / "forked", there.service.vip, there.service.port, count, who]
            result = run_shim(command, env=cluster.env("web"), timeout=600)
            met = dials.counts()["web-0"]

    told = figures(result)
    expect(met > count // 10, True, result)
    expect(sum(told[f"parent-{name}"] for name in ("stuck", "other")), 0, result)
    expect(sum(told[f"child-{name}"] for name in ("stuck", "other")), 0, result)
    if who == "parent":
        expect(told["parent-connected"], count, result)
    if who == "child":
        expect((told["child-connected"] + told["child-refused"], told["child-hung"]), (count, 0), result)


def test_an_answer_in_the_moment_of_the_abort(cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
    """The SYN-ACK of a good pod takes as long as a try does. Who is told that it is connected gets the pod's answer."""
    count = of(build, ABORTED)
    parallel = min(count, 400)
    with far(cluster, dead=0, ms=500, spread_ms=2) as there:
        stand_in(cluster, there.service)
        hold_table(run_shim, cluster)
        command = [build.programs / "storm", there.service.vip, there.service.port, count, parallel, "et", 1, 30]
        with forgetful(build), dialled(there.pods) as dials:
            env = cluster.env("web", K8SLB_CONNECT_TIMEOUT="1000")
            result = run_shim(command, env=env, timeout=800)

    told = figures(result)
    print(result.stdout, dials.counts())
    expect(told, {"stuck": 0, "answered": count, "hung": 0, "closed": 0}, result)
