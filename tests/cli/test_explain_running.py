# SPDX-License-Identifier: Apache-2.0
"""k8slb explain of a running table: what programs share, a process's, an agent's; with what they avoid."""
import json
import subprocess
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests.agent.common import Agents
from tests.cli.common import HOLDS, run_cli
from tests.e2e.common import three
from tests.harness import Build, ShimRunner, expect, wait_until
from tests.preload.common import client, python

pytestmark = pytest.mark.clusters("double")

def told(build: Build, *arguments: object) -> List[Dict[str, Any]]:
    result = run_cli(build, "explain", "-o", "json", *arguments)
    expect((result.returncode, result.stderr), (0, ""), result)
    answer: List[Dict[str, Any]] = json.loads(result.stdout)
    return answer


def health(build: Build, *arguments: object) -> Dict[str, str]:
    (port,) = told(build, *arguments)
    return {one["address"]: one["health"] for one in port["endpoints"]}


def test_what_programs_share_and_avoid(cluster: Any, build: Build, run_shim: ShimRunner) -> None:
    service, pods = three(cluster)
    program = run_shim.start(python(HOLDS, service.vip, 80), env=cluster.env("web"))
    program.wait_output("connected")
    good = {pod.ip: "good" for pod in pods}
    for how in (["--running"], ["--pid", program.pid], ["--running", "web:http"]):
        (port,) = told(build, *how)
        expect((port["namespace"], port["service"], port["port"], port["vip"]), ("default", "web", {"name": "http", "number": 80}, service.vip))
        expect(health(build, *how), good)
    # One that refuses is avoided by all, for a time.
    pods[0].listeners[0].stop()
    began = time.monotonic()
    result = run_shim(client(str(service.vip), 80, 6), env=cluster.env("web"))
    expect(result.returncode, 0, result)
    now = health(build, "--running")
    # Its time is 5 s at least, which a busy machine may take until here.
    assert now.pop(pods[0].ip) in ("avoided", "to probe", "probed"), result
    expect(now, {pod.ip: "good" for pod in pods[1:]}, result)
    (port,) = told(build, "--running")
    avoided = next(one for one in port["endpoints"] if one["address"] == pods[0].ip)
    assert avoided["inARow"] == 1 and (avoided["untilMs"] or 0) <= 10000, avoided
    # It was good, and refused within the program that ran just now.
    assert 0 < avoided["sinceMs"] < (time.monotonic() - began) * 1000 + 20, avoided
    lines = run_cli(build, "explain", "--running").stdout.splitlines()
    assert lines[0].startswith("Table: shared by ") and "of this user; generation " in lines[0] and "in sync" in lines[0], lines
    expect(lines[2], f"default/web:http  80/TCP  VIP {service.vip}, 3 endpoints")
    expect(lines[3].split(None, 4), ["ADDRESS", "HEALTH", "SINCE", "FOR", "IN A ROW"])
    (row,) = [line.split() for line in lines if line.startswith(f"  {pods[0].ip}:8080 ")]
    expect((row[0], row[-1]), (f"{pods[0].ip}:8080", "1"))


def test_an_agents(cluster: Any, build: Build, agents: Agents, run_shim: ShimRunner, tmp_path: Path) -> None:
    service, pods = three(cluster)
    table = tmp_path / "agent" / "table"
    agents.run(cluster, table)
    env = {"K8SLB_TABLE": str(table), "K8SLB_SERVICES": "web"}
    program = run_shim.start(python(HOLDS, service.vip, 80), env=env)
    program.wait_output("connected")
    for how in (["--table", table], ["--pid", program.pid]):
        expect(health(build, *how, "web"), {pod.ip: "good" for pod in pods})


def test_a_watch(cluster: Any, build: Build, agents: Agents, tmp_path: Path) -> None:
    """Tells again what has changed, and nothing else."""
    service, pods = three(cluster)
    table = tmp_path / "agent" / "table"
    agents.run(cluster, table)
    output = tmp_path / "output"
    with open(output, "w") as file:
        command = [str(build.cli), "explain", "--table", str(table), "--watch", "web"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        wait_until("the first", lambda: pods[2].ip in output.read_text(), output.read_text)
        cluster.delete_pod(pods[2])
        wait_until("the second", lambda: output.read_text().count("Table: ") == 2, output.read_text)
        assert pods[2].ip not in output.read_text().rpartition("Table: ")[2]
        expect(process.poll(), None)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (["--running"], 1, "no program of this user shares a table now; it appears with the first connection"),
        (["--pid", "999999999"], 1, "process 999999999: No such file or directory; name one of this user"),
        (["--pid", "0"], 2, 'expected the number of a process'),
        (["--table", "/nowhere/table"], 1, "the agent at /nowhere/table: No such file or directory; see that it runs"),
        (["--table", "table"], 2, "expected an absolute path"),
        (["--watch"], 2, "--watch is for a running table; add --running"),
        (["--running", "--from", "-"], 2, "are different answers; name one of them"),
    ],
)
def test_what_is_not_there(cluster: Any, build: Build, run_shim: ShimRunner, arguments: List[str], status: int, words: str) -> None:
    result = run_cli(build, "explain", *arguments)
    expect((result.returncode, result.stdout), (status, ""), result)
    assert words in result.stderr and result.stderr.count("\n") == 1, result
