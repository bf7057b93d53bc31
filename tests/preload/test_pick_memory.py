# SPDX-License-Identifier: Apache-2.0
"""The pick memory: processes of one user share a round, whatever stands or stood in the segment."""
import os
from typing import Any, Iterator, List

import pytest

from tests.harness import Result, ShimRunner, counts, expect
from tests.pick_memory import PICK_MEMORY_MAGIC, pick_memories, make_segment, remove_segments
from tests.preload.common import client, tally, web
from tests.shared_table import sysv

pytestmark = pytest.mark.clusters("double")
PODS = 10


@pytest.fixture(autouse=True)
def no_hints() -> Iterator[None]:
    remove_segments()
    yield
    remove_segments()


def numbers(results: List[Result]) -> List[int]:
    """How many connections each pod got, the fewest first."""
    for result in results:
        expect(result.returncode, 0, result)
    return sorted(tally("".join(result.stdout for result in results)).values())


@pytest.mark.timeout(1200)  # 1 000 programs with a sanitizer's runtime
def test_short_lived_programs_go_round(cluster: Any, run_shim: ShimRunner) -> None:
    """Each would begin anywhere by itself: with 40 of them the busiest pod would have about twice its share."""
    service, _ = web(cluster, pods=PODS)
    programs = counts(40, 1000)
    results = [run_shim(client(service.vip, 80), env=cluster.env("web")) for _ in range(programs)]
    expect(numbers(results), [programs // PODS] * PODS)


def test_processes_at_once_go_round(cluster: Any, run_shim: ShimRunner) -> None:
    service, _ = web(cluster, pods=PODS)
    processes = counts(10, 50)
    running = [run_shim.start(client(service.vip, 80, 20), env=cluster.env("web")) for _ in range(processes)]
    expect(numbers([process.wait() for process in running]), [processes * 20 // PODS] * PODS)


def test_one_segment_of_the_user_alone(cluster: Any, run_shim: ShimRunner) -> None:
    service, _ = web(cluster)
    for _ in range(2):
        expect(len(numbers([run_shim(client(service.vip, 80, 3), env=cluster.env("web"))])), 3)
    found = [(one["uid"], one["perms"], one["nattch"], 0 < one["size"] <= 200 * 1024) for one in pick_memories()]
    expect(found, [(os.geteuid(), 600, 0, True)])


def test_what_cannot_match_makes_no_segment(cluster: Any, run_shim: ShimRunner) -> None:
    web(cluster)
    result = run_shim(client("127.0.0.1", 9, 3), env=cluster.env("web"))
    expect((result.returncode, pick_memories()), (0, []), result)


def test_huge_pages_are_left_alone(cluster: Any, run_shim: ShimRunner) -> None:
    """A load from them may be SIGBUS."""
    service, _ = web(cluster)
    expect(len(numbers([run_shim(client(service.vip, 80, 3), env=cluster.env("web"))])), 3)
    (made,) = pick_memories()
    remove_segments()
    sysv.make_huge(made["key"], made["size"])
    result = run_shim(client(service.vip, 80, 30), env=cluster.env("web"))
    expect(numbers([result]), [10, 10, 10], result)


@pytest.mark.parametrize("fill", ["noise", "ones", "other rights", "short", "long"])
def test_any_segment_is_harmless(cluster: Any, run_shim: ShimRunner, fill: str) -> None:
    """A program that finds it used or refused goes its own round."""
    service, _ = web(cluster)
    expect(len(numbers([run_shim(client(service.vip, 80, 3), env=cluster.env("web"))])), 3)
    (made,) = pick_memories()
    remove_segments()
    size = {"short": 64, "long": made["size"] * 2}.get(fill, made["size"])
    # With the right beginning the rest is believed to be pick memory.
    content = PICK_MEMORY_MAGIC + (os.urandom(size - 8) if fill in ("noise", "other rights") else b"\xff" * (size - 8))
    make_segment(made["key"], content, 0o666 if fill == "other rights" else 0o600)
    result = run_shim(client(service.vip, 80, 30), env=cluster.env("web"))
    expect(numbers([result]), [10, 10, 10], result)
