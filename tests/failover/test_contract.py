# SPDX-License-Identifier: Apache-2.0
"""The errno and timing contract: what a program sees of one connect(), with the shim and without, is equal but for success.

Each situation of programs/contract.c meets each state of two pods, twice: with the shim; and without it, at the pod whose turn
it is with the shim, or at the other one where the shim is to fail over. Behind both is the Service's own address, which does as they do
where all are dead: the program sees that address last. All are warmed up first, with both pods alive; then the
pods get their state, and all situations of one state run at once. The kernel's patience for a black hole, 127 s by default, is
shortened by net.ipv4.tcp_syn_retries=1 to about 3 s, for all of them.
"""
import os
import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Sequence, Tuple

import pytest

from tests.e2e.common import stand_in
from tests.failover.common import TIMEOUT_MS, WAYS, Firewall, Way, make_fifo, marked, refuse, sysctl
from tests.harness import Build, Result, ShimProcess, ShimRunner, expect
from tests.kube.cluster import Cluster
from tests.preload.common import web

pytestmark = [pytest.mark.clusters("double"), pytest.mark.usefixtures("short_patience")]

# Scheduling of some 40 processes that start at once on a small machine, and the kernel's timers: the end of a wait of T comes
# up to T / 8 late (kernel/time/timer.c).
NOISE_MS = 400
LATE = 8

STATES = ["good", "refused first", "dropped first", "all refused", "all dropped"]
SITUATIONS = [
    "blocking", "mapped", "twice", "nonblocking_poll", "nonblocking_asked_again", "nonblocking_epoll",
    "nonblocking_then_blocking", "blocking_then_nonblocking", "sndtimeo_150", "sndtimeo_2500", "eintr", "eintr_restart",
    "eintr_then_poll", "bind_any_port", "bind_port", "unspec_between", "user_timeout_shorter", "user_timeout_longer",
    "user_timeout_by_duplicate", "options",
    "fastopen", "syncnt",
]  # fmt: skip
# These are not blocking: how the kernel bounds tries is nothing to them.
NONBLOCKING = {"nonblocking_poll", "nonblocking_asked_again", "nonblocking_epoll"}
# Where the first pod is dead these see it, as without the shim: they end, by the program's own will, before a pod that does not answer counts as dead.
ENDS_EARLY = {"sndtimeo_150", "eintr", "eintr_then_poll", "nonblocking_then_blocking", "cancelled"}


class Told(NamedTuple):
    steps: Tuple[str, ...]
    ms: float
    rest: Dict[str, str]  # options, SO_ERROR, local port
    served: bool


def told(result: Result) -> Told:
    expect((result.returncode, result.stderr), (0, ""), result)
    words = [word.split("=", 1) for word in result.stdout.splitlines()[-1].split()]
    rest = {key: value for key, value in words if key not in ("step", "ms", "served")}
    values = dict(words)
    return Told(tuple(value for key, value in words if key == "step"), float(values["ms"]), rest, values["served"] == "1")


@pytest.fixture(scope="module")
def short_patience() -> Iterator[None]:
    with sysctl("tcp_syn_retries", 1):
        yield


def sees_the_first_pod(situation: str, state: str) -> bool:
    """Alive or dead, as without the shim; False: it comes to the other one, which is alive."""
    return "first" not in state or ("dropped" in state and situation in ENDS_EARLY)


class Stage:
    """All situations in both ways, each up to the point where its pods may get their state."""

    def __init__(
        self, run_shim: ShimRunner, build: Build, cluster: Cluster, directory: Path, state: str, situations: Sequence[str], way: Way
    ) -> None:
        service, pods = web(cluster, pods=2)
        self.dead, self.other = pods
        self.vip = stand_in(cluster, service)
        self._waiting: List[Tuple[ShimProcess, Path]] = []
        self._runs: Dict[Tuple[str, bool], ShimProcess] = {}
        for situation in situations:
            like = self.dead if sees_the_first_pod(situation, state) else self.other
            # Turns alternate: after the other one it is the one that is to die.
            targets = {True: (service.vip, service.port, self.other.name), False: (*like.endpoint, like.name)}
            for preload, target in targets.items():
                fifo = make_fifo(directory / f"{situation}.{preload}")
                # What one process learns would help the others: each has pick memory of its own.
                command = way.command(build, [build.programs / "contract", situation, *target, fifo])
                process = run_shim.start(["unshare", "-i", "--", *command], env=cluster.env("web", **way.env), preload=preload)
                self._runs[situation, preload] = process
                self._waiting.append((process, fifo))
        for process, _fifo in self._waiting:
            process.wait_output("ready\n")

    def act(self) -> Dict[Tuple[str, bool], Result]:
        for _process, fifo in self._waiting:
            os.close(os.open(fifo, os.O_WRONLY))
        return {key: process.wait() for key, process in self._runs.items()}


def bring_about(state: str, stage: Stage, firewall: Firewall) -> None:
    everything = (stage.dead, stage.other, stage.vip)
    pods = {"first": everything[:1], "all": everything, "good": ()}[re.sub("refused|dropped| ", "", state)]
    if "refused" in state:
        refuse(*pods)
    elif "dropped" in state:
        firewall.drop(*pods)


# In a sanitized build some tries are the kernel's to bound, which takes 1 s: only that way's times are alike.
UNSANITIZED = pytest.mark.unsanitized("some tries are the kernel's to bound there")


@pytest.mark.parametrize(
    "way", [pytest.param(*way.values, marks=[*way.marks, *[UNSANITIZED] * (way.values[0].timeout_ms < 1000)]) for way in marked(WAYS)], ids=[way.name for way in WAYS]
)
@pytest.mark.parametrize("state", STATES)
def test_contract(
    cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall, tmp_path: Path, state: str, way: Way
) -> None:
    stage = Stage(run_shim, build, cluster, tmp_path, state, SITUATIONS, way)
    bring_about(state, stage, firewall)

    expect_alike(stage.act(), state, way)


@pytest.mark.unsanitized("AddressSanitizer does not follow the end of a cancelled thread")
@pytest.mark.parametrize("way", marked(WAYS), ids=[way.name for way in WAYS])
@pytest.mark.parametrize("state", STATES)
def test_contract_of_cancelled_threads(
    cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall, tmp_path: Path, state: str, way: Way
) -> None:
    stage = Stage(run_shim, build, cluster, tmp_path, state, ["cancelled"], way)
    bring_about(state, stage, firewall)

    expect_alike(stage.act(), state, way)


def expect_alike(results: Dict[Tuple[str, bool], Result], state: str, way: Way) -> None:
    for situation in sorted({situation for situation, _preload in results}):
        shim, plain = told(results[situation, True]), told(results[situation, False])
        logs = (situation, results[situation, True], results[situation, False])
        wanted = {**plain.rest, **exceptions(situation, state, way)}
        expect((shim.steps, shim.served, shim.rest), (plain.steps, plain.served, wanted), *logs)
        longer = most_longer_ms(situation, state, way)
        noise = NOISE_MS + (plain.ms + longer) / LATE
        expect(plain.ms - noise <= shim.ms <= plain.ms + longer + noise, True, longer, *logs)


def exceptions(situation: str, state: str, way: Way) -> Dict[str, str]:
    """What docs/failover.md says is different, of all that the program can ask for."""
    if situation == "bind_any_port" and state != "good":
        return {"port_kept": "0"}  # the kernel chooses anew for the next try
    if situation == "cancelled" and "dropped" in state and way.name == "kernel":
        return {"user_timeout": str(TIMEOUT_MS)}  # nobody is left to restore it
    return {}


def most_longer_ms(situation: str, state: str, way: Way) -> float:
    """A bounded try of each dead pod for each blocking connect(), unless the program itself says when it is to end."""
    if "dropped" not in state or situation in ENDS_EARLY:
        return 0
    if situation == "sndtimeo_2500" and state == "all dropped":
        return 0
    dead = 2 if state == "all dropped" else 1
    if situation in NONBLOCKING:
        return TIMEOUT_MS * dead
    return way.timeout_ms * dead * (2 if situation == "twice" and state == "all dropped" else 1)
