# SPDX-License-Identifier: Apache-2.0
"""What kinds of programs see of a non-blocking connection whose pod is dead: nothing, as long as another one follows.

Of three pods two are dead, so that more than half are avoided and all are used: two thirds of the connections meet one.
"""
from collections import Counter
from itertools import zip_longest
from typing import List, NamedTuple, Optional

import pytest

from tests.e2e.common import hold_table, stand_in
from tests.failover.common import SLACK_MS, TIMEOUT_MS, Firewall, refuse
from tests.harness import Build, Result, ShimRunner, counts, expect, wait_until
from tests.kube.cluster import Cluster, Service
from tests.preload.common import web

pytestmark = pytest.mark.clusters("double")

WAYS = [
    "poll", "poll_both", "poll_chk", "ppoll_chk", "ppoll", "poll_0", "poll_steps", "poll_two", "poll_joined", "poll_connect",
    "poll_write",
    "select", "select_both", "select_high", "select_connect", "pselect",
    "epoll", "epoll_both", "epoll_et", "epoll_oneshot", "epoll_et_oneshot", "epoll_write", "epoll_pwait", "epoll_pwait2",
]  # fmt: skip


# Where a connection takes its time, or one of each hook will do with make test.
SLOW_WAYS = counts(["poll", "poll_two", "select", "epoll_et_oneshot"], WAYS)
ONCE = pytest.mark.unsanitized("one of each hook will do")


class Connection(NamedTuple):
    ms: float
    result: str
    excess: str


def under_way(build: Build, way: str, service: Service, count: int, longest_ms: int = 5000, host: str = "") -> List[object]:
    return [build.programs / "under_way", way, host or service.name, service.port, count, longest_ms]


def told(result: Result, count: int) -> List[Connection]:
    expect((result.returncode, result.stderr), (0, ""), result)
    lines = [line.split(" ", 2) for line in result.stdout.splitlines()]
    expect(len(lines), count, result)
    return [Connection(float(line[0]), line[1], line[2] if len(line) > 2 else "") for line in lines]


@pytest.mark.parametrize("way", [pytest.param(way, marks=[] if way in SLOW_WAYS else ONCE) for way in WAYS])
def test_refused(cluster: Cluster, run_shim: ShimRunner, build: Build, way: str) -> None:
    service, pods = web(cluster)
    refuse(*pods[1:])
    count = counts(30, 200)

    connections = told(run_shim(under_way(build, way, service, count), env=cluster.env("web")), count)

    expect(Counter((one.result, one.excess) for one in connections), Counter({("web-0", ""): count}), connections)


@pytest.mark.parametrize("way", SLOW_WAYS)
def test_no_answer(cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall, way: str) -> None:
    """Each dead pod costs K8SLB_CONNECT_TIMEOUT, and is then avoided for a second: so a few connections meet one."""
    service, pods = web(cluster)
    firewall.drop(*pods[1:])
    count = counts(3, 60)

    connections = told(run_shim(under_way(build, way, service, count), env=cluster.env("web")), count)

    expect(Counter((one.result, one.excess) for one in connections), Counter({("web-0", ""): count}), connections)
    longest = max(one.ms for one in connections)
    expect(TIMEOUT_MS * 0.9 < longest < 2 * TIMEOUT_MS + 3 * SLACK_MS, True, connections)


@pytest.mark.parametrize("way", SLOW_WAYS)
def test_all_refuse(cluster: Cluster, run_shim: ShimRunner, build: Build, way: str) -> None:
    """The last endpoint is the Service's own address, and what that says is the program's."""
    service, pods = web(cluster)
    vip = stand_in(cluster, service)
    refuse(*pods, vip)
    count = counts(5, 50)

    bare = told(run_shim(under_way(build, way, service, count, host=service.vip), preload=False), count)
    connections = told(run_shim(under_way(build, way, service, count), env=cluster.env("web")), count)

    expect({(one.result, one.excess) for one in connections}, {(one.result, one.excess) for one in bare}, connections)


@pytest.mark.parametrize("way", SLOW_WAYS)
def test_the_services_own_address_is_the_last(cluster: Cluster, run_shim: ShimRunner, build: Build, way: str) -> None:
    service, pods = web(cluster)
    stand_in(cluster, service)
    refuse(*pods)
    count = counts(10, 100)

    connections = told(run_shim(under_way(build, way, service, count), env=cluster.env("web")), count)

    expect({(one.result, one.excess) for one in connections}, {("vip", "")}, connections)


@pytest.mark.parametrize("way", SLOW_WAYS)
def test_all_good(cluster: Cluster, run_shim: ShimRunner, build: Build, way: str) -> None:
    service, pods = web(cluster)
    count = counts(30, 300)

    connections = told(run_shim(under_way(build, way, service, count), env=cluster.env("web")), count)

    expect(Counter((one.result, one.excess) for one in connections), Counter({(pod.name, ""): count // 3 for pod in pods}), connections)


@pytest.mark.parametrize("way", ["poll_two", "poll_idle", "epoll_idle"])
def test_a_program_with_threads_sees_none_either(cluster: Cluster, run_shim: ShimRunner, build: Build, way: str) -> None:
    service, pods = web(cluster)
    refuse(*pods[1:])
    count = counts(30, 200)

    connections = told(run_shim(under_way(build, way, service, count), env=cluster.env("web")), count)

    expect({(one.result, one.excess) for one in connections}, {("web-0", "")}, connections)


def annotate(cluster: Cluster, service: Service, value: Optional[str]) -> None:
    path = f"/api/v1/namespaces/{service.namespace}/services/{service.name}"
    status, answer = cluster.request("PATCH", path, {"metadata": {"annotations": {"k8slb.io/attempts": value}}})
    expect(status, 200, answer)


def test_a_service_may_turn_it_off(cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
    """For all its clients, by an annotation: then two thirds of the connections fail; and on again."""
    service, pods = web(cluster)
    refuse(*pods[1:])
    program = run_shim.start(under_way(build, "poll_forever", service, 0), env=cluster.env("web"))

    def lines() -> List[str]:
        return program.result().stdout.splitlines()

    wait_until("its first connections", lambda: len(lines()) > 20, program.result)
    expect({line.split()[1] for line in lines()}, {"web-0"}, program.result())
    annotate(cluster, service, "1")
    wait_until("failures", lambda: "ECONNREFUSED" in program.result().stdout, program.result)
    annotate(cluster, service, None)

    wait_until("no failures", lambda: all("web-0" in line for line in lines()[-200:]), program.result)


def test_forked(cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
    """A child has its parent's socket, and touches it not: it goes on in the parent."""
    service, pods = web(cluster)
    refuse(*pods[1:])
    count = counts(20, 200)

    connections = told(run_shim(under_way(build, "poll_forked", service, count), env=cluster.env("web")), count)

    expect(Counter((one.result, one.excess) for one in connections), Counter({("web-0", ""): count}), connections)


def test_disconnected(cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall) -> None:
    """connect(AF_UNSPEC) ends it: nothing connects again behind the program's back."""
    service, pods = web(cluster)
    firewall.drop(*pods)

    result = run_shim(under_way(build, "unspec", service, 1), env=cluster.env("web"))

    expect((result.returncode, result.stdout), (0, "0.000 state=7\n"), result)


@pytest.mark.unsanitized("the sanitizers make system calls of their own")
def test_a_thread_in_a_sandbox_is_left_alone(cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
    """It may wait and ask, and whatever else it calls ends it: what it sees is what comes of the one pod."""
    service, pods = web(cluster)
    refuse(*pods)

    result = run_shim(under_way(build, "sandbox", service, 1), env=cluster.env("web"))

    expect((result.returncode, result.stdout.split()[1:]), (0, ["ECONNREFUSED"]), result)


@pytest.mark.unsanitized("it reads what is not there")
def test_bad_pointers(cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall) -> None:
    """Beside a connection that is under way they are what they are without: what the kernel says of them."""
    service, pods = web(cluster)
    hold_table(run_shim, cluster)
    firewall.drop(*pods)
    beside = build.directory / "tests/preload/pending_connection.so"
    settings = {"PENDING_CONNECTION": f"{service.vip}:{service.port}", "K8SLB_CONNECT_TIMEOUT": "60000"}
    results = [
        run_shim([build.programs / "bad_pointers"], env=cluster.env("web", **settings, LD_PRELOAD=preload), preload=False)
        for preload in (str(beside), build.preload(beside))
    ]

    plain, shim = (result.stdout.splitlines() for result in results)
    expect((results[0].returncode, len(plain) > 50), (0, True), results[0])
    expect([pair for pair in zip_longest(plain, shim) if pair[0] != pair[1]], [], results[1])
    expect((results[1].returncode, results[1].stderr), (0, ""), results[1])
