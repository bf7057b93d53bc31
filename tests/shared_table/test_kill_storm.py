# SPDX-License-Identifier: Apache-2.0
"""kill -9 of whichever process is the writer, again and again while pods change: the table goes on, and each next one lists."""
import random
import time
from typing import Dict, List

import pytest

from tests.harness import ShimRunner, counts, expect
from tests.kube.double_cluster import DoubleCluster
from tests.shared_table.common import PROMOTION_S, Guest, asked_of, lists_of, names, target, wait_writer

pytestmark = pytest.mark.clusters("double")

KILLS = counts(10, 100)
PROCESSES = 4


def watched_versions(cluster: DoubleCluster) -> List[Dict[str, str]]:
    return [record.query for record in cluster.server.requests(verb="watch")]


@pytest.mark.timeout(600)
def test_storm_of_kills_while_pods_change(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    service, pods = target(cluster)
    env = cluster.env("web")
    guests: Dict[int, Guest] = {}
    everyone: List[Guest] = []

    def start() -> None:
        guest = Guest(run_shim, service, env)
        guests[guest.pid] = guest
        everyone.append(guest)

    for _ in range(PROCESSES):
        start()
    for guest in guests.values():
        guest.wait_asked(names(pods))
    chance, slowest = random.Random(6), 0.0
    for kill in range(KILLS):
        writer = wait_writer(*[guest.process.result() for guest in guests.values()])
        # Changes just before the kill are half written, or not at all; one after it is the next writer's.
        for change in range(chance.randrange(3)):
            pods.append(cluster.add_pod(f"web-{kill}-{change}", {"app": "web"}))
            cluster.delete_pod(pods.pop(0))
        time.sleep(chance.random() * 0.02)
        killed = time.monotonic()
        guests.pop(writer).kill()
        cluster.delete_pod(pods.pop(0))
        pods.append(cluster.add_pod(f"web-{kill}-after", {"app": "web"}))
        results = [guest.process.result() for guest in guests.values()]
        wait_writer(*results, but=writer)
        slowest = max(slowest, time.monotonic() - killed)
        for guest in guests.values():
            guest.wait_asked(names(pods), cluster.logs())
        start()
    for guest in guests.values():
        expect(guest.end().returncode, 0, guest.process.result())
    asked = asked_of(cluster)
    # One that is given no processor for 2 s has no follower that waits for it: that one lists for itself.
    alone = sum(guest.log().count("does not move") for guest in everyone)
    print(f"{KILLS} kills: next writer within {slowest:.3f} s, requests {asked}, {alone} of a table of its own")
    expect(max(lists_of(cluster).values()) <= 1 + KILLS + alone, True, asked, alone, cluster.logs())
    without_version = [query for query in watched_versions(cluster) if query.get("resourceVersion", "0") in ("", "0")]
    expect(without_version, [], cluster.logs())
    expect(slowest < PROMOTION_S, True, f"slowest: {slowest:.3f} s")
