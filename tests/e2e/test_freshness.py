# SPDX-License-Identifier: Apache-2.0
"""Within 100 ms, by the median, of the API server's own watch event no new connection goes to a pod that was removed, and one that was
added gets its share."""
import statistics
import time
from typing import Callable, Dict, List

import pytest

from tests.e2e.common import Follower, expect_followed, names, three
from tests.e2e.watcher import SliceWatcher
from tests.harness import ShimRunner, counts, expect
from tests.kube.cluster import Cluster, Pod

LIMIT_MS = 100.0
PAUSE_MS = 1.0  # of the program between two connections
AFTER = 0.4  # seconds that a removed pod is watched for late connections

LEAVE: Dict[str, Callable[[Cluster, Pod], None]] = {
    "deleted": lambda cluster, pod: cluster.delete_pod(pod),
    "unready": lambda cluster, pod: cluster.set_ready(pod, False),
    "terminating": lambda cluster, pod: cluster.terminate(pod),
}


def judge(what: str, delays_ms: List[float], *logs: object) -> None:
    # Below 0: before the watch of the test heard of it.
    told = f"{what}: p50 {statistics.median(delays_ms):.1f} ms, max {max(delays_ms):.1f} ms of {len(delays_ms)}"
    print(told)
    # Of a machine that is busy with others some are late; make bench tells percentiles.
    assert statistics.median(delays_ms) < LIMIT_MS, "\n".join([told, f"all: {delays_ms}", *map(str, logs)])


@pytest.mark.parametrize("how", LEAVE)
def test_no_connection_to_a_pod_that_left(cluster: Cluster, run_shim: ShimRunner, how: str) -> None:
    service, pods = three(cluster)
    follower = Follower(run_shim, service, cluster.env("web"), PAUSE_MS)
    follower.wait_results(names(pods))
    watcher = SliceWatcher(cluster, service)
    delays: List[float] = []
    try:
        for number in range(counts(4, 40)):
            leaving, since = pods.pop(0), time.monotonic()
            LEAVE[how](cluster, leaving)
            event = watcher.when(leaving.ip, False, since)
            follower.watch(AFTER, event)
            last = max(line.start for line in follower.lines(since - 1) if line.result == leaving.name)
            delays.append((last - event) * 1000)
            pods.append(cluster.add_pod(f"web-{number + 3}", {"app": "web"}))
            follower.wait_results({pods[-1].name})
    finally:
        watcher.close()

    judge(how, delays, follower, cluster.logs())
    assert all(line.result.startswith("web-") for line in follower.lines()), follower


def test_a_pod_that_came_gets_its_share(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = three(cluster)
    follower = Follower(run_shim, service, cluster.env("web"), PAUSE_MS)
    follower.wait_results(names(pods))
    watcher = SliceWatcher(cluster, service)
    delays: List[float] = []
    try:
        for number in range(counts(4, 40)):
            since = time.monotonic()
            added = cluster.add_pod(f"web-{number + 3}", {"app": "web"})
            event = watcher.when(added.ip, True, since)
            lines = follower.wait_results({added.name}, since=since)
            first = min(line.start for line in lines if line.result == added.name)
            delays.append((first - event) * 1000)
            cluster.delete_pod(pods.pop(0))
            pods.append(added)
            expect_followed(follower, names(pods))
    finally:
        watcher.close()

    judge("added", delays, follower, cluster.logs())
    assert all(line.result.startswith("web-") for line in follower.lines()), follower


def test_a_pod_that_is_unready_for_a_moment_comes_back(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = three(cluster)
    follower = Follower(run_shim, service, cluster.env("web"))
    follower.wait_results(names(pods))

    cluster.set_ready(pods[1], False)
    expect_followed(follower, names([pods[0], pods[2]]))
    cluster.set_ready(pods[1], True)
    expect_followed(follower, names(pods))

    expect(follower.results_by_table(), names(pods), follower)
