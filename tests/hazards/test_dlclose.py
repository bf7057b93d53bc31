# SPDX-License-Identifier: Apache-2.0
"""Hazard: a program opens the library by itself, uses its connect(), and closes it again.

A naive shim is unmapped under its own thread, which then crashes the program.
Defence: the object is linked with -z nodelete, so it stays; opened again it is the same one with the same engine.
"""
import pytest

from tests.harness import Build, ShimRunner, expect
from tests.hazards.lifecycle import answers, three_and_vip
from tests.kube.double_cluster import DoubleCluster

pytestmark = [
    pytest.mark.clusters("double"),
    pytest.mark.unsanitized("a sanitizer's runtime must be there before the program is"),
]

ROUNDS = 5


@pytest.mark.parametrize("preloaded", [False, True])
def test_open_use_close_and_go_on(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, preloaded: bool) -> None:
    service, pods = three_and_vip(cluster)
    command = [build.programs / "open_shim", service.vip, 80, build.shim, ROUNDS]

    result = run_shim(command, env=cluster.env("web"), preload=preloaded)

    expect((result.returncode, result.stderr), (0, ""), result)
    expect(answers(result.stdout, "opened"), {pod.name: ROUNDS for pod in pods}, result)
    # The program's own connect() is libc's, unless the library was preloaded as well.
    own = {pod.name: 1 for pod in pods} if preloaded else {"vip": 3}
    expect((answers(result.stdout, "own"), answers(result.stdout, "error")), (own, {}), result)
    expect(cluster.server.counts("services", "list"), 1, result, cluster.logs())
