# SPDX-License-Identifier: Apache-2.0
"""A handler leaves connect() by siglongjmp(), and what the hook had claimed stays taken: a naive shim never looks for the agent
again, and each call of the other threads waits for somebody who is gone. Our claims have an end, and the next call takes them over."""
import os
import re
import signal
import socket
from pathlib import Path

import pytest

from tests.agent.common import Agents, reader_env
from tests.agent.conftest import agents, place, table  # noqa: F401: fixtures
from tests.e2e.common import stand_in
from tests.harness import Build, ShimRunner, expect
from tests.hazards.guests import names
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import web

pytestmark = pytest.mark.clusters("double")

AGENT_LIMIT_MS = 100  # shim/agent.h
SLACK_MS = 5000  # a busy machine


def test_an_agent_is_looked_for_again(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, agents: Agents, table: Path  # noqa: F811
) -> None:
    service, pods = web(cluster)
    stand_in(cluster, service)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as silent:
        silent.bind(str(table))
        silent.listen(100)
        program = run_shim.start([build.programs / "jumps", service.vip, 80], env=reader_env(table))
        program.wait_output("slowest ")

    result = program.result()
    assert result.stdout.startswith("jumped"), result
    (slowest,) = re.findall(r"slowest (\d+)", result.stdout)
    assert int(slowest) < AGENT_LIMIT_MS + SLACK_MS, result
    # It was asked again, after the one that was left.
    assert "no answer" in result.log, result
    table.unlink()
    agents.run(cluster, table)
    for pod in pods:
        program.wait_output(f"ask {pod.name}\n")
    os.kill(program.pid, signal.SIGKILL)
    expect(set(re.findall(r"^ask (.*)$", program.wait().stdout, re.MULTILINE)) - names(pods), {"vip"}, result)
