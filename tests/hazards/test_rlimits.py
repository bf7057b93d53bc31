# SPDX-License-Identifier: Apache-2.0
"""Limits of descriptors, threads and memory, set before the program or by it: a naive shim aborts, spins or fails the
program's calls when it gets none. Ours serves as far as it gets, keeps the last table, and leaves the rest to kube-proxy.

ENOMEM comes by RLIMIT_AS and RLIMIT_DATA; vm.overcommit_memory belongs to the machine and stays as it is."""
from pathlib import Path
from typing import Any, List

import pytest

from tests.e2e.common import stand_in
from tests.harness import Build, Result, ShimRunner, expect
from tests.hazards.guests import as_nobody, expect_balanced, names, public_build, public_credentials, public_directory
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import web

pytestmark = [
    pytest.mark.clusters("double"),
    pytest.mark.unsanitized("the sanitizers map terabytes and open files of their own"),
]
public = pytest.fixture(public_directory)

MIB = 1 << 20
QUESTIONS = 9
BALANCED: List[List[str]] = [
    ["--nofile=1024:1024"],
    ["--nofile=16:16"],
    ["--nofile=12:12"],
    [f"--as={64 * MIB}"],
    [f"--data={16 * MIB}"],
    ["--stack=65536"],
    ["--stack=unlimited"],
    ["--memlock=0"],
    ["--core=0", "--nice=0", "--rtprio=0", "--sigpending=0", "--msgqueue=0"],
    ["--nofile=16:16", f"--as={64 * MIB}", "--stack=65536", "--memlock=0"],
]
# Not enough for a thread, its memory or its descriptors.
TOO_LITTLE: List[List[str]] = [
    ["--nofile=8:8"],
    ["--nofile=6:6"],
    ["--nofile=5:5"],
    ["--nofile=4:4"],
    [f"--as={12 * MIB}"],
    [f"--as={8 * MIB}"],
    [f"--as={6 * MIB}"],
    [f"--data={MIB}"],
    ["--data=0"],
]


def program(build: Build, vip: Any) -> List[Any]:
    return [build.programs / "connect_loop", vip, 80, QUESTIONS, "plain"]


def expect_each_answered(result: Result) -> List[str]:
    expect((result.returncode, result.stderr), (0, ""), result)
    answers = result.stdout.splitlines()
    expect(len(answers), QUESTIONS, result)
    return answers


@pytest.mark.parametrize("limits", BALANCED, ids=" ".join)
def test_limits_that_leave_room(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, limits: List[str]) -> None:
    service, pods = web(cluster)

    result = run_shim(["prlimit", *limits, *program(build, service.vip)], env=cluster.env("web"))

    expect_balanced(expect_each_answered(result), pods, result)


@pytest.mark.parametrize("limits", TOO_LITTLE, ids=" ".join)
def test_limits_that_leave_none(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, limits: List[str]) -> None:
    """Every connection is made, to a pod or to the VIP; those that the bare program could not make either fail as there."""
    service, pods = web(cluster)
    vip = stand_in(cluster, service)
    command = ["prlimit", *limits, *program(build, service.vip)]

    bare = run_shim(command, preload=False)
    shimmed = run_shim(command, env=cluster.env("web", K8SLB_SYNC_TIMEOUT="300"))

    # 127: libc was loaded and there was no room for one more library.
    expect(shimmed.returncode in (bare.returncode, 127), True, shimmed, bare)
    if shimmed.returncode == 127:
        expect("cannot" in shimmed.stderr, True, shimmed, bare)
        return
    if bare.returncode != 0:
        return
    answers = expect_each_answered(shimmed)
    expect(set(answers) <= names(pods) | {vip.name}, True, shimmed, bare)


def test_no_thread_may_be_started(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, public: Path) -> None:
    """RLIMIT_NPROC binds everybody but root."""
    service, _pods = web(cluster)
    vip = stand_in(cluster, service)
    there = public_build(build, public)
    public.chmod(0o777)
    log = public / "log"
    env = {**public_credentials(cluster.env("web"), public), "K8SLB_LOG": f"info:{log}"}

    result = ShimRunner(there, public)(as_nobody(["prlimit", "--nproc=0", *program(there, service.vip)]), env=env)

    expect(set(expect_each_answered(result)), {vip.name}, result, log.read_text())
    expect(log.read_text().count("cannot start a thread"), 1, result, log.read_text())


def test_a_thread_may_be_started_by_nobody(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, public: Path) -> None:
    """The same without the limit, which is what makes the difference."""
    service, pods = web(cluster)
    there = public_build(build, public)

    env = public_credentials(cluster.env("web"), public)
    result = ShimRunner(there, public)(as_nobody(program(there, service.vip)), env=env)

    expect_balanced(expect_each_answered(result), pods, result)


RUNNING = [
    *(("as", 0), ("as", MIB), ("data", 0), ("data", 256 * 1024)),
    *(("nofile", 4), ("nofile", 6), ("stack", 16384), ("memlock", 0)),
]


@pytest.mark.parametrize("resource, value", RUNNING)
def test_limits_set_while_it_runs(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, resource: str, value: int
) -> None:
    """A new pod comes then: it is taken or not, but the others go on to serve, and nothing spins."""
    service, pods = web(cluster)
    running = run_shim.start(
        [build.programs / "limited", service.vip, 80, resource, value, "late"], env=cluster.env("web", K8SLB_RETRY_DELAY="1")
    )
    running.wait_output("limited\n")
    cluster.add_pod("late", {"app": "web"})

    result = running.wait()

    expect((result.returncode, result.stderr), (0, ""), result)
    *answers, cpu_ms = result.stdout.replace("limited\n", "").splitlines()
    expect(set(answers) - {"late"}, names(pods), result)
    assert int(cpu_ms) < 100, result
