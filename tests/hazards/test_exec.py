# SPDX-License-Identifier: Apache-2.0
"""Hazard: fork() or posix_spawn() with exec, and exec while the engine and the program's threads work.

A naive shim leaks the engine's sockets into the new program, or a child that is about to become another program runs a
handler of the shim's that waits for a lock.
Defence: descriptors of the engine's own table, none of which the child has; nothing runs at fork(); the new program's
shim begins anew.
"""
import pytest

from tests.harness import Build, ShimRunner, counts, expect
from tests.hazards.lifecycle import answers, shared_memory, three_and_vip, wait_no_watch
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import python

pytestmark = pytest.mark.clusters("double")


@pytest.mark.parametrize("how", ["exec", "posix_spawn"])
def test_a_new_program(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, how: str) -> None:
    service, pods = three_and_vip(cluster)
    command = [build.programs / "spawn", service.vip, 80, how]

    plain = run_shim(command, preload=False)
    result = run_shim(command, env=cluster.env("web"))

    tags = ("before", "program", "after")
    expect([(plain.returncode, answers(plain.stdout, tag)) for tag in tags], [(0, {"vip": 6})] * 3, plain)
    balanced = {pod.name: 2 for pod in pods}
    expect([(result.returncode, answers(result.stdout, tag)) for tag in tags], [(0, balanced)] * 3, result)
    expect(result.stderr, "", result)


def test_no_descriptor_goes_along(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """subprocess closes none here, so the new program shows what the child had."""
    service, _pods = three_and_vip(cluster)
    code = (
        "import os, socket, subprocess, sys\n"
        "socket.create_connection((sys.argv[1], 80)).close()\n"
        "subprocess.run(['ls', '/proc/self/fd'], close_fds=False, check=True)\n"
    )

    plain = run_shim(python(code, service.vip), preload=False)
    result = run_shim(python(code, service.vip), env=cluster.env("web"))

    expect((result.returncode, result.stdout, result.stderr), (plain.returncode, plain.stdout, plain.stderr), result, plain)


def test_exec_under_load(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    service, pods = three_and_vip(cluster)
    images = counts(20, 200)
    before = shared_memory()

    result = run_shim([build.programs / "spawn", service.vip, 80, "exec-load", images], env=cluster.env("web"))

    asked = answers(result.stdout, "program")
    expect((result.returncode, result.stderr, answers(result.stdout, "last")), (0, "", {"image": 1}), result)
    # The load's threads take turns as well, so it is only sure that a pod answered, each time.
    expect((sum(asked.values()), set(asked) <= {pod.name for pod in pods}), (images + 1, True), result)
    wait_no_watch(cluster)
    expect(shared_memory(), before)
    print(f"\nexec under load: {images} images replaced, all balanced")
