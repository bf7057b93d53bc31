# SPDX-License-Identifier: Apache-2.0
"""Real programs that connect without blocking (drivers.py), and pods that are dead: what they see is the same as with good ones.

What all processes know of a dead pod is forgotten all the time here, so that every third connection meets it. The figures of
a run go into its report, where survey.py makes a table of them.
"""
import json
import re
import sys
from collections import Counter
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import pytest

from tests.e2e.common import hold_table, stand_in
from tests.failover.common import Firewall
from tests.failover.dead_pods import Dials, dialled, far, forgetful
from tests.harness import Result, counts, expect
from tests.kube.cluster import Pod
from tests.nonblocking.common import LIMIT_S, TRY_S, Line, expect_in_time, lines_of, longest
from tests.nonblocking.drivers import DIALERS, Driver, Job, chosen
from tests.programs.common import Backend, World

pytestmark = [
    pytest.mark.clusters("double"),
    pytest.mark.parametrize("driver", [pytest.param(one, id=one.name.replace(" ", "-")) for one in chosen()]),
]

REFUSED = counts(15, 200)
SILENT = counts(3, 60)
ALL_DEAD = 3
Record = Callable[[str, Any], None]


class Dialled(NamedTuple):
    lines: List[Line]
    result: Result

    def words(self) -> "Counter[str]":
        """The results, without figures of time and of processes."""
        changing = r"\d+(?= ?ms\b)|^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d socat\[\d+\]"
        # curl says either, of one time-out: by which of its looks at the clock it is found.
        curls = r"Failed to connect to \S+ port \d+ after N ms: Timeout was reached"
        words = (re.sub(changing, "N", line.result) for line in self.lines)
        return Counter(re.sub(curls, "Connection timeout after N ms", word) for word in words)


def dial(
    world: World, driver: Driver, backend: Backend, count: int, preload: bool = True, env: Optional[Dict[str, str]] = None
) -> Dialled:
    """Let the program make so many connections."""
    job = Job(backend.vip, backend.port, count, world.new_directory("driver"))
    command = driver.command(job)
    limit = 60 + count * (LIMIT_S + 1)
    if driver.front is None:
        process = world.start(command, preload, env=env, cwd=job.directory)
        result = process.wait(limit)
    else:
        proxy = world.start(command, preload, env=env, cwd=job.directory, listening=driver.front)
        client = [sys.executable, DIALERS / "dial.py", "http", *driver.front, count, 4]
        result = world.run_shim(client, preload=False, timeout=limit)
        proxy.stop()
    lines = lines_of(result.stdout)
    expect(len(lines), count, result, *([proxy.result()] if driver.front else []))
    return Dialled(lines, result)


def web(world: World, driver: Driver) -> Backend:
    return world.web(port=driver.pod_port)


def errors(driver: Driver, pods: "List[Pod]", told: Dialled) -> "Counter[str]":
    """What is no answer of one of these pods, or at the Service's own address."""
    good = driver.answers or {"vip", *(pod.name for pod in pods)}
    return Counter({word: number for word, number in told.words().items() if word not in good})


def expect_unseen(driver: Driver, good: List[Pod], told: Dialled, dials: Dials, dead: Pod, vip: int, silent: bool = False) -> None:
    """Each connection got an answer in time, though every third one met the dead pod. vip: dialled so often; on a busy machine a
    process may not have its table in the 300 ms that a first connection waits for it, else the VIP is not dialled."""
    logs = (dials.counts(), vip, told.result)
    expect(vip <= len(told.lines) // 10, True, "the VIP was dialled", *logs)
    if not (silent and driver.waits_before):
        expect(errors(driver, good, told), Counter(), *logs)
        expect_in_time(told.lines[driver.slow_start :], TRY_S, *logs)
    expect(dials.counts()[dead.name] >= len(told.lines) // 10, True, "the dead pod was hardly dialled", *logs)


@pytest.mark.soak
def test_all_pods_are_good(world: World, driver: Driver, record_property: Record) -> None:
    backend = web(world, driver)
    hold_table(world.run_shim, world.cluster)
    told = {}
    for preload in (False, True):
        with world.counting({backend: REFUSED}, caught=preload, uneven=REFUSED):
            told[preload] = dial(world, driver, backend, REFUSED, preload)
        expect(errors(driver, list(backend.pods), told[preload]), Counter(), told[preload].result)
    record_property("figures", json.dumps({"good": [len(told[True].lines), longest(told[True].lines)]}))


def test_a_pod_refuses(world: World, driver: Driver, firewall: Firewall, record_property: Record) -> None:
    """The refusal comes before connect() returns: it is on this node."""
    backend = web(world, driver)
    dead, *good = backend.pods
    firewall.refuse(dead)
    figures = {}
    hold_table(world.run_shim, world.cluster)
    with forgetful(world.build), dialled(backend.pods) as dials, world.served_by(backend, good) as vip:
        if counts(0, 1):  # that it would see the pod
            off = dial(world, driver, backend, REFUSED, env={"K8SLB_EVENTS": "off"})
            seen = sum(errors(driver, good, off).values())
            figures["off"] = [seen, len(off.lines)]
            expect(seen > 0, not driver.unseen, off.result)
        told = dial(world, driver, backend, REFUSED)
        figures["refused"] = [sum(errors(driver, good, told).values()), len(told.lines), longest(told.lines)]
        record_property("figures", json.dumps(figures))
        expect_unseen(driver, good, told, dials, dead, vip())


@pytest.mark.soak
def test_a_pod_refuses_later(world: World, driver: Driver, record_property: Record) -> None:
    """The refusal comes when the program has long asked for other events."""
    with far(world.cluster, driver.pod_port) as there:
        dead, *good = there.pods
        backend = Backend(there.service, tuple(there.pods))
        world.backends.append(backend)
        vip = stand_in(world.cluster, there.service)
        hold_table(world.run_shim, world.cluster)
        with forgetful(world.build), dialled(there.pods) as dials:
            told = dial(world, driver, backend, REFUSED)
            figures = [sum(errors(driver, good, told).values()), len(told.lines), longest(told.lines)]
            record_property("figures", json.dumps({"refused later": figures}))
            expect_unseen(driver, good, told, dials, dead, vip.connections())


def test_a_pod_is_silent(world: World, driver: Driver, firewall: Firewall, record_property: Record) -> None:
    backend = web(world, driver)
    dead, *good = backend.pods
    firewall.drop(dead)
    hold_table(world.run_shim, world.cluster)
    with forgetful(world.build), dialled(backend.pods) as dials, world.served_by(backend, good) as vip:
        told = dial(world, driver, backend, SILENT)
        figures = [sum(errors(driver, good, told).values()), len(told.lines), longest(told.lines)]
        record_property("figures", json.dumps({"silent": figures}))
        expect_unseen(driver, good, told, dials, dead, vip(), silent=True)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["refuse", "drop"])
def test_all_pods_are_dead(world: World, driver: Driver, firewall: Firewall, kind: str, record_property: Record) -> None:
    """The error is the one that the program sees without the library, which goes to the Service's own address."""
    backend = web(world, driver)
    getattr(firewall, kind)(*backend.pods)
    plain = dial(world, driver, backend, ALL_DEAD, preload=False)
    hold_table(world.run_shim, world.cluster)
    with forgetful(world.build):
        told = dial(world, driver, backend, ALL_DEAD)
    record_property("figures", json.dumps({f"all {kind}": [longest(plain.lines), longest(told.lines)]}))
    expect(told.words(), plain.words(), plain.result, told.result)
    # A try of each pod, then what it is without.
    tries = len(backend.pods) * (TRY_S if kind == "drop" else 0)
    expect_in_time(told.lines[driver.slow_start :] or told.lines, longest(plain.lines) + tries, plain.result, told.result)
