# SPDX-License-Identifier: Apache-2.0
"""Hazard: vfork(), whose child lives in its parent's memory.

A naive shim that connects there starts its engine in the child and notes so in the parent, which is never balanced; or
takes the child for a new process and throws away what is the parent's.
Defence: the wiped page is shared by such a child, so it is not taken for another process; an engine is started only by a
process whose number is the page's; without one the call is libc's.
"""
import pytest

from tests.harness import Build, ShimRunner, expect
from tests.hazards.lifecycle import answers, three_and_vip
from tests.kube.double_cluster import DoubleCluster

pytestmark = pytest.mark.clusters("double")


@pytest.mark.parametrize("how, child", [("vfork-exec", "program"), ("vfork-later", "vfork")])
def test_child_and_parent_are_balanced(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, how: str, child: str
) -> None:
    service, pods = three_and_vip(cluster)

    result = run_shim([build.programs / "spawn", service.vip, 80, how], env=cluster.env("web"))

    expect((result.returncode, result.stderr), (0, ""), result)
    for tag in ("before", child, "after"):
        expect(answers(result.stdout, tag), {pod.name: 2 for pod in pods}, result)
    # The program that was started follows its parent's table. All may have ended before the first one's watch.
    asked = [cluster.server.counts("services", verb) for verb in ("list", "watch")]
    expect((asked[0], asked[1] <= 1), (1, True), asked, result, cluster.logs())


def test_a_child_that_connects_first_takes_nothing_from_its_parent(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build
) -> None:
    service, pods = three_and_vip(cluster)

    result = run_shim([build.programs / "spawn", service.vip, 80, "vfork-first"], env=cluster.env("web"))

    expect((result.returncode, result.stderr), (0, ""), result)
    expect(answers(result.stdout, "vfork"), {"vip": 6}, result)
    expect(answers(result.stdout, "after"), {pod.name: 2 for pod in pods}, result)
