# SPDX-License-Identifier: Apache-2.0
"""Before a change of ids that it would answer otherwise than the program, our thread ends. A naive shim cancels it, for which glibc
loads libgcc_s: in a jail without it the program is aborted, and in one with its own that file's constructors run as root. Ours
leaves by itself, whatever it waits for, and nothing is loaded for that."""
import shutil
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests.e2e.common import stand_in
from tests.harness import Build, Result, ShimProcess, ShimRunner, counts, expect
from tests.hazards.guests import names, needs_root
from tests.hazards.isolation import library
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import web

pytestmark = [
    pytest.mark.clusters("double"),
    pytest.mark.unsanitized("the sanitizers have threads and files of their own"),
]

DROP = ["setgroups", "setgid", "setuid"]


def words(result: Result) -> List[str]:
    """What the program was told, without who answered its connections."""
    return [line for line in result.stdout.splitlines() if not line.startswith("ask ")]


def expect_as_bare(run_shim: ShimRunner, command: List[Any], env: Dict[str, str]) -> Result:
    bare = run_shim(command, preload=False)
    shimmed = run_shim(command, env=env)

    expect((shimmed.returncode, shimmed.stderr, words(shimmed)), (bare.returncode, bare.stderr, words(bare)), shimmed, bare)
    return shimmed


@pytest.fixture
def jail(tmp_path: Path) -> Path:
    needs_root()
    directory = tmp_path / "jail"
    directory.mkdir()
    return directory


def follow(cluster: DoubleCluster, run_shim: ShimRunner, command: List[Any], env: Dict[str, str], role: str) -> None:
    """Another process that writes the table, if the program is to follow one."""
    if role == "writer":
        return
    if role == "follower without a table":
        cluster.server.fault("stall_headers", times=None, seconds=None)
        env["K8SLB_SYNC_TIMEOUT"] = "300"
    writer: ShimProcess = run_shim.start([*command[:3], "ask", "rest"], env=env)
    writer.wait_output("ask ")


@pytest.mark.parametrize("libgcc", ["none", "its own"])
@pytest.mark.parametrize("role", ["writer", "follower", "follower without a table", "file"])
def test_a_change_of_ids_in_a_jail(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, jail: Path, tmp_path: Path, role: str, libgcc: str
) -> None:
    service, _pods = web(cluster)
    stand_in(cluster, service)
    if libgcc == "its own":
        for folder in ("lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "lib64", "lib"):
            (jail / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(library(build, "libgcc_s"), jail / folder / "libgcc_s.so.1")
    env = dict(cluster.env("web"))
    command = [build.programs / "steps", service.vip, 80, "ask", "ask", f"chroot:{jail}", "capset", *DROP]
    if role == "file":
        env = {"K8SLB_SERVICES": "web", "K8SLB_API": f"file:{tmp_path}/none.json", "K8SLB_SYNC_TIMEOUT": "50"}
    elif role != "writer":
        follow(cluster, run_shim, command, env, role)

    expect_as_bare(run_shim, command, env)


# Each is a state of the calling thread alone, so that libc, which asks every thread, may get two answers.
OWN_STATES: Dict[str, List[str]] = {
    "filter of setgroups": ["filter:setgroups"],
    "filter of setgid": ["filter:setgid"],
    "two filters": ["filter:setgid", "filter:setgroups"],
    "capabilities": ["capset"],
    "no_new_privs": ["no_new_privs"],
    "ids": ["raw_setuid"],
}


@pytest.mark.parametrize("how", OWN_STATES)
def test_what_the_calling_thread_alone_may(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, how: str) -> None:
    needs_root()
    service, pods = web(cluster)
    stand_in(cluster, service)
    command = [build.programs / "steps", service.vip, 80, "ask", *OWN_STATES[how], *DROP, "ask"]

    result = expect_as_bare(run_shim, command, dict(cluster.env("web")))

    assert any(f"ask {pod.name}" in result.stdout for pod in pods), result


@pytest.mark.parametrize("pause", ["open", "socket", "send", "recv", "poll"])
def test_a_thread_that_does_not_leave(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, pause: str) -> None:
    """It stands still wherever it is. The change goes on after 2 s, and the next thread waits until the old one is gone: libcurl and
    AWS-LC are one thread's. Only then there is a table; and the program's end waits for neither."""
    needs_root()
    service, pods = web(cluster)
    stand_in(cluster, service)
    preload = f"{build.directory / 'tests' / 'preload' / 'pause_engine.so'} {build.preload()}"
    env = {**cluster.env("web", K8SLB_SYNC_TIMEOUT="300"), "LD_PRELOAD": preload, "PAUSE_ENGINE_AT": pause}
    steps = [build.programs / "steps", service.vip, 80, "ask", "no_new_privs", "setgroups", "ask", "threads", "setgid", "ask"]

    for end in ([], ["release", "balanced"]):
        result = run_shim([*steps, *end], env=env)
        expect((result.returncode, result.stderr), (0, ""), result)
        told = dict(line.split(" ") for line in result.stdout.splitlines())
        expect([line for line in result.stdout.splitlines() if line.startswith("ask")], 3 * ["ask vip"], result)
        expect((told["setgroups"], told["setgid"]), ("done", "done"), result)
        assert 2 <= result.seconds < 8, result
    assert told["balanced"] in names(pods), result


# What the kernel gives to nobody who has another thread.
NAMESPACES = ["setns:/proc/self/ns/mnt", "setns:/proc/self/ns/time_for_children", "setns:/proc/self/ns/net", "unshare_user"]


@pytest.mark.parametrize("how", NAMESPACES)
def test_namespaces_for_one_thread(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, how: str) -> None:
    needs_root()
    service, pods = web(cluster)
    stand_in(cluster, service)
    command = [build.programs / "steps", service.vip, 80, "ask", how, "ask"]

    result = expect_as_bare(run_shim, command, dict(cluster.env("web")))

    expect(len([line for line in result.stdout.splitlines() if line[4:] in names(pods)]) > 0, True, result)


AT_ONCE = 10


def test_the_kernel_counts_the_thread_no_more(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    """It wakes who joins a thread before it takes that out of the process."""
    needs_root()
    service, pods = web(cluster)
    command = [build.programs / "steps", service.vip, 80, "ask", "unshare_user"]
    rounds = counts(quick=5, full=50)

    results = []
    for _ in range(rounds):
        programs = [run_shim.start(command, env=cluster.env("web")) for _ in range(AT_ONCE)]
        results += [program.wait() for program in programs]

    refused = [result for result in results if words(result) != ["unshare_user done"]]
    expect(len(refused), 0, *refused[:1])
