# SPDX-License-Identifier: Apache-2.0
"""Hazard: clone() without CLONE_VM by the bare system call, as container runtimes and sandboxes make children.

libc knows nothing of such a child: no pthread_atfork() handler runs, and a process number that was kept is the parent's.
A naive shim goes on to believe that its engine runs.
Defence: the kernel wipes the page that tells the process, whoever asked for the copy.
"""
import pytest

from tests.harness import Build, ShimRunner, expect
from tests.hazards.lifecycle import answers, three_and_vip
from tests.kube.double_cluster import DoubleCluster
from tests.ours import OURS

pytestmark = pytest.mark.clusters("double")


def test_child_starts_its_own_engine(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    service, pods = three_and_vip(cluster)

    result = run_shim([build.programs / "spawn", service.vip, 80, "clone"], env=cluster.env("web"))

    expect((result.returncode, result.stderr), (0, ""), result)
    for tag in ("before", "clone", "after"):
        expect(answers(result.stdout, tag), {pod.name: 2 for pod in pods}, result)
    # Its own engine's thread and its watchdog, if there is one, are the others. What that thread logs may come after the end of a child that had its parent's table.
    expect(answers(result.stdout, "threads"), {str(1 + len(OURS)): 1}, result)
