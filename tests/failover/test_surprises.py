# SPDX-License-Identifier: Apache-2.0
"""What the filter of events cannot expect switches it off, for the life of the process: each is brought about here.

Two of three pods refuse and more than half are avoided, so that all are used: a process without the filter sees two thirds of its
connections fail.
"""
from typing import Dict, List

import pytest

from tests.failover.common import refuse
from tests.failover.dead_pods import taken_for_libcs
from tests.failover.test_under_way import Connection, told, under_way
from tests.harness import Build, Result, ShimRunner, expect
from tests.kube.cluster import Cluster, Service
from tests.preload.common import web

pytestmark = [pytest.mark.clusters("double"), pytest.mark.unsanitized("another library stands behind ours")]

COUNT = 40
WORDS = "not failed over in this process from now on"

SURPRISES = {
    "claim": ("poll_two", "sleep", "a thread does not come back"),
    "number": ("poll", "swap", "became another socket's"),
    "result": ("select_high", "filter", "the kernel answered something unknown"),
    "data": ("epoll_same", "", "have the same data"),
}


def run(run_shim: ShimRunner, build: Build, cluster: Cluster, way: str, service: Service, env: Dict[str, str]) -> Result:
    settings = {**cluster.env("web"), **env}
    preload = f"{build.preload()} {taken_for_libcs(build)}"
    return run_shim(under_way(build, way, service, COUNT), env={**settings, "LD_PRELOAD": preload})


def failed(connections: List[Connection]) -> int:
    return sum(one.result == "ECONNREFUSED" for one in connections)


@pytest.mark.parametrize("name", SURPRISES)
def test_a_surprise_is_the_last(cluster: Cluster, run_shim: ShimRunner, build: Build, name: str) -> None:
    service, pods = web(cluster)
    refuse(*pods[1:])
    way, what, words = SURPRISES[name]

    result = run(run_shim, build, cluster, way, service, {"SURPRISE": what})

    connections = told(result, COUNT)
    expect(failed(connections) > 0, True, result)
    lines = [line for line in result.log.splitlines() if WORDS in line]
    expect((len(lines), words in "".join(lines)), (1, True), result)


@pytest.mark.parametrize("way", ["poll_two", "poll", "epoll"])
def test_without_one_nothing_is_seen(cluster: Cluster, run_shim: ShimRunner, build: Build, way: str) -> None:
    service, pods = web(cluster)
    refuse(*pods[1:])

    result = run(run_shim, build, cluster, way, service, {})

    expect((failed(told(result, COUNT)), WORDS in result.log), (0, False), result)


@pytest.mark.parametrize("env", [{"K8SLB_EVENTS": "off"}, {"K8SLB_ATTEMPTS": "1"}], ids=["events", "attempts"])
def test_it_can_be_turned_off(cluster: Cluster, run_shim: ShimRunner, build: Build, env: Dict[str, str]) -> None:
    service, pods = web(cluster)
    refuse(*pods[1:])

    result = run(run_shim, build, cluster, "poll", service, env)

    expect((failed(told(result, COUNT)) > 0, WORDS in result.log), (True, False), result)
