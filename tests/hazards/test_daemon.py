# SPDX-License-Identifier: Apache-2.0
"""Hazard: daemon(3) and the double fork, after the engine has begun.

A naive shim's thread is gone with the first process and nobody notices: the daemon is pinned to the table of its start,
or waits for a thread that does not exist; one that closes all descriptors closes the engine's, and gets their numbers.
Defence: as for fork() (test_fork.py); the engine has descriptors of its own.
"""
import os
import random
import re
import signal
from typing import Iterator, List

import pytest

from tests.harness import Build, ShimProcess, ShimRunner, counts, expect
from tests.hazards.lifecycle import (
    answers, expect_clean_survivor, is_gone, shared_memory, three_and_vip, wait_gone, wait_no_watch,
)
from tests.kube.double_cluster import DoubleCluster

pytestmark = pytest.mark.clusters("double")

WAYS = ("daemon", "double-fork", "daemon-closing", "double-fork-closing")


@pytest.fixture
def daemons() -> Iterator[List[int]]:
    """Daemons have left their process group, so the runner does not end them."""
    pids: List[int] = []
    yield pids
    for pid in pids:
        if not is_gone(pid):
            os.kill(pid, signal.SIGKILL)


def wait_daemon(program: ShimProcess, daemons: List[int]) -> int:
    program.wait_output("end ")
    pid = int(re.findall(r"^end (\d+)$", program.result().stdout, re.MULTILINE)[0])
    daemons.append(pid)
    return pid


def end_daemon(pid: int, program: ShimProcess) -> None:
    os.kill(pid, signal.SIGTERM)
    wait_gone(pid, program.result)


@pytest.mark.parametrize("way", WAYS)
def test_a_daemon_is_as_without_us_and_balanced(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, daemons: List[int], way: str
) -> None:
    service, pods = three_and_vip(cluster)
    command = [build.programs / "become_daemon", service.vip, 80, way, 0]

    plain = run_shim.start(command, preload=False)
    end_daemon(wait_daemon(plain, daemons), plain)
    program = run_shim.start(command, env=cluster.env("web"))
    pid = wait_daemon(program, daemons)

    result = program.wait()
    expect((result.returncode, result.stderr), (plain.wait().returncode, plain.result().stderr), result)
    expect(answers(plain.result().stdout, "daemon"), {"vip": 6}, plain.result())
    expect(answers(result.stdout, "daemon"), {pod.name: 2 for pod in pods}, result)
    expect_clean_survivor(pid, "become_daemon", result)
    end_daemon(pid, program)


@pytest.mark.timeout(300)
def test_storm_of_daemons(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, daemons: List[int]) -> None:
    """Each forks at another moment of the engine's first 30 ms."""
    service, pods = three_and_vip(cluster)
    total = counts(12, 100)
    chance = random.Random(5)
    before = shared_memory()
    balanced = 0
    for number in range(total):
        command = [build.programs / "become_daemon", service.vip, 80, WAYS[number % len(WAYS)], chance.randrange(30000)]
        program = run_shim.start(command, env=cluster.env("web"))
        pid = wait_daemon(program, daemons)
        result = program.wait()
        expect((result.returncode, result.stderr), (0, ""), result)
        expect(answers(result.stdout, "daemon"), {pod.name: 2 for pod in pods}, result)
        expect_clean_survivor(pid, "become_daemon", result)
        end_daemon(pid, program)
        balanced += 1
    wait_no_watch(cluster)
    expect(shared_memory(), before)
    print(f"\ndaemonisations: {balanced} of {total} balanced, nothing left")
