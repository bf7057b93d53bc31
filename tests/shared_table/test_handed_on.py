# SPDX-License-Identifier: Apache-2.0
"""A writer that cannot hear the API server, and others that could: it hands the table on, after 12 times K8SLB_RETRY_DELAY."""
from typing import List

import pytest

from tests.harness import Build, ShimRunner, expect, wait_until
from tests.kube.double_cluster import DoubleCluster
from tests.shared_table.common import ONE_LIST_EACH, Guest, lists_of, names, target, wait_writer

pytestmark = pytest.mark.clusters("double")

RETRY_DELAY_S = 1
PATIENCE_S = 12 * RETRY_DELAY_S
HANDED_ON = "no word from the API server: another process may write the table"


def test_a_writer_without_a_network(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """In a network namespace of its own, with the Pod's /dev/shm: it never had a table, and would keep all others from one."""
    service, pods = target(cluster)
    env = cluster.env("web", K8SLB_RETRY_DELAY=str(RETRY_DELAY_S))
    alone = Guest(run_shim, service, env, command=["unshare", "-n"])
    expect(set(alone.ask(1)), {"ENETUNREACH"}, alone.process.result())
    expect(wait_writer(alone.process.result), alone.pid)
    other = Guest(run_shim, service, env)
    expect(set(other.ask(3)), {"vip"}, other.process.result())
    other.wait_asked(names(pods), PATIENCE_S + 10, alone.process.result)
    expect(alone.log().count(HANDED_ON), 1, alone.log(), other.log())
    # And has by the other one what it could not have by itself.
    alone.process.wait_log("another process of this user writes the table")


def test_a_writer_in_a_sandbox(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    """Its filter refuses all that the thread would do, the release of the lock too."""
    service, pods = target(cluster)
    env = cluster.env("web", K8SLB_RETRY_DELAY=str(RETRY_DELAY_S))
    sandboxed = run_shim.start([build.programs / "sandbox", service.vip, service.port, "after", "all", "errno"], env=env)
    sandboxed.wait_output("waiting\n")
    other = Guest(run_shim, service, env)
    other.wait_asked(names(pods), 10, cluster.logs)
    pods.append(cluster.add_pod("late", {"app": "web"}))
    other.wait_asked(names(pods), PATIENCE_S + 10, cluster.logs)
    expect(wait_writer(other.process.result), other.pid)


def test_an_outage_for_all(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """It goes round, seldom: each has the last table all the time, and one of them lists when it is over."""
    service, pods = target(cluster)
    env = cluster.env("web", K8SLB_RETRY_DELAY=str(RETRY_DELAY_S))
    guests = [Guest(run_shim, service, env) for _ in range(3)]
    for guest in guests:
        guest.wait_asked(names(pods))
    cluster.stop_api()


    def handed_on() -> List[Guest]:
        for guest in guests:
            expect(set(guest.ask(3)), names(pods), guest.process.result())
        return [guest for guest in guests if HANDED_ON in guest.log()]

    (first,) = wait_until("another writer", handed_on, PATIENCE_S + 10, guests[0].process.result)
    cluster.start_api()
    pods.append(cluster.add_pod("late", {"app": "web"}))
    for guest in guests:
        guest.wait_asked(names(pods), 15, cluster.logs)
    lists = {key: 2 * count for key, count in ONE_LIST_EACH.items()}
    expect((first.log().count(HANDED_ON), lists_of(cluster)), (1, lists), *[guest.log() for guest in guests])
