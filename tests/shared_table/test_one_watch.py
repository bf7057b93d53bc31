# SPDX-License-Identifier: Apache-2.0
"""Whatever runs in a Pod, the API server sees one list and one watch of each kind, and the pods get equal shares."""
import re
import time
from collections import Counter
from typing import Any, List, Sequence, Tuple

import pytest

from tests.harness import ShimRunner, counts, expect, wait_until
from tests.kube.cluster import Cluster, Pod, Service
from tests.kube.double_cluster import DoubleCluster
from tests.kube.real_cluster import RealCluster
from tests.preload.common import tally
from tests.shared_table import sysv
from tests.shared_table.common import ASKED, ONE_LIST_EACH, ONE_OF_EACH, Guest, asked_of, lists_of, names, target

PODS = 10
PROCESSES = 50
EACH = 20
SHORT_LIVED = counts(150, 1000)
HEARD_S = 10
SLOW_S = 4
KINDS = ("services", "endpointslices")
MOST_UNEVEN = 1.05  # the busiest pod against the mean
# A blocking connect() waits for the first table.
PATIENT = ASKED.replace("s.settimeout(5)", "pass")


def expect_even(answers: Sequence[str], connections: int, pods: Sequence[Pod], *logs: Any) -> None:
    shares = tally("".join(f"{answer}\n" for answer in answers))
    uneven = max(shares.values()) / (connections / len(pods))
    print(f"{connections} connections over {len(shares)} pods, max / mean {uneven:.3f}")
    expect((len(answers), set(shares), uneven <= MOST_UNEVEN), (connections, names(pods), True), dict(shares), *logs)


def ask_from_fifty(cluster: Cluster, run_shim: ShimRunner, service: Service, pods: List[Pod]) -> List[Guest]:
    """All of them live as long as what is returned, and have for long enough to have asked for themselves."""
    guests = [Guest(run_shim, service, cluster.env("web"), program=PATIENT) for _ in range(PROCESSES)]
    for guest in guests:
        guest.say(EACH)
    answers = [answer for guest in guests for answer in guest.answers()]
    expect_even(answers, PROCESSES * EACH, pods, cluster.logs())
    pods.append(cluster.add_pod("late", {"app": "web"}))
    for guest in guests:
        guest.wait_asked(names(pods))
    return guests


@pytest.mark.clusters("double")
def test_fifty_processes(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    service, pods = target(cluster, PODS)
    guests = ask_from_fifty(cluster, run_shim, service, pods)
    expect(len(guests), PROCESSES)
    wait_until("one of each", lambda: asked_of(cluster) == ONE_OF_EACH, cluster.logs)
    expect(cluster.server.open_watches(), 2, cluster.logs())


# The API server's own counts: lists that were answered, and watches that are open. "cluster": its controllers'.
ASKED_METRIC = re.compile(
    r'^(apiserver_request_total\{.*verb="LIST"|apiserver_longrunning_requests\{.*verb="WATCH").*\} (\d+)$', re.MULTILINE
)


def asked_by_metrics(cluster: RealCluster) -> "Counter[Tuple[str, str]]":
    found: "Counter[Tuple[str, str]]" = Counter()
    for line in ASKED_METRIC.finditer(cluster.request("GET", "/metrics")[1]["message"]):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', line[0]))
        if labels["resource"] in KINDS and labels["scope"] != "cluster":
            found[labels["resource"], labels["verb"]] += int(line[2])
    return found


@pytest.mark.clusters("real")
def test_fifty_processes_as_the_api_server_counts_them(cluster: RealCluster, run_shim: ShimRunner) -> None:
    service, pods = target(cluster, PODS)
    wait_until("the end of other tests' watches", lambda: not any(asked_by_metrics(cluster)[kind, "WATCH"] for kind in KINDS))
    before = asked_by_metrics(cluster)
    guests = ask_from_fifty(cluster, run_shim, service, pods)
    expect(len(guests), PROCESSES)
    asked = asked_by_metrics(cluster)
    asked.subtract(before)
    print({key: count for key, count in asked.items() if count})
    expected = {(resource, verb): 1 for resource in KINDS for verb in ("LIST", "WATCH")}
    expect({key: count for key, count in asked.items() if count}, expected, cluster.logs())


@pytest.mark.clusters("double")
def test_a_slow_first_list(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """It takes longer than a writer that stands still is waited for: no reason that each asks a slow API server for itself."""
    service, pods = target(cluster)
    cluster.server.fault("stall_headers", times=None, seconds=None)
    guests = [Guest(run_shim, service, cluster.env("web", K8SLB_SYNC_TIMEOUT="500")) for _ in range(3)]
    for guest in guests:
        guest.ask(1)
    time.sleep(SLOW_S)
    expect(lists_of(cluster), ONE_LIST_EACH, cluster.logs(), *(guest.log() for guest in guests))
    expect(len(sysv.tables()), 1)


@pytest.mark.timeout(300)
def test_short_lived_programs(cluster: Cluster, run_shim: ShimRunner) -> None:
    """Each of them would list and watch for itself; the pause before that makes it at most one every two seconds."""
    service, pods = target(cluster, PODS)
    loop = f"i=0; while [ $i -lt {SHORT_LIVED} ]; do curl -s http://{service.vip}/ || exit 1; i=$((i + 1)); done"
    # Whose first table takes longer than a non-blocking connect waits is kube-proxy's.
    first = run_shim(["sh", "-c", f"until curl -s http://{service.vip}/ | grep web; do :; done"], env=cluster.env("web"))
    expect(first.returncode, 0, first)
    began = time.monotonic()
    result = run_shim(["sh", "-c", loop], env=cluster.env("web"), timeout=240)
    seconds = time.monotonic() - began
    expect(result.returncode, 0, result)
    # An API server that is starved for a moment has no list in time for the next one.
    answers = [answer for answer in result.stdout.splitlines() if answer != "vip"]
    expect(len(answers) >= SHORT_LIVED * 0.98, True, result.stdout.count("vip"), cluster.logs())
    expect_even(answers, len(answers), pods, cluster.logs())
    print(f"{SHORT_LIVED} programs in {seconds:.1f} s")
    if isinstance(cluster, DoubleCluster):
        asked = asked_of(cluster)
        print(f"requests: {asked}")
        for kind in ("services", "endpointslices"):
            most = 3 + seconds / 2
            expect((asked[kind, "list"] <= most, asked.get((kind, "watch"), 0) <= most), (True, True), asked, cluster.logs())


@pytest.mark.clusters("double")
def test_short_lived_programs_hear_of_changes(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """None of them lives long enough for a watch, and a table must not stay as it is for that."""
    service, pods = target(cluster)
    loop = run_shim.start(["sh", "-c", f"while :; do curl -s http://{service.vip}/; done"], env=cluster.env("web"))
    loop.wait_output("web-0\n")
    began = time.monotonic()
    pods.append(cluster.add_pod("late", {"app": "web"}))
    loop.wait_output("late\n", HEARD_S)
    print(f"heard of a new pod after {time.monotonic() - began:.1f} s, requests: {asked_of(cluster)}")
