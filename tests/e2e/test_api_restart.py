# SPDX-License-Identifier: Apache-2.0
"""The API server ends and comes back, with the same data, with older data, or with other pods."""
import time
from typing import Optional

import pytest

from tests.e2e.common import Follower, expect_followed, names, stand_in, three
from tests.harness import ShimRunner, expect, wait_until
from tests.kube.cluster import Cluster
from tests.kube.double_cluster import DoubleCluster

FAST = {"K8SLB_RETRY_DELAY": "1"}


def test_pods_that_changed_right_after_a_restart_are_followed(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = three(cluster)
    stand_in(cluster, service)
    follower = Follower(run_shim, service, cluster.env("web", **FAST))
    follower.wait_results(names(pods))

    cluster.stop_api()
    follower.wait_log("error|broke")
    cluster.start_api()
    cluster.delete_pod(pods[0])
    added = cluster.add_pod("web-3", {"app": "web"})

    expect_followed(follower, names([*pods[1:], added]))
    expect(follower.results_by_table(), names([*pods, added]), cluster.logs(), follower)


@pytest.mark.clusters("double")
@pytest.mark.parametrize("future_watch", ["silent", "error"])
@pytest.mark.parametrize("first_rv", [None, 10], ids=["same-versions", "lower-versions"])
def test_history_is_lost_and_pods_changed_meanwhile(
    cluster: DoubleCluster, run_shim: ShimRunner, first_rv: Optional[int], future_watch: str
) -> None:
    service, pods = three(cluster)
    stand_in(cluster, service)
    cluster.server.set(future_watch=future_watch, too_large_wait=0.2)
    follower = Follower(run_shim, service, cluster.env("web", **FAST))
    follower.wait_results(names(pods))

    cluster.server.refuse()
    cluster.server.request("DELETE", "/api/v1/namespaces/default/pods/web-0?gracePeriodSeconds=0")
    cluster.server.restart(first_rv)  # listens again
    expect_followed(follower, names(pods[1:]))
    added = cluster.add_pod("web-3", {"app": "web"})

    expect_followed(follower, names([*pods[1:], added]))
    expect(follower.results_by_table(), names([*pods, added]), cluster.logs(), follower)


@pytest.mark.clusters("double")
def test_a_watch_that_ends_as_it_should_goes_on_at_once(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    service, pods = three(cluster)
    # A watch that ends within its first second is a failure; after one the pause would be a sixth of this at least.
    follower = Follower(run_shim, service, cluster.env("web", K8SLB_RETRY_DELAY="60"))
    wait_until("the watches", lambda: cluster.server.open_watches() == 2, cluster.logs)
    follower.watch(1.2, time.monotonic())
    before = cluster.server.counts()

    for resource in ("services", "endpointslices"):
        cluster.server.fault("end", resource, "watch")
    cluster.server.wait(lambda: cluster.server.counts() == before + 2 and cluster.server.open_watches() == 2)

    for resource in ("services", "endpointslices"):
        ended, next_one = cluster.server.requests(resource, "watch")
        assert ended.end and next_one.time - ended.end < 5, follower
    expect(cluster.server.counts(verb="list"), 2, cluster.logs(), follower)
    expect(follower.results_by_table(), names(pods), follower)
