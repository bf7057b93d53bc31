# SPDX-License-Identifier: Apache-2.0
"""The table itself: publishing it, its size, and looking up in it."""
import collections
import random
from typing import Dict, List, Tuple

from .ground import Ground, Worker
from .report import Report, spread

SIZES = ((1, 10), (1000, 10), (10000, 10))  # Services, endpoints of each
ROUNDS = 5


def run_publish(ground: Ground, report: Report) -> None:
    for services, endpoints in SIZES:
        result = ground.run("publish", services, endpoints)
        size = f"table of {services} ({result['endpoints']} endpoints)"
        put, publish = result["put_ns"], result["publish_ns"]
        largest = services == SIZES[-1][0]
        report.add(
            f"put + publish one change, {size}",
            f"{put['p50'] / 1e3:.0f} + {publish['p50'] / 1e3:.0f} us, p99 {publish['p99'] / 1e3:.0f} us",
            "< 1 ms" if largest else "",
            put["p50"] + publish["p50"] < 1e6 if largest else None,
            **result,
        )
        if largest:
            each = result["table_bytes"] / result["endpoints"]
            heap = result["heap_bytes"] / result["endpoints"]
            report.add(f"size of the {size}", f"{each:.1f} B an endpoint", "< 64 B", each < 64)
            report.add("    writer's own copy beside it", f"{heap:.1f} B an endpoint")


def run_lookup(ground: Ground, report: Report) -> None:
    workers: Dict[int, Worker] = {services: ground.start("lookup", services) for services, _ in SIZES}
    samples: Dict[Tuple[str, int], List[float]] = collections.defaultdict(list)
    todo = [(mode, services) for mode in ("same", "spread", "missing") for services in workers]
    for _ in range(ROUNDS):
        for mode, services in random.sample(todo, len(todo)):
            samples[mode, services].append(workers[services].ask(mode)["best"])
    names = {
        "same": "pick of one Service",
        "spread": "pick of all Services in turn",
        "missing": "an address that is not there",
    }
    for mode, services in todo:
        values = samples[mode, services]
        report.add(f"{names[mode]}, table of {services}", spread(values) + " ns", ns=values)
