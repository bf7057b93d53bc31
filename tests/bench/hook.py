# SPDX-License-Identifier: Apache-2.0
"""What the hooks of socket() and connect() add to a connection, in time and in system calls, and that of sendto() to sending."""
import collections
import os
import random
import re
import shutil
import statistics
from typing import Counter, Dict, List, Optional

from .ground import PORT, POD_PORT, PODS, Ground, Services, Worker
from .report import Report, spread

COUNTS = (1, 1000, 10000)
ROUNDS = 7
UNMATCHED_VIP = "10.200.0.1"
STRACED = 100
Samples = Dict[str, List[float]]


def run(ground: Ground, report: Report) -> None:
    bare = ground.start("hook_cost", UNMATCHED_VIP, PORT, 1000, preload=[ground.stub])
    shims: Dict[int, Worker] = {}
    for count in COUNTS:
        services = ground.services("bench", count)
        shims[count] = ground.start(
            "hook_cost", services.first_vip, PORT, count, services=services, preload=[ground.shim, ground.stub]
        )
        shims[count].ask("wait")
    samples: Samples = collections.defaultdict(list)
    for _ in range(ROUNDS):
        one_round(bare, shims, samples)
    add_rows(samples, report)
    count_system_calls(ground, report)


def one_round(bare: Worker, shims: Dict[int, Worker], samples: Samples) -> None:
    """All variants once, in a fresh order; what the loop and the stub cost is taken off within the round."""
    modes = ["same", "unmatched", "send"]
    todo = [(0, bare, mode) for mode in modes + ["same again"]]
    for count, shim in shims.items():
        todo += [(count, shim, mode) for mode in ("same", "unmatched", "spread", "send")]
    if len(os.sched_getaffinity(0)) > 1:
        todo.append((COUNTS[0], shims[COUNTS[0]], "two-threads"))
    random.shuffle(todo)
    now = {(count, mode): worker.ask(mode.split()[0])["best"] for count, worker, mode in todo}
    for (count, mode), value in now.items():
        samples[f"{mode} {count}"].append(value)
    for count in shims:
        for mode, floor in (("same", "same"), ("spread", "same"), ("unmatched", "unmatched"), ("send", "send")):
            samples[f"net {mode} {count}"].append(now[count, mode] - now[0, floor])
    samples["net again"].append(now[0, "same again"] - now[0, "same"])


def add_rows(samples: Samples, report: Report) -> None:
    for what, key in (
        ("socket() and connect() through the stub, no shim", "same 0"),
        ("the same again (A/A), difference", "net again"),
    ):
        report.add(what, spread(samples[key]) + " ns", ns=samples[key])
    for what, mode, budget in (
        ("unmatched", "unmatched", 15),
        ("matched, one Service", "same", 60),
        ("matched, all Services in turn", "spread", 60),
        ("sendto() without MSG_FASTOPEN", "send", 3),
    ):
        for count in COUNTS:
            net, gross = samples[f"net {mode} {count}"], samples[f"{mode} {count}"]
            report.add(
                f"{what}, table of {count}: net (gross)",
                f"{spread(net)} ({statistics.median(gross):.1f}) ns",
                f"< {budget} ns net",
                statistics.median(net) < budget,
                net_ns=net,
                gross_ns=gross,
            )
    if samples["two-threads 1"]:
        gross = samples["two-threads 1"]
        report.add("matched, 2 threads on one Service: gross", spread(gross) + " ns", ns=gross)


def count_system_calls(ground: Ground, report: Report) -> None:
    """By strace, which without -f sees the connecting thread alone, from the moment that the table is there."""
    if not shutil.which("strace"):
        raise RuntimeError("strace is missing")
    services = ground.services("bench", 1)
    ground.start("listeners", POD_PORT, *PODS).line()
    direct = traced(ground, None, PODS[0], POD_PORT)
    unmatched = traced(ground, services, PODS[0], POD_PORT)
    matched = traced(ground, services, services.first_vip, PORT)
    for what, counts in (("unmatched", unmatched), ("matched", matched)):
        counts.subtract(direct)
        extra = {name: count / STRACED for name, count in counts.items() if count}
        figure = ", ".join(f"{count:g} {name}" for name, count in sorted(extra.items())) or "0"
        report.add(f"extra system calls of a connect(), {what}", figure, "0" if what == "unmatched" else "",
                   not extra if what == "unmatched" else None, extra=extra)


def traced(ground: Ground, services: Optional[Services], ip: str, port: int) -> Counter[str]:
    log = ground.file("strace")
    env = ground.env(services, [ground.shim] if services else [])
    settings = [word for name, value in env.items() if name.startswith(("K8SLB_", "LD_PRELOAD"))
                for word in ("-E", f"{name}={value}")]
    worker = ground.start("connections", port, ip, under=["strace", "-o", str(log), *settings])
    worker.ask("wait")
    if worker.ask(str(STRACED))["errors"]:
        raise RuntimeError("connections failed under strace")
    worker.stop()
    lines = log.read_text(errors="replace").splitlines()
    ready = next(index for index, line in enumerate(lines) if line.startswith('write(1, "{}'))
    names = (re.match(r"[a-z_0-9]+(?=\()", line) for line in lines[ready:])
    return collections.Counter(name.group() for name in names if name)
