# SPDX-License-Identifier: Apache-2.0
"""The memory that the shim adds to a program which does nothing."""
import re
from pathlib import Path
from typing import Dict, Optional, Sequence

from .ground import PORT, Ground, Services, Worker
from .report import Report


def run(ground: Ground, report: Report) -> None:
    services = ground.services("bench", 1)
    without = measure(ground)
    report.add("no shim", text(without), **without)
    for what, sync in (("shim, K8SLB_SERVICES unset", None), ("shim, table of 1 Service in sync", services)):
        now = measure(ground, sync, [ground.shim])
        added = now["private_kib"] - without["private_kib"]
        budget, ok = ("", None) if sync else ("< 200 KiB", added < 200)
        report.add(f"{what}: added", f"{added:+d} KiB private ({text(now)})", budget, ok, added_kib=added, **now)


def measure(ground: Ground, services: Optional[Services] = None, preload: Sequence[str] = ()) -> Dict[str, int]:
    """Two of them run, as in any container that has the shim in more than one process: otherwise the pages of its file
    would count as private to the only one."""
    watches = ground.double.open_watches() + 2  # of Services and of slices; the second process follows the first
    workers = [start(ground, services, preload, watches) for _ in range(2)]
    kib = {"private": 0, "pss": 0}
    for line in Path(f"/proc/{workers[0].pid}/smaps_rollup").read_text().splitlines():
        match = re.match(r"(Private)_\w+:\s+(\d+) kB|(Pss):\s+(\d+) kB", line)
        if match:
            kib[(match.group(1) or match.group(3)).lower()] += int(match.group(2) or match.group(4))
    return {f"{name}_kib": value for name, value in kib.items()}


def start(ground: Ground, services: Optional[Services], preload: Sequence[str], watches: int) -> Worker:
    """Its connect() has waited for the table, whoever writes it, before it prints its line."""
    if services is None:
        worker = ground.start("idle", preload=preload)
        worker.line()
        return worker
    worker = ground.start("idle", services.first_vip, PORT, services=services, preload=preload)
    worker.line()
    ground.double.wait(lambda: ground.double.open_watches() >= watches)
    return worker


def text(kib: Dict[str, int]) -> str:
    return f"{kib['private_kib']} KiB, Pss {kib['pss_kib']} KiB"
