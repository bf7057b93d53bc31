# SPDX-License-Identifier: Apache-2.0
"""Hazard: main() ends by pthread_exit() and the process goes on; with its last thread it ends.

libc counts every thread: with an engine that never ends, the last thread of the program is not the last of the process.
A naive shim makes a program that used to end hang after all of its work, with its last output unwritten.
Defence: the engine ends before the program's first thread does; from then on calls are libc's.
"""
from typing import List

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.hazards.lifecycle import SERVERS, answers, server, three_and_vip
from tests.kube.double_cluster import DoubleCluster

pytestmark = pytest.mark.clusters("double")


@pytest.mark.parametrize("behaviour", SERVERS)
@pytest.mark.parametrize("last", ["thread", "main"])
def test_the_process_ends_with_its_last_thread(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, last: str, behaviour: str
) -> None:
    service, pods = three_and_vip(cluster)
    command = [build.programs / "threads_remain", service.vip, 80, 6, last]

    plain = run_shim(command, preload=False)
    with server(cluster, behaviour, K8SLB_SYNC_TIMEOUT="30000" if behaviour == "normal" else "50") as env:
        result = run_shim(command, env=env)

    def words(output: str) -> List[str]:
        return [line for line in output.splitlines() if not line.startswith(("main ", "thread "))]

    expect((plain.returncode, words(plain.stdout)), (0, ["flushed", "atexit"]), plain)
    expect((result.returncode, words(result.stdout), result.stderr), (0, ["flushed", "atexit"], ""), result)
    balanced = {pod.name: 1 for pod in pods} if behaviour == "normal" else {"vip": 3}
    expect(answers(result.stdout, "main"), balanced, result)
    asked = answers(result.stdout, "thread")
    expect((sum(asked.values()), set(asked) <= {"vip", *balanced}), (12, True), result)
    assert result.seconds < plain.seconds + 20, (result, plain)


def test_no_call_waits_for_a_table_that_never_comes(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    """main() leaves before the first connection of the process: no engine may start, so there is nothing to wait for."""
    service, _pods = three_and_vip(cluster)
    command = [build.programs / "threads_remain", service.vip, 80, 6, "unasked"]

    plain = run_shim(command, preload=False)
    result = run_shim(command, env=cluster.env("web", K8SLB_SYNC_TIMEOUT="30000"))

    expect(answers(result.stdout, "thread"), {"vip": 12}, result)
    expect((result.returncode, result.stderr), (0, ""), result)
    assert result.seconds < plain.seconds + 20, (result, plain)
    expect(cluster.server.requests(), [], result)
