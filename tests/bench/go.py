# SPDX-License-Identifier: Apache-2.0
"""What the shim adds to a Go program that it patches: to its start, and to dials that are none of a Service's."""
import json
import subprocess
from statistics import median
from typing import List, Mapping

from tests.programs.common import wait_listening
from tests.programs.gobuilds import built

from .ground import POD_PORT, PODS, Ground
from .memory import start as hold_table
from .report import Report
from .start import add

START_BUDGET_US = 1000
ROUNDS, DIALS = 9, 4000
OFF, PATCHED = "shim, K8SLB_GO=off", "shim, patched"


def run(ground: Ground, report: Report) -> None:
    program = str(built("cgo"))
    services = ground.services("bench", 1)
    ground.start("listeners", POD_PORT, *PODS).line()
    hold_table(ground, services, [ground.shim], watches=2)
    env = {name: value for name, value in ground.env(services, [ground.shim]).items() if name.startswith(("K8SLB", "LD_"))}
    off = {**env, "K8SLB_GO": "off"}
    variants = {"nothing preloaded": {}, "nothing preloaded, again (A/A)": {}, OFF: off, PATCHED: env}
    words = {name: [f"{key}={value}" for key, value in one.items()] for name, one in variants.items()}
    add(ground, report, words, [program, "nothing"], {PATCHED: START_BUDGET_US})
    address = f"{PODS[0]}:{POD_PORT + 1}"
    with subprocess.Popen([program, "serve", address, "pod"]) as server:
        try:
            dials(report, program, address, variants)
        finally:
            server.kill()


def dials(report: Report, program: str, address: str, variants: Mapping[str, Mapping[str, str]]) -> None:
    """In turns, so that what the machine does meanwhile is the same for all."""
    host, port = address.split(":")
    wait_listening((host, int(port)))
    times: Mapping[str, List[float]] = {name: [] for name in variants}
    for _round in range(ROUNDS):
        for name, one in variants.items():
            command = [program, "dial", address, str(DIALS), "1"]
            told = subprocess.run(command, env=dict(one), check=True, stdout=subprocess.PIPE).stdout
            times[name].append(json.loads(told)["Ns"])
    first = median(times["nothing preloaded"])
    for name, found in times.items():
        report.add(
            f"a dial of no Service's, {name}", f"p50 {median(found) / 1000:.1f} us, {(median(found) - first) / first * 100:+.1f} %",
            ns=median(found), rounds=found,
        )
