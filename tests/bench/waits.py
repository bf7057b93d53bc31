# SPDX-License-Identifier: Apache-2.0
"""What the hooks of poll(), select() and epoll_wait() add to a wait, while no connection is under way and while one is."""
import collections
import random
import statistics
from typing import Dict, List

from .ground import POD_PORT, PODS, PORT, Ground
from .report import Report, spread

ROUNDS = 9
WAITS = [f"{call}{end}" for call in ("poll", "select", "epoll_wait") for end in ("", "_1s", "_ever")]
SLEEPS = [f"{what}_{call}" for call in ("poll", "select", "epoll_wait") for what in ("late", "eintr")]
BUDGETS_NS = {"nothing under way": 10, "one under way": 200}
LATER_US = 50
WORDS = {"late": "a wait of 3 ms ends later by", "eintr": "EINTR comes later by"}
# One that is under way stays so for the whole part.
SETTINGS = ["env", "K8SLB_CONNECT_TIMEOUT=600000"]


def run(ground: Ground, report: Report) -> None:
    services = ground.services("bench", 1)
    ground.start("listeners", POD_PORT, *PODS).line()
    arguments = (services.first_vip, PORT)
    workers = {"without": ground.start("waits", *arguments)}
    for name in BUDGETS_NS:
        workers[name] = ground.start("waits", *arguments, services=services, preload=[ground.shim], under=SETTINGS)
        workers[name].ask("wait")
    workers["one under way"].ask("connect")
    samples: Dict[str, List[float]] = collections.defaultdict(list)
    todo = [(name, wait) for name in workers for wait in (*WAITS, *SLEEPS)]
    system_calls: List[float] = []
    for _ in range(ROUNDS):
        system_calls.append(workers["without"].ask("system_calls")["best"])
        random.shuffle(todo)
        now = {(name, wait): workers[name].ask(wait) for name, wait in todo}
        for wait in (*WAITS, *SLEEPS):
            figure = "best" if wait in WAITS else "median"
            samples[f"without {wait}"].append(now["without", wait][figure])
            for name in BUDGETS_NS:
                samples[f"{name} {wait}"].append(now[name, wait][figure] - now["without", wait][figure])
    report.add("prctl() and twice rt_sigprocmask()", spread(system_calls) + " ns", ns=system_calls)
    for wait in WAITS:
        gross = samples[f"without {wait}"]
        report.add(f"{wait}() without the library", spread(gross) + " ns", ns=gross)
        for name, budget in BUDGETS_NS.items():
            net = samples[f"{name} {wait}"]
            # A wait that may be cut closes signals meanwhile, and asks whether it may.
            if wait.endswith(("_1s", "_ever")) and name == "one under way":
                budget += round(statistics.median(system_calls))
            report.add(f"{wait}(), {name}: added", spread(net) + " ns", f"< +{budget} ns", statistics.median(net) < budget, ns=net)
    for wait in SLEEPS:
        what, _, call = wait.partition("_")
        for name in BUDGETS_NS:
            later = samples[f"{name} {wait}"]
            report.add(
                f"{call}(), {name}: {WORDS[what]}", spread(later) + " us", f"< {LATER_US} us", statistics.median(later) < LATER_US, us=later
            )
