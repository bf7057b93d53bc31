# SPDX-License-Identifier: Apache-2.0
"""Hazard: a log that fills the disk while the API server is in trouble or very busy.

A naive shim writes a line for each failed try or each event, as fast as they come, from each process of the container. Ours
tells a failure once, not at every try, and lets at most 50 lines a second through over 200 at once; what it left out is
counted in the next line, so that nothing is hidden.
"""
import re
import time
from pathlib import Path
from typing import List

import pytest

from tests.e2e.common import Follower, expect_followed, most_requests, names, stand_in, three
from tests.harness import ShimRunner, counts, expect, wait_until
from tests.kube.double_cluster import DoubleCluster

pytestmark = pytest.mark.clusters("double")

EVENTS = counts(3000, 30000)
BURST, RATE = 200, 50  # of lib/engine/log_file.h
FAILURES = counts(4, 12)


def left_out(log: str) -> int:
    return sum(map(int, re.findall(r": (\d+) lines were left out$", log, re.MULTILINE)))


def first_word(line: str) -> str:
    return line.partition(" ")[0]


def test_a_flood_of_events_is_cut_and_counted(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    service, pods = three(cluster)
    follower = Follower(run_shim, service, cluster.env("web"))
    expect_followed(follower, names(pods))
    cluster.server.wait(lambda: cluster.server.open_watches() == 2)
    before = len(follower.log().splitlines())
    begin = time.monotonic()

    last = cluster.server.burst("services", "web", EVENTS)

    def all_are_counted() -> bool:
        """Whoever counts needs a line that comes after the flood: changes are made until one of them is told."""
        cluster.server.burst("services", "web", 2)
        versions = re.findall(r"Service default/web changed, resourceVersion (\d+)$", follower.log(), re.MULTILINE)
        return int(versions[-1]) > last

    wait_until("a line after the flood", all_are_counted, follower, pause=0.1)
    seconds = time.monotonic() - begin

    log = follower.log()
    written, dropped = len(log.splitlines()) - before, left_out(log)
    most = BURST + 2 * RATE * (seconds + 1)  # after the burst, each line may tell before it how many were left out
    print(f"{EVENTS} events within {seconds:.2f} s: {written} lines, {dropped} left out")
    assert dropped > 0 and written <= most, f"{written} lines, at most {most}, {dropped} left out\n{follower}"
    told = len(re.findall("Service default/web changed", log))
    assert told + dropped >= EVENTS, f"{told} + {dropped} of {EVENTS}\n{follower}"
    expect(follower.results(), names(pods), follower)


@pytest.mark.parametrize("level", ["error", "debug"])
@pytest.mark.parametrize("kind", ["accept_close", "close", "http_5xx", "unauthorized"])
def test_an_api_server_that_fails_at_once(
    cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path, level: str, kind: str
) -> None:
    """A line for what is new, not for each try; in all no more than the pauses between the tries allow."""
    service, _pods = three(cluster)
    stand_in(cluster, service)
    fault = cluster.server.fault(kind, times=None, code=500, rst=True)
    log = tmp_path / "log"
    begin = time.monotonic()
    follower = Follower(run_shim, service, cluster.env("web", K8SLB_RETRY_DELAY="1", K8SLB_LOG=f"{level}:{log}"))

    wait_until("the server fails again and again", lambda: fault.used >= FAILURES, follower)

    seconds = time.monotonic() - begin
    lines = log.read_text().splitlines()
    errors: List[str] = [line.split(": ", 1)[1] for line in lines if " error: " in line]
    print(f"{fault.used} failures within {seconds:.1f} s: {len(errors)} errors, {len(lines)} lines")
    # Services, EndpointSlices and, in the place of these, Endpoints.
    told = [re.sub(r"after \d+ ms", "after N ms", error) for error in errors]
    assert told and len(set(told)) <= 6, lines
    if kind == "accept_close":  # the close meets connect() or what follows, so two problems may take turns
        of_each = {collection: [one for one in told if one.startswith(collection)] for collection in map(first_word, told)}
        assert all(one != after for each in of_each.values() for one, after in zip(each, each[1:])), lines
    else:
        assert len(set(told)) == len(told), lines
    assert len(lines) <= 2 + 3 * 3 * most_requests(seconds, 1), lines
    expect(follower.results() <= {"vip"}, True, follower)
