# SPDX-License-Identifier: Apache-2.0
"""The process that writes the table ends in any way: the others go on with it, and one of them lists and writes on."""
import fcntl
import os
import signal
import sys
import time
from typing import Any, List, Tuple

import pytest

from tests.harness import ShimRunner, expect, wait_until
from tests.hazards.guests import ASK
from tests.kube.cluster import Pod
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import tally
from tests.shared_table import sysv
from tests.shared_table.common import (
    ONE_OF_EACH, PROMOTION_S, TWO_LISTS_EACH, Guest, asked_of, folder, gap_after, lists_of, names, target, wait_writer, writer_pid
)

pytestmark = pytest.mark.clusters("double")

BEAT_AT = 40  # in the header
LEFT_WAIT_S = 0.2  # so long a table that was left is not shown


def shown(*guests: Guest) -> List[Any]:
    return [guest.process.result() for guest in guests]


ENDS = {
    "exit": "os._exit(0)",
    "return": "break",
    "SIGKILL": "os.kill(os.getpid(), 9)",
    "SIGSEGV": "os.kill(os.getpid(), 11)",
    "exec": "os.execvp('sleep', ['sleep', '60'])",
}
# "end": as the test says; "fork": a child that lives on, does nothing and has a copy of all descriptors.
ENDING = ASK + """
for line in sys.stdin:
    if line == "end\\n":
        END
    elif line == "fork\\n":
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
    else:
        ask(int(line))
    os.write(1, b"done\\n")
"""


# lib/engine/thread_setup.c
inherits_nothing = pytest.mark.unsanitized("under ThreadSanitizer the thread has the program's descriptors, which a child inherits")


@pytest.mark.parametrize(
    "how, child",
    [
        ("exit", ""), ("return", ""), ("SIGSEGV", ""), ("exec", ""),
        pytest.param("SIGKILL", "with a child", marks=inherits_nothing), pytest.param("exec", "with a child", marks=inherits_nothing),
    ],
)
def test_another_process_writes_at_once(cluster: DoubleCluster, run_shim: ShimRunner, how: str, child: str) -> None:
    """A child of the writer that outlives it must not keep the lock, nor a program that the writer becomes."""
    service, pods = target(cluster)
    first = Guest(run_shim, service, cluster.env("web"), program=ENDING.replace("END", ENDS[how]))
    first.wait_asked(names(pods))
    second = Guest(run_shim, service, cluster.env("web"))
    second.wait_asked(names(pods))
    expect(writer_pid(), first.pid, first.process.result(), second.process.result())
    if child:
        first.say("fork")
        first.answers()
    first.say("end")
    gap = gap_after(first.pid, first.process.result, second.process.result)
    expect((writer_pid(), gap < PROMOTION_S), (second.pid, True), gap, second.process.result())
    pods.append(cluster.add_pod("late", {"app": "web"}))
    second.wait_asked(names(pods), cluster.logs())
    expect(lists_of(cluster), TWO_LISTS_EACH, cluster.logs(), second.process.result())


DAEMON = ASK + """
ask(3)
if os.fork():
    os._exit(0)
os.setsid()
ask(9)
os.write(1, b"child done\\n")
time.sleep(60)
"""


@inherits_nothing
def test_a_daemon_goes_on_by_itself(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """The writer forks and ends, as daemons do: the child has the table at once, and becomes the writer."""
    service, pods = target(cluster)
    guest = Guest(run_shim, service, cluster.env("web"), program=DAEMON)
    child = 0
    try:
        guest.process.wait_output("child done")
        child = wait_writer(*shown(guest), but=guest.pid)
        answers = set(tally(guest.process.result().stdout)) - {"started", "child done"}
        expect((answers, guest.process.process.wait(10)), (names(pods), 0), *shown(guest))
        wait_until("its list", lambda: lists_of(cluster) == TWO_LISTS_EACH, cluster.logs, *shown(guest))
    finally:
        if child:
            os.kill(child, signal.SIGKILL)


def test_a_stopped_writer_holds_up_nobody(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """SIGSTOP: it keeps the lock, so the others go on with the last table, and new processes begin with it."""
    service, pods = target(cluster)
    first = Guest(run_shim, service, cluster.env("web"))
    first.wait_asked(names(pods))
    second = Guest(run_shim, service, cluster.env("web"))
    second.wait_asked(names(pods))
    first.kill(signal.SIGSTOP)
    try:
        added = cluster.add_pod("late", {"app": "web"})
        third = Guest(run_shim, service, cluster.env("web"))
        began = time.monotonic()
        for guest in (second, third):
            expect(set(guest.ask(9)), names(pods), guest.process.result())
        expect(time.monotonic() - began < 1.5, True, second.process.result(), third.process.result())
    finally:
        first.kill(signal.SIGCONT)
    for guest in (first, second, third):
        guest.wait_asked(names(pods) | {added.name}, cluster.logs())


def test_a_writer_stopped_before_its_first_table(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """Nobody waits for it longer than K8SLB_SYNC_TIMEOUT; then kube-proxy serves, and the table once there is one."""
    service, pods = target(cluster)
    cluster.server.fault("stall_headers", times=None, seconds=None)
    first = Guest(run_shim, service, cluster.env("web", K8SLB_SYNC_TIMEOUT="500"))
    first.say(1)
    wait_writer(first.process.result)
    first.kill(signal.SIGSTOP)
    try:
        second = Guest(run_shim, service, cluster.env("web", K8SLB_SYNC_TIMEOUT="500"))
        began = time.monotonic()
        expect(set(second.ask(3)), {"vip"}, second.process.result())
        expect(time.monotonic() - began < 1.5, True, second.process.result())
    finally:
        cluster.server.clear_faults()
        first.kill()
    second.wait_asked(names(pods), cluster.logs())


def end_of_the_last(cluster: DoubleCluster, run_shim: ShimRunner) -> Tuple[Guest, List[Pod]]:
    """A program that has asked for nothing yet, beside a table that another one left less than a second ago."""
    service, pods = target(cluster)
    cluster.server.set(bookmark_interval=0.1)
    first = Guest(run_shim, service, cluster.env("web"))
    first.wait_asked(names(pods))
    second = Guest(run_shim, service, cluster.env("web"))
    expect(first.end().returncode, 0, *shown(first))
    wait_until("the end of the watches", lambda: cluster.server.open_watches() == 0, cluster.logs)
    cluster.server.log.clear()
    return second, pods


def test_the_last_one_ends_and_leaves_the_table(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """The first connect of a process that comes later needs no answer of the API server. Its thread asks for one as soon as it runs."""
    second, pods = end_of_the_last(cluster, run_shim)
    cluster.server.fault("stall_headers", times=None, seconds=None)
    expect(set(second.ask(9)), names(pods), *shown(second))
    wait_until("a request", lambda: bool(asked_of(cluster)), cluster.logs)
    expect([one for one in cluster.server.requests() if one.status], [], cluster.logs(), *shown(second))


def test_who_comes_after_the_last_one_lists(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    second, pods = end_of_the_last(cluster, run_shim)
    expect(set(second.ask(9)), names(pods), *shown(second))
    pods.append(cluster.add_pod("late", {"app": "web"}))
    second.wait_asked(names(pods), cluster.logs())
    wait_until("one of each", lambda: asked_of(cluster) == ONE_OF_EACH, cluster.logs, *shown(second))


def test_nobody_believes_what_a_killed_writer_said(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """It leaves a table that says it is live. Who comes when the next writer has the lock and has not begun yet waits for that one."""
    service, pods = target(cluster)
    first = Guest(run_shim, service, cluster.env("web"))
    first.wait_asked(names(pods))
    first.kill()
    time.sleep(2.5)
    (segment,) = sysv.tables()
    sysv.write(segment["shmid"], BEAT_AT, (1).to_bytes(8, sys.byteorder))
    (path,) = folder().glob("*.lock")
    with open(path, "r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX, 1)
        second = Guest(run_shim, service, cluster.env("web", K8SLB_SYNC_TIMEOUT="10000"))
        began = time.monotonic()
        expect(set(second.ask(1)), {"vip"}, *shown(second))
        waited = time.monotonic() - began
    expect(waited > LEFT_WAIT_S - 0.1, True, f"{waited:.2f} s", *shown(second))
