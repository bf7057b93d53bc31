# SPDX-License-Identifier: Apache-2.0
"""Real programs on builds with sanitizers, and on the shipped one under valgrind: not one report. Built here when missing."""
import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests import shared
from tests.e2e.common import Follower, expect_followed, names, three
from tests.e2e.test_programs import COUNT, LOOPS
from tests.harness import Build, ShimRunner, expect
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import tally

pytestmark = pytest.mark.clusters("double")

ROOT = Path(__file__).resolve().parents[2]
SANITIZERS = {"build-asan": "address,undefined", "build-tsan": "thread"}


def made(directory: str) -> Build:
    """The build with this sanitizer, made as far as it is not there."""
    # One at a time: other workers ask for it as well.
    turn = ["flock", str(ROOT / "Makefile"), "nice", "make", "-s", "-C", str(ROOT)]
    what = [f"SANITIZE={SANITIZERS[directory]}", f"BUILD={directory}", f"{directory}/libk8slb.so", "programs"]
    result = subprocess.run(
        [*turn, *what], capture_output=True, text=True,
        # A make that runs the tests must not lend us its flags and its job slots.
        env={name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))},
    )
    expect(result.returncode, 0, result.stdout, result.stderr)
    return Build(ROOT / directory)


def reports(directory: Path) -> str:
    return "\n".join(path.read_text(errors="replace")[:6000] for path in sorted(directory.glob("sanitizer.*")))


# curl, wget and bash do not even start with only the sanitizer's runtime preloaded: setlocale() of glibc 2.36 blocks.
@pytest.mark.parametrize("program", ["v4-mapped", "python", "perl"])
@pytest.mark.parametrize("directory", SANITIZERS)
def test_sanitizers_report_nothing(cluster: DoubleCluster, build: Build, tmp_path: Path, directory: str, program: str) -> None:
    sanitized, run_shim = made(directory), ShimRunner(made(directory), tmp_path)
    options = f"log_path={tmp_path}/sanitizer:detect_leaks=0:exitcode=66"
    watched = {name: options for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS")}
    shared.forget()
    service, pods = three(cluster)
    try:
        for host in (str(service.vip), "web"):
            # The program itself is the plain one: only what was preloaded is watched.
            command = LOOPS[program](host, service.port, build)
            result = run_shim(command, env={**cluster.env("web"), **watched})
            expect(tally(result.stdout), Counter({pod.name: COUNT // 3 for pod in pods}), result, reports(tmp_path))
            expect((result.returncode, reports(tmp_path)), (0, ""), result, sanitized.preload())
        # Pods that change under a program that connects all the time.
        follower = Follower(run_shim, service, {**cluster.env("*", K8SLB_RETRY_DELAY="1"), **watched}, pause_ms=1)
        expect_followed(follower, names(pods))
        for number in range(3, 9):
            cluster.server.fault(("rst", "error_410", "garbage")[number % 3], "endpointslices")
            pods.append(cluster.add_pod(f"web-{number}", {"app": "web"}))
            cluster.delete_pod(pods.pop(0))
            expect_followed(follower, names(pods))
        # By a signal that the program takes, so that reports of the end of a process are made too.
        follower.process.stop(signal.SIGTERM)
        result = follower.process.result()
        expect((result.returncode, result.stderr, reports(tmp_path)), (0, "", ""), result)
    finally:
        run_shim.close()


def test_valgrind_finds_nothing(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    service, pods = three(cluster)
    valgrind = [
        "valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite",
        "--show-leak-kinds=definite", "--fair-sched=yes",
    ]
    for host in (str(service.vip), "web"):
        env = cluster.env("web", K8SLB_SYNC_TIMEOUT="30000")
        # A blocking program, so that the first connection waits for the table however slow it comes.
        result = run_shim([*valgrind, *LOOPS["c"](host, service.port, build)], env=env, timeout=120)
        # valgrind 3.19 does not know pidfd_open(), says so in lines of its own (--PID--), and refuses it.
        found = [line for line in result.stderr.splitlines() if not line.startswith("--")]
        expect((result.returncode, found), (0, []), result)
        expect(tally(result.stdout), Counter({pod.name: COUNT // 3 for pod in pods}), result)
