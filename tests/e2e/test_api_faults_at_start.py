# SPDX-License-Identifier: Apache-2.0
"""An API server that cannot be used from the start: the program goes on as without the shim, which asks without haste,
says why, and balances as soon as the server can be used."""
import statistics
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional

import pytest

from tests.e2e.common import Follower, most_requests, names, stand_in, three
from tests.harness import ShimRunner, expect
from tests.kube import namespace
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import client

pytestmark = pytest.mark.clusters("double")

RETRY_DELAY = 1.0  # K8SLB_RETRY_DELAY of these tests, so that recovery is seen soon: pauses from 167 ms on
WINDOW = 1.0  # seconds that each fault is watched
COLLECTIONS = ("services", "endpointslices")


@dataclass(frozen=True)
class Case:
    name: str
    log: str  # what a line of the log must say
    fault: str = ""  # of both collections, until it is taken back
    args: Optional[Dict[str, Any]] = None
    apply: Optional[Callable[[DoubleCluster], None]] = None  # instead of a fault
    at_once: int = 0  # second tries without a pause that this error is worth
    most: Optional[int] = None  # requests of each collection within WINDOW, if not what the backoff allows
    recovers: bool = True  # within seconds of the fault's end; else a longer pause is right

    def begin(self, cluster: DoubleCluster) -> None:
        if self.apply:
            self.apply(cluster)
            return
        for resource in COLLECTIONS:
            cluster.server.fault(self.fault, resource, None, None, **(self.args or {}))


def revoke(cluster: DoubleCluster) -> None:
    cluster.server.auth.revoke(str(cluster.token))


def stall_handshakes(cluster: DoubleCluster) -> None:
    cluster.server.fault("slow_handshake", times=None, seconds=None)


def restore(cluster: DoubleCluster) -> None:
    cluster.start_api()
    cluster.server.reset()
    cluster.server.auth.add_token(str(cluster.token))


GZIP = {"code": 200, "body": b"\x1f\x8b\x08\x00\x00", "headers": {"Content-Encoding": "gzip"}}
CASES = [
    Case("down", "refused|connect", apply=lambda cluster: cluster.stop_api()),
    Case("forbidden", "403 .*is forbidden", "forbidden", most=1, recovers=False),
    Case("absent", "404", apply=lambda cluster: cluster.server.absent.update(COLLECTIONS), most=1, recovers=False),
    Case("wrong-ca", "certificate|verif", apply=lambda cluster: cluster.server.tls.use("wrong_ca")),
    Case("wrong-san", "certificate|verif|match", apply=lambda cluster: cluster.server.tls.use("wrong_san")),
    Case("unknown-token", "401", apply=revoke, at_once=1),
    Case("garbage", "JSON", "garbage"),
    Case("truncated", "JSON|end|complete", "truncate"),
    Case("broken-off", "reset|recv|closed|transfer", "rst"),
    Case("ended-early", "closed|transfer|outstanding|end", "fin"),
    Case("closed-unanswered", "empty|reply|closed|reset", "close"),
    Case("html", "JSON", "html"),
    Case("html-error", "511", "html", {"code": 511}),
    Case("redirect", "307", "redirect", most=1, recovers=False),
    Case("gzip-unasked", "compressed", "status", GZIP),
    Case("not-http", "HTTP|response|version", "raw"),
    Case("gone", "410", "http_410", at_once=1),
    Case("version-too-large", "older", "too_large", at_once=1, most=3),
    Case("throttled", "429", "http_429", {"retry_after": "1"}, most=2),
    Case("throttled-long", "429", "http_429", {"retry_after": "99"}, most=1, recovers=False),
    Case("throttled-huge", "429", "http_429", {"retry_after": "99999999999999999999"}),
    Case("throttled-negative", "429", "http_429", {"retry_after": "-5"}),
    Case("throttled-date", "503", "http_503", {"retry_after": "Wed, 21 Oct 2065 07:28:00 GMT"}),
    Case("unavailable", "503 .*shutting down", "http_503", {"retry_after": None}),
    Case("broken-server", "500", "http_5xx"),
    Case("stalled-headers", "", "stall_headers", most=1, recovers=False),
    Case("stalled-body", "", "stall", most=1, recovers=False),
    Case("stalled-handshake", "", apply=stall_handshakes, most=0, recovers=False),
    Case("drip", "", "drip", {"seconds": 1, "count": 1}, most=1, recovers=False),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_program_goes_on_as_without_the_shim(cluster: DoubleCluster, run_shim: ShimRunner, case: Case) -> None:
    service, pods = three(cluster)
    stand_in(cluster, service)
    case.begin(cluster)
    env = cluster.env("web", K8SLB_RETRY_DELAY=str(int(RETRY_DELAY)), K8SLB_SYNC_TIMEOUT="500")
    follower = Follower(run_shim, service, env)

    lines = follower.watch(WINDOW, follower.began)

    since_first = time.monotonic() - follower.began
    expect({line.result for line in lines}, {"vip"}, follower)
    # The first one waits as long as K8SLB_SYNC_TIMEOUT says, and not as long as the API server takes; the others do not.
    assert lines[0].seconds < 3, f"the first connection took {lines[0].seconds} s\n{follower}"
    assert statistics.median([line.seconds for line in lines[1:]] or [0]) < 0.3, follower
    allowed = most_requests(since_first, RETRY_DELAY) + case.at_once if case.most is None else case.most
    for resource in COLLECTIONS:
        count = cluster.server.counts(resource)
        assert count <= allowed, f"{resource}: {count} requests, allowed {allowed}\n{cluster.logs()}\n{follower}"
    connections = cluster.server.connections()
    assert connections <= 2 * max(allowed, 1), f"{connections} TCP connections in {since_first:.1f} s\n{follower}"
    if case.log:
        follower.wait_log("error.*(" + case.log + ")")
    restore(cluster)
    if case.recovers:
        follower.wait_results(names(pods))
    expect(follower.results() - names(pods), {"vip"}, follower)


@pytest.mark.parametrize("route, error", [("unreachable", "EHOSTUNREACH"), ("prohibit", "EACCES"), ("blackhole", "EINVAL")])
def test_errors_of_the_vip_stay_what_they_are(cluster: DoubleCluster, run_shim: ShimRunner, route: str, error: str) -> None:
    service, _pods = three(cluster)
    cluster.stop_api()
    namespace.ip("route", "add", route, str(service.vip))
    try:
        plain = run_shim(client(str(service.vip), service.port, 2), preload=False)
        shimmed = run_shim(client(str(service.vip), service.port, 2), env=cluster.env("web"))
    finally:
        namespace.ip("route", "del", route, str(service.vip))

    expect(plain.stdout, f"{error}\n" * 2, plain)
    expect(shimmed.stdout, plain.stdout, shimmed)


def test_default_pauses(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    service, _pods = three(cluster)
    stand_in(cluster, service)
    for resource in COLLECTIONS:
        cluster.server.fault("http_5xx", resource, times=None)
    follower = Follower(run_shim, service, cluster.env("web"), pause_ms=50)

    follower.watch(5, follower.began)

    for resource in COLLECTIONS:
        times = [record.time for record in cluster.server.requests(resource)]
        pauses = [later - earlier for earlier, later in zip(times, times[1:])]
        assert 2 <= len(times) <= 4, cluster.logs()
        for number, pause in enumerate(pauses):
            first = 5 / 6 * 2**number
            assert first - 0.01 <= pause <= 2 * first + 0.2, f"{resource}: pauses {pauses}\n{cluster.logs()}"
