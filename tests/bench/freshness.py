# SPDX-License-Identifier: Apache-2.0
"""How soon connections follow a change at the API server."""
import random
import time
from typing import List, Tuple
from urllib.parse import urlsplit

from .ground import PORT, Ground, Services
from .report import Report

CHANGES = 250
COUNTS = (1, 5000)
OLD, NEW = ("10.244.0.10",), ("10.244.0.11",)
SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?watch=1&resourceVersion={}"


def run(ground: Ground, report: Report) -> None:
    for count in COUNTS:
        services = ground.services("fresh", count, endpoints=3, first=OLD)
        pairs = measure(ground, services)
        first, watch = ([pair[index] for pair in pairs] for index in (0, 1))
        beyond = [a - b for a, b in pairs]
        report.add(f"write at the API server to first pick, table of {count}", text(first), ms=first)
        report.add("    to a bare watch, which no client can beat", text(watch), ms=watch)
        ok = percentile(beyond, 99) < 10
        report.add("    beyond the bare watch, paired", text(beyond), "p99 < 10 ms", ok, ms=beyond)


def measure(ground: Ground, services: Services) -> List[Tuple[float, float]]:
    """Milliseconds from before the write, so the server's own work is in them, to the first connection to the new pod
    and to the event at a bare watch beside it. The client connects every 0.1 ms."""
    preload = [ground.shim, ground.stub]
    client = ground.start("first_pick", services.first_vip, PORT, services=services, preload=preload)
    # The VIP itself is never printed: the first line is the first pick.
    assert client.line()["ip"] in OLD + NEW
    path = SLICES.format(services.namespace, ground.double.store.rv)
    watch = ground.start("plain_watch", urlsplit(ground.double.url).port, path)
    watch.line()
    result = []
    for change in range(CHANGES):
        pods = OLD if change % 2 else NEW
        time.sleep(random.uniform(0.002, 0.02))  # no rhythm that could meet a timer's
        start = time.monotonic_ns()
        services.move_first(pods)
        heard = watch.line()["ns"]
        line = client.line()
        if line["ip"] not in pods:
            raise RuntimeError(f"connected to {line['ip']} after a change to {pods[0]}")
        result.append(((line["ns"] - start) / 1e6, (heard - start) / 1e6))
    services.move_first(OLD)
    return result


def percentile(values: List[float], percent: int) -> float:
    return sorted(values)[(len(values) - 1) * percent // 100]


def text(values: List[float]) -> str:
    return f"p50 {percentile(values, 50):.2f}, p99 {percentile(values, 99):.2f}, max {max(values):.2f} ms"
