# SPDX-License-Identifier: Apache-2.0
"""Programs that close every descriptor (daemons, ssh) take a naive shim's sockets with them, and then get the shim's bytes
into the files that they open on the same numbers. Ours are in a table of descriptors that only our thread has."""
import itertools
import os
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import pytest

from tests.e2e.common import stand_in
from tests.harness import Build, Result, ShimRunner, counts, expect
from tests.hazards.guests import expect_balanced
from tests.hazards.lifecycle import shared_memory
from tests.kube.cluster import Pod
from tests.kube.double_cluster import DoubleCluster
from tests.ours import OURS
from tests.preload.common import web

pytestmark = pytest.mark.clusters("double")

HOW = ["closefrom", "close_range", "raw", "loop", "proc"]
# At which moment of the first sync the descriptors are gone.
MOMENTS: Dict[str, Dict[str, Any]] = {
    "handshake": {"kind": "slow_handshake", "seconds": 0.1},
    "request": {"kind": "stall_headers", "seconds": 0.1},
    "list": {"kind": "drip", "verb": "list", "count": 200, "seconds": 0.01},
    "watch": {"kind": "drip", "verb": "watch", "count": 50, "seconds": 0.01},
}


def storm(build: Build, host: Optional[str], port: int, directory: Path, how: str, rounds: int) -> List[Any]:
    directory.mkdir(exist_ok=True)
    return [build.programs / "close_storm", host, port, directory, how, rounds]


def expect_untouched(result: Result, pods: Sequence[Pod], threads: int = 1 + len(OURS)) -> None:
    """Every pod answered; no thread but the program's own and our two is left, and no descriptor but 0 to 2."""
    expect((result.returncode, result.stderr), (0, ""), result)
    lines = result.stdout.splitlines()
    expect(lines[6:], [f"threads {threads}", "descriptors 3"], result)
    expect_balanced(lines[:6], pods, result)


@pytest.mark.parametrize("how", HOW)
def test_a_program_without_the_shim(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, how: str) -> None:
    """What the storm itself does to the program: nothing."""
    _service, pods = web(cluster, pods=1)

    result = run_shim(storm(build, pods[0].ip, pods[0].port, tmp_path / "files", how, 20), preload=False)

    expect_untouched(result, pods, threads=1)


@pytest.mark.unsanitized("the sanitizer's own thread and descriptors are counted")
@pytest.mark.parametrize("moment, how", list(itertools.product(MOMENTS, HOW))[:: counts(6, 1)])
def test_at_each_moment_of_the_first_sync(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, moment: str, how: str
) -> None:
    service, pods = web(cluster)
    stand_in(cluster, service)
    cluster.server.fault(**MOMENTS[moment])

    # The first calls do not wait for the table, so that the closing meets the sync.
    env = cluster.env("web", K8SLB_SYNC_TIMEOUT="0")
    result = run_shim(storm(build, service.vip, 80, tmp_path / "files", how, 10), env=env)

    expect_untouched(result, pods)


@pytest.mark.unsanitized("the sanitizer's own thread and descriptors are counted")
@pytest.mark.timeout(180)
def test_storm(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path) -> None:
    """A new program each time: each closes everything many times while it syncs for the first time."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    runs = counts(30, 200)
    rounds = 5
    shared = shared_memory()
    begun = time.monotonic()

    for number in range(runs):
        env = cluster.env("web", K8SLB_SYNC_TIMEOUT="0", K8SLB_LOG=None)
        result = run_shim(storm(build, service.vip, 80, tmp_path / "files", HOW[number % len(HOW)], rounds), env=env)
        expect_untouched(result, pods)

    expect(shared_memory(), shared)
    print(f"{runs} programs, at least {rounds} times everything closed in each, {time.monotonic() - begun:.1f} s")
