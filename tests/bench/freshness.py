# SPDX-License-Identifier: Apache-2.0
"""How soon connections follow a change at the API server."""
import random
import time
from typing import List

from .ground import PORT, Ground, Services
from .report import Report

CHANGES = 250
COUNTS = (1, 5000)
OLD, NEW = ("127.244.0.10",), ("127.244.0.11",)


def run(ground: Ground, report: Report) -> None:
    for count in COUNTS:
        services = ground.services("fresh", count, endpoints=3, first=OLD)
        milliseconds = sorted(measure(ground, services))
        p50, p99 = milliseconds[len(milliseconds) // 2], milliseconds[int(len(milliseconds) * 0.99)]
        report.add(
            f"write at the API server to first pick, {count} Services",
            f"p50 {p50:.2f}, p99 {p99:.2f}, max {milliseconds[-1]:.2f} ms",
            "p99 < 10 ms",
            p99 < 10,
            ms=milliseconds,
        )


def measure(ground: Ground, services: Services) -> List[float]:
    """From before the write, so the server's own work is in it; the client connects every 0.1 ms."""
    client = ground.start("first_pick", services.first_vip, PORT, services=services, preload=[ground.shim, ground.stub])
    # The VIP itself is never printed: the first line is the first pick.
    assert client.line()["ip"] in OLD + NEW
    result = []
    for change in range(CHANGES):
        pods = OLD if change % 2 else NEW
        time.sleep(random.uniform(0.002, 0.02))  # no rhythm that could meet a timer's
        start = time.monotonic_ns()
        services.move_first(pods)
        line = client.line()
        if line["ip"] not in pods:
            raise RuntimeError(f"connected to {line['ip']} after a change to {pods[0]}")
        result.append((line["ns"] - start) / 1e6)
    services.move_first(OLD)
    return result
