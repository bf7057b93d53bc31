# SPDX-License-Identifier: Apache-2.0
"""The writer's journal: what it costs a busy writer, and how soon the next one has everything."""
import tempfile

from .ground import Ground
from .report import Report

SIZES = ((1, 10), (10000, 10))  # Services, endpoints of each
EVENTS = 60000
CHANGES_A_SECOND = 1000


def run(ground: Ground, report: Report) -> None:
    for services, endpoints in SIZES:
        # On a tmpfs, as the table is.
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            result = ground.run("journal", folder, services, endpoints, EVENTS)
        size = f"journal of {services} ({services * endpoints} endpoints)"
        event = result["event_ns"]
        share = result["mean_event_ns"] * CHANGES_A_SECOND / 1e9
        report.add(
            f"one event, flushed, {size}",
            f"{event['p50'] / 1e3:.1f} us, p99 {event['p99'] / 1e3:.1f} us",
            **result,
        )
        report.add(
            f"    {CHANGES_A_SECOND} a second with the rewrites, of a core",
            f"{share:.1%}",
            "< 10 %",
            share < 0.1,
        )
        report.add(
            "    one rewrite",
            f"{result['rewrite_ns'] / 1e6:.1f} ms for {result['first_bytes'] / 1e6:.1f} MB, {result['rewrites']} times",
        )
        report.add(
            "    restored by the next writer",
            f"{result['restore_ns'] / 1e6:.0f} ms from {result['restored_bytes'] / 1e6:.1f} MB",
        )
