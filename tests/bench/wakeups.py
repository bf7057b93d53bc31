# SPDX-License-Identifier: Apache-2.0
"""How often threads of ours wake up in programs that connected once and do nothing since."""
import time
from pathlib import Path
from typing import Dict

from .ground import Ground, Worker
from .memory import start
from .report import Report

SETTLE_S = 5.0  # the watchdog goes to sleep, and lists come in
SECONDS = 30.0


def run(ground: Ground, report: Report) -> None:
    services = ground.services("bench", 1)
    ends = {}
    for role in ("writer", "follower"):
        ends[role] = start(ground, services, [ground.shim], watches=2)
    time.sleep(SETTLE_S)
    before = {role: wakeups(worker) for role, worker in ends.items()}
    time.sleep(SECONDS)
    for role, worker in ends.items():
        for thread, count in wakeups(worker).items():
            woken = count - before[role][thread]
            budget, ok = ("0", woken == 0) if thread == "k8slb-watchdog" else ("", None)
            report.add(f"{role}, thread {thread}: wake-ups in {SECONDS:.0f} s", str(woken), budget, ok, wakeups=woken)


def wakeups(worker: Worker) -> Dict[str, int]:
    """Of each thread of ours, how often it has given up its processor by itself."""
    counts = {}
    for task in Path(f"/proc/{worker.pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        if name.startswith("k8slb"):
            status = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
            counts[name] = int(status["voluntary_ctxt_switches"])
    return counts
