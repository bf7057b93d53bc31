# SPDX-License-Identifier: Apache-2.0
"""What the shim adds to the start of a program that makes no connection."""
import shutil

from .ground import Ground
from .report import Report

ROUNDS = 500
INERT = "shim, K8SLB_SERVICES unset"
ACTIVE = "shim, K8SLB_SERVICES set"


def run(ground: Ground, report: Report) -> None:
    services = "K8SLB_SERVICES=shop/web,shop/api:443,default/*"
    variants = {
        "nothing preloaded": [],
        "nothing preloaded, again (A/A)": [],
        "an empty object": [f"LD_PRELOAD={ground.empty}"],
        INERT: [f"LD_PRELOAD={ground.shim}"],
        ACTIVE: [f"LD_PRELOAD={ground.shim}", services, "K8SLB_API=http://127.0.0.1:8001"],
    }
    program = shutil.which("true") or "/bin/true"
    results = ground.run("spawn", ROUNDS, program, *(";".join([name, *env]) for name, env in variants.items()))
    for name, result in results.items():
        added = result["added_ns"]
        figure = f"p50 {result['ns']['p50'] / 1000:.0f} us"
        if name != "nothing preloaded":
            figure += f", {added['p50'] / 1000:+.0f} ({added['p25'] / 1000:+.0f}..{added['p75'] / 1000:+.0f}) us"
        shim = name in (INERT, ACTIVE)
        report.add(name, figure, "< +200 us" if shim else "", added["p50"] < 200e3 if shim else None, **result)
