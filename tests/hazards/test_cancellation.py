# SPDX-License-Identifier: Apache-2.0
"""connect() is a cancellation point: a naive shim's lock stays held, or its files open, when the thread is cancelled in the
hook. Our hooks hold nothing while they wait, and everybody else goes on."""
from pathlib import Path

import pytest

from tests.agent.common import reader_env
from tests.e2e.common import stand_in
from tests.harness import Build, ShimRunner, expect
from tests.hazards.guests import expect_balanced, names
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import web

pytestmark = [
    pytest.mark.clusters("double"),
    pytest.mark.unsanitized("the sanitizers intercept cancellation and hold descriptors of their own"),
]

THREADS = 16
SYNC_TIMEOUT_MS = 10000
SLACK_MS = 5000  # for a busy machine; who waits for a thread that is gone waits at least twice as long


@pytest.mark.parametrize("how", ["deferred", "async", "pending"])
@pytest.mark.parametrize("affinity", ["None", "ClientIP"])
@pytest.mark.parametrize("when", ["first", "later"])
def test_cancelled_threads_leave_nothing_behind(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, how: str, affinity: str, when: str
) -> None:
    service, pods = web(cluster, sessionAffinity=affinity)
    stand_in(cluster, service)
    if when == "first":
        cluster.server.fault("slow_handshake", seconds=0.3)
    env = cluster.env("web", K8SLB_SYNC_TIMEOUT=str(SYNC_TIMEOUT_MS), K8SLB_RETRY_DELAY="1")
    command = [build.programs / "cancelled", service.vip, 80, when, how, THREADS]

    bare = run_shim(command, preload=False)
    shimmed = run_shim(command, env=env)

    expect((shimmed.returncode, shimmed.stderr), (0, ""), shimmed)
    lines = shimmed.stdout.splitlines()[1 if when == "later" else 0 :]
    cancelled, slowest_ms, left = map(int, lines[0].split())
    bare_left = int(bare.stdout.splitlines()[1 if when == "later" else 0].split()[2])
    expect((cancelled, left, bare_left), (THREADS, 0, 0), shimmed, bare)
    # The wait for the first table is none of libc's cancellation points: it ends by its own bound at the latest.
    assert slowest_ms <= (SYNC_TIMEOUT_MS if when == "first" else 0) + SLACK_MS, shimmed
    answers, memory = lines[1:-1], lines[-1]
    # Cancelled while it attaches the shared memory, a thread would leave the program alone with choices of its own.
    expect(memory, "shared", shimmed)
    if affinity == "None":
        expect_balanced(answers, pods, shimmed)
    else:
        expect((len(set(answers)), set(answers) <= names(pods)), (1, True), shimmed)


def test_threads_cancelled_while_they_look_for_an_agent(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path
) -> None:
    """Of those that come after, none waits for a thread that is gone."""
    service, _pods = web(cluster)
    stand_in(cluster, service)
    command = [build.programs / "cancelled", service.vip, 80, "first", "pending", THREADS]

    bare = run_shim(command, preload=False)
    shimmed = run_shim(command, env=reader_env(tmp_path / "table"))

    expect((shimmed.returncode, shimmed.stderr), (0, ""), shimmed)
    lines = shimmed.stdout.splitlines()
    cancelled, _slowest_ms, left = map(int, lines[0].split())
    expect((cancelled, left, lines[1:-1]), (THREADS, 0, ["vip"] * (len(lines) - 2)), shimmed, bare)
    assert "no table of an agent" in shimmed.log, shimmed
    assert shimmed.seconds < bare.seconds + SLACK_MS / 1000, (shimmed, bare)
