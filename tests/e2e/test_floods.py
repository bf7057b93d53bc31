# SPDX-License-Identifier: Apache-2.0
"""A server that sends without end: the memory of the program stays what it was, and the table too."""
from dataclasses import dataclass

import pytest

from tests.e2e.common import Follower, names, stand_in, three
from tests.harness import ShimRunner, counts, expect
from tests.kube.double_cluster import DoubleCluster

pytestmark = pytest.mark.clusters("double")

MOST_KIB = 12 * 1024  # one object of 4 MiB while it arrives, the buffer that grows to it, and some room
FLOOD = counts(128 << 20, 1 << 30)


@dataclass(frozen=True)
class Flood:
    fault: str
    verb: str
    log: str  # what a line of the log must say; "": the flood is well-formed, there is nothing to tell
    in_stream: bool = False  # comes on the open watch


FLOODS = [
    Flood("endless_header", "list", "header"),
    Flood("endless_headers", "list", "header"),
    Flood("endless_line", "list", "large|limit|JSON"),
    Flood("infinite_body", "list", "cannot be|too|large|JSON|name|version|more than"),
    Flood("endless_header", "watch", "header"),
    Flood("endless_headers", "watch", "header"),
    Flood("endless_line", "watch", "left out", True),
    Flood("infinite_body", "watch", "", True),
]


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: f"{flood.verb}-{flood.fault}")
def test_floods_cost_no_memory(cluster: DoubleCluster, run_shim: ShimRunner, flood: Flood) -> None:
    service, pods = three(cluster)
    stand_in(cluster, service)
    follower = Follower(run_shim, service, cluster.env("web", K8SLB_RETRY_DELAY="1"))
    follower.wait_results(names(pods))
    cluster.server.wait(lambda: cluster.server.open_watches() == 2)
    before = follower.peak_kib()

    fault = cluster.server.fault(flood.fault, "endpointslices", flood.verb, limit=FLOOD)
    if not flood.in_stream:
        cluster.server.restart()  # makes the program list and watch again
    cluster.server.wait(lambda: fault.used == 1)
    cluster.server.wait(lambda: all(record.end for record in cluster.server.requests() if record.fault == flood.fault))

    if flood.log:
        follower.wait_log("error.*(" + flood.log + ")")
    sent = max(record.bytes_sent for record in cluster.server.requests() if record.fault == flood.fault)
    grown = follower.peak_kib() - before
    print(f"{flood.fault}: {sent >> 10} KiB sent, memory grew by {grown} KiB")
    assert grown < MOST_KIB, f"{grown} KiB more\n{cluster.logs()}\n{follower}"
    expect(follower.results_by_table(), names(pods), cluster.logs(), follower)
    # And it is well again.
    added = cluster.add_pod("web-3", {"app": "web"})
    follower.wait_results({added.name})  # a watch that was too long is begun again 30 s after its begin
