# SPDX-License-Identifier: Apache-2.0
"""What the shim adds to the start of a program that makes no connection, and of one that makes a single one."""
import shutil
from typing import List, Mapping, Optional

from .ground import POD_PORT, PODS, PORT, Ground
from .memory import start
from .report import Report

ROUNDS = 500
BUDGET_US = 200
INERT = "shim, K8SLB_SERVICES unset"
ACTIVE = "shim, K8SLB_SERVICES set"
# The first blocking connection starts the watchdog, and K8SLB_ATTEMPTS=1 leaves it out. One as curl's does not block.
UNBOUNDED = "by the VIP, K8SLB_ATTEMPTS=1"
BOUNDED = "by the VIP"


def run(ground: Ground, report: Report) -> None:
    services = "K8SLB_SERVICES=shop/web,shop/api:443,default/*"
    variants = {
        "nothing preloaded": [],
        "nothing preloaded, again (A/A)": [],
        "an empty object": [f"LD_PRELOAD={ground.empty}"],
        INERT: [f"LD_PRELOAD={ground.shim}"],
        ACTIVE: [f"LD_PRELOAD={ground.shim}", services, "K8SLB_API=http://127.0.0.1:8001"],
    }
    add(ground, report, variants, [shutil.which("true") or "/bin/true"], {INERT: BUDGET_US, ACTIVE: BUDGET_US})
    run_one_connection(ground, report)


def run_one_connection(ground: Ground, report: Report) -> None:
    """In a Pod where another program keeps the table."""
    services = ground.services("bench", 1)
    ground.start("listeners", POD_PORT, *PODS).line()
    start(ground, services, [ground.shim], watches=2)
    env = [f"{name}={value}" for name, value in ground.env(services, [ground.shim]).items() if name.startswith(("K8SLB", "LD_"))]
    unbounded = [*env, "K8SLB_ATTEMPTS=1"]
    command = [ground.program("connections"), str(PORT), services.first_vip]
    commands = {"one connection": [*command, "--once"], "one non-blocking connection": [*command, "--once-non-blocking"]}
    for what, command in commands.items():
        variants = {f"{what} {UNBOUNDED}": unbounded, f"{what} {UNBOUNDED}, again (A/A)": unbounded, f"{what} {BOUNDED}": env}
        add(ground, report, variants, command)


def add(
    ground: Ground, report: Report, variants: Mapping[str, List[str]], command: List[str],
    budgets_us: Optional[Mapping[str, int]] = None,
) -> None:
    words = (";".join([name, *env]) for name, env in variants.items())
    results = ground.run("spawn", ROUNDS, *words, "--", *command)
    first = next(iter(variants))
    for name, result in results.items():
        added = result["added_ns"]
        figure = f"p50 {result['ns']['p50'] / 1000:.0f} us"
        if name != first:
            figure += f", {added['p50'] / 1000:+.0f} ({added['p25'] / 1000:+.0f}..{added['p75'] / 1000:+.0f}) us"
        budget = (budgets_us or {}).get(name)
        report.add(
            name, figure, f"< +{budget} us" if budget else "", added["p50"] < budget * 1e3 if budget else None, **result
        )
