# SPDX-License-Identifier: Apache-2.0
"""An API server that fails while a table is in use: the last good table serves on, never an empty one, and what changed
in the meantime is followed once the server is well again."""
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional

import pytest

from tests.e2e.common import Follower, expect_followed, most_requests, names, stand_in, three
from tests.harness import ShimRunner, expect
from tests.kube.double_cluster import DoubleCluster

pytestmark = pytest.mark.clusters("double")

RETRY_DELAY = 1.0
WINDOW = 0.7  # seconds that the fault lasts
GARBAGE = {"data": b'{"type":"MODIFIED","object":\x00\xff}}}\n'}


@dataclass(frozen=True)
class Case:
    name: str
    log: str  # what a line of the log must say
    fault: str = ""  # of the watches of both collections, or of one
    args: Optional[Dict[str, Any]] = None
    times: Optional[int] = None  # how often; None: again and again while the fault lasts
    apply: Optional[Callable[[DoubleCluster], None]] = None  # instead of a fault
    extra: int = 0  # requests beyond what the backoff allows to failing ones
    recovers: bool = True

    def begin(self, cluster: DoubleCluster) -> None:
        if self.apply:
            self.apply(cluster)
            return
        for resource in ("services", "endpointslices"):
            cluster.server.fault(self.fault, resource, "watch", self.times, **(self.args or {}))


def restarts_without_token(cluster: DoubleCluster) -> None:
    cluster.server.auth.revoke(str(cluster.token))
    cluster.server.restart()


def restarts_with(fault: str, verb: Optional[str] = None, **args: Any) -> Callable[[DoubleCluster], None]:
    """The history is lost too, so that a list must follow."""

    def apply(cluster: DoubleCluster) -> None:
        for resource in ("services", "endpointslices"):
            cluster.server.fault(fault, resource, verb, None, **args)
        cluster.server.restart()

    return apply


def restarts_with_certificate(mode: str) -> Callable[[DoubleCluster], None]:
    def apply(cluster: DoubleCluster) -> None:
        cluster.server.tls.use(mode)
        cluster.server.restart()

    return apply


# A list may follow each watch, and the first failure comes after a watch that lasted.
LIST_TOO = 3
CASES = [
    Case("down", "refused|connect|reset", apply=lambda cluster: cluster.server.refuse()),
    Case("reset-in-mid-event", "reset|recv|broke", "rst", {"now": True}, extra=LIST_TOO),
    Case("closed-in-mid-event", "closed|transfer|broke|after", "fin", {"now": True}, extra=LIST_TOO),
    Case("stall-in-mid-stream", "", "stall", times=1, recovers=False),
    Case("gone-as-event", "410", "error_410", extra=LIST_TOO),
    Case("error-event", "500", "error_500", extra=LIST_TOO),
    Case("garbage-line", "cannot be used|garbled", "line", GARBAGE, times=1, extra=LIST_TOO),
    Case("unknown-event-type", "", "unknown_type", times=3),
    Case("duplicate-events", "", "duplicate", times=3),
    Case("one-byte-chunks", "", "bytes", times=1),
    Case("cut-in-characters", "", "utf8", times=1),
    Case("clean-ends", "ended after", "end", extra=LIST_TOO),
    Case("gone-as-status", "410", apply=restarts_with("http_410"), extra=LIST_TOO),
    Case("forbidden", "403", apply=restarts_with("forbidden"), recovers=False),
    Case("token-expired", "401", apply=restarts_without_token, extra=1),
    Case("throttled", "429", apply=restarts_with("http_429", retry_after="1")),
    Case("garbage-lists", "JSON|garbled|410", apply=restarts_with("garbage", "list"), extra=LIST_TOO),
    Case("html", "JSON|garbled", apply=restarts_with("html"), extra=LIST_TOO),
    Case("truncated-lists", "JSON|410|end", apply=restarts_with("truncate", "list"), extra=LIST_TOO),
    Case("stalled-headers", "", apply=restarts_with("stall_headers"), recovers=False),
    Case("wrong-ca", "certificate|verif", apply=restarts_with_certificate("wrong_ca")),
    Case("wrong-san", "certificate|verif|match", apply=restarts_with_certificate("wrong_san")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_last_good_table_serves_on(cluster: DoubleCluster, run_shim: ShimRunner, case: Case) -> None:
    service, pods = three(cluster)
    stand_in(cluster, service)
    env = cluster.env("web", K8SLB_RETRY_DELAY=str(int(RETRY_DELAY)), K8SLB_SYNC_TIMEOUT="5000")
    follower = Follower(run_shim, service, env)
    follower.wait_results(names(pods))
    cluster.server.wait(lambda: cluster.server.open_watches() == 2)

    begin = time.monotonic()
    case.begin(cluster)
    follower.watch(WINDOW, begin)
    lasted = time.monotonic() - begin

    allowed = most_requests(lasted, RETRY_DELAY) + case.extra
    for resource in ("services", "endpointslices"):
        count = cluster.server.counts(resource, since=begin)
        assert count <= allowed, f"{resource}: {count} requests in {lasted:.1f} s, allowed {allowed}\n{cluster.logs()}\n{follower}"
    if case.log:
        follower.wait_log("(error|info).*(" + case.log + ")")
    expect(follower.results_by_table(), names(pods), cluster.logs(), follower)

    cluster.server.accept_again()
    cluster.server.reset()
    cluster.server.auth.add_token(str(cluster.token))
    if case.recovers:
        cluster.delete_pod(pods[0])
        added = cluster.add_pod("web-3", {"app": "web"})
        expect_followed(follower, names([*pods[1:], added]))
        expect(follower.results_by_table(), names([*pods, added]), cluster.logs(), follower)
