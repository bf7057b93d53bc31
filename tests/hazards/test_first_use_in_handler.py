# SPDX-License-Identifier: Apache-2.0
"""Hazard: the first connection is made by a signal handler that interrupted malloc(). connect() is async-signal-safe.

A naive shim looks up libc's connect(), allocates, takes a lock or starts a thread right there, and waits for the lock that the
interrupted code holds: for ever. Ours takes no lock in a hook, and where it cannot start its engine without one, the call goes
on as it is and a later one starts it.
"""
import random

import pytest

from tests.harness import Build, ShimRunner, counts, expect
from tests.hazards.isolation import by_point, expect_clean, system_library, target
from tests.kube.cluster import Cluster

pytestmark = pytest.mark.clusters("double")

RUNS = counts(10, 300)
SIGNALS = 5
ALLOCATORS = {"jemalloc": "libjemalloc.so.2", "tcmalloc": "libtcmalloc_minimal.so.4"}
CASES = [("libc", "plain"), ("libc", "altstack"), ("libc", "nodefer"), ("jemalloc", "plain"), ("tcmalloc", "plain")]


@pytest.mark.parametrize("allocator, how", CASES)
def test_a_handler_that_interrupts_malloc(
    cluster: Cluster, run_shim: ShimRunner, build: Build, allocator: str, how: str
) -> None:
    web = target(cluster)
    preload = build.preload()
    if allocator in ALLOCATORS:
        preload += f" {system_library(ALLOCATORS[allocator])}"
    chance = random.Random(allocator)
    answers = {"pods": 0, "vip": 0}
    for run in range(RUNS):
        # Any phase of the loop: from its first round, when the allocator still sets itself up, to a warm one.
        microseconds = chance.randrange(20, 3000)
        command = [build.programs / "signal_dial", *web.arguments, SIGNALS, microseconds, how]
        result = run_shim(command, env=cluster.env("web", LD_PRELOAD=preload))

        expect_clean(result, f"run {run}, {microseconds} us")
        found = by_point(result)
        expect((sum(found["handler"].values()), sum(found["main"].values())), (SIGNALS, 3), result)
        assert set(found["handler"]) <= {*web.names, "vip"}, result
        # The engine runs by now, or the first of these starts it: each waits for the table and takes its turn.
        expect(found["main"], {name: 1 for name in web.names}, result)
        # With an engine a handler is as everybody.
        expect(found["later"], {name: 1 for name in web.names}, result)
        answers["vip"] += found["handler"]["vip"]
        answers["pods"] += SIGNALS - found["handler"]["vip"]
    print(f"\n{allocator}, {how}: {RUNS} runs, {SIGNALS} handlers each: {answers['pods']} reached pods, {answers['vip']} the VIP")
