# SPDX-License-Identifier: Apache-2.0
"""Whatever stands in the place of the table's segment, or is written into it: no crash, and pods or the VIP answer."""
import contextlib
import os
import random
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Set

import pytest

from tests.harness import ShimRunner, counts, expect
from tests.hazards.guests import ASK, needs_root
from tests.kube.double_cluster import DoubleCluster
from tests.shared_table import sysv
from tests.shared_table.common import Guest, bulk, cpu_ticks, names, target, wait_writer

pytestmark = pytest.mark.clusters("double")

VIP = {"vip"}
MOVED_AT = 36  # in the header
ROUNDS, WRITES = counts(100, 2000), 50
WAITED = "the process that writes the table does not move"


def expect_some(answers: List[str], allowed: Set[str], *logs: Any) -> None:
    expect(set(answers) - allowed, set(), *logs)


def left_by_a_program(cluster: DoubleCluster, run_shim: ShimRunner) -> Any:
    """A Service with pods, and the only segment with its table; nobody has it."""
    service, pods = target(cluster)
    first = Guest(run_shim, service, cluster.env("web"))
    first.wait_asked(names(pods))
    first.end()
    (segment,) = sysv.tables()
    return service, pods, segment


def another_owner(segment: Dict[str, int]) -> None:
    """The key is taken by another user, as nobody could prevent in a Pod whose containers have different users."""
    sysv.remove(segment["shmid"])
    child = os.fork()
    if child == 0:
        os.setgid(65534)
        os.setuid(65534)
        sysv.make(segment["key"], segment["size"], 0o666)
        os._exit(0)
    expect(os.waitpid(child, 0)[1], 0)


def noise(segment: Dict[str, int]) -> None:
    sysv.write(segment["shmid"], 0, os.urandom(segment["size"]))


def noise_behind_the_header(segment: Dict[str, int]) -> None:
    sysv.write(segment["shmid"], sysv.HEADER_SIZE, os.urandom(segment["size"] - sysv.HEADER_SIZE))


def huge_pages(segment: Dict[str, int]) -> None:
    sysv.remove(segment["shmid"])
    sysv.make_huge(segment["key"], segment["size"])


def next_version(segment: Dict[str, int]) -> None:
    sysv.write(segment["shmid"], 8, b"\x02")


def ones(segment: Dict[str, int]) -> None:
    sysv.write(segment["shmid"], 8 + 16, b"\xff" * (segment["size"] - 24))


PLACES: Dict[str, Callable[[Dict[str, int]], Any]] = {
    "another owner": another_owner,
    "rights of all": lambda segment: sysv.replace(segment, mode=0o666),
    "rights of others to read": lambda segment: sysv.replace(segment, mode=0o644),
    "too small": lambda segment: sysv.replace(segment, size=4096),
    "one byte": lambda segment: sysv.replace(segment, size=1),
    "larger": lambda segment: sysv.replace(segment, size=2 * segment["size"]),
    "empty": sysv.replace,
    "noise": noise,
    "noise behind the header": noise_behind_the_header,
    "ones": ones,
    "another layout": next_version,
    "huge pages": huge_pages,
    "removed": lambda segment: sysv.remove(segment["shmid"]),
}
NOT_SHARED = ("another owner", "rights of all", "rights of others to read")


@pytest.mark.parametrize("what", PLACES)
def test_in_the_place_of_the_table(cluster: DoubleCluster, run_shim: ShimRunner, what: str) -> None:
    needs_root()
    service, pods, segment = left_by_a_program(cluster, run_shim)
    PLACES[what](segment)
    guests = [Guest(run_shim, service, patient(cluster, "web")) for _ in range(2)]
    for guest in guests:
        if what in NOT_SHARED:
            expect_served_at_once(guest)
        expect_some(guest.ask(3), names(pods) | VIP, guest.process.result())
    for guest in guests:
        guest.wait_asked(names(pods), cluster.logs)
    # Made anew or not, what changes comes to both.
    added = cluster.add_pod("late", {"app": "web"})
    for guest in guests:
        guest.wait_asked(names(pods) | {added.name}, cluster.logs)
    logs = "".join(guest.log() for guest in guests)
    expect("shared table cannot be had" in logs, what in NOT_SHARED, logs)
    for guest in guests:
        expect(guest.end().returncode, 0, guest.process.result())


def test_noise_while_programs_run(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """A process of the same user writes anything anywhere, also into the header. Addresses that the table then tells may lead
    nowhere; nothing crashes, nothing hangs, and who comes after it is served by a table that is right."""
    service, pods = target(cluster)
    env = cluster.env("web", K8SLB_CONNECT_TIMEOUT="100")
    guests = [Guest(run_shim, service, env) for _ in range(3)]
    for guest in guests:
        guest.wait_asked(names(pods))
    (segment,) = sysv.tables()
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for number in range(ROUNDS):
        for guest in guests:
            guest.say(5)
        sysv.scribble(segment["shmid"], (64, 4096 + 2048, segment["size"]), WRITES, chance)
        if number % 5 == 4:
            pods.append(cluster.add_pod(f"more-{number}", {"app": "web"}))
        for guest in guests:
            guest.answers()
    for guest in guests:
        expect(guest.end().returncode, 0, guest.process.result())
    after = Guest(run_shim, service, env)
    after.wait_asked(names(pods), cluster.logs)


def test_removed_while_in_use(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """ipcrm: those who have it go on with it, and follow to a new one with the next change."""
    service, pods = target(cluster)
    env = cluster.env("web")
    guests = [Guest(run_shim, service, env) for _ in range(3)]
    for guest in guests:
        guest.wait_asked(names(pods))
    (segment,) = sysv.tables()
    sysv.remove(segment["shmid"])
    for guest in guests:
        expect(set(guest.ask(9)), names(pods), guest.process.result())
    guests.append(Guest(run_shim, service, env))
    guests[-1].wait_asked(names(pods), cluster.logs)
    pods.append(cluster.add_pod("late", {"app": "web"}))
    for guest in guests:
        guest.wait_asked(names(pods), cluster.logs)
    guests.append(Guest(run_shim, service, env))
    guests[-1].wait_asked(names(pods), cluster.logs)
    # The next writer goes on where everybody looks by now.
    writer = wait_writer()
    for guest in [guest for guest in guests if guest.pid == writer]:
        guest.kill()
        guests.remove(guest)
    wait_writer(but=writer)
    pods.append(cluster.add_pod("later", {"app": "web"}))
    for guest in guests:
        guest.wait_asked(names(pods), cluster.logs)


@contextlib.contextmanager
def limited(setting: str, value: int) -> Iterator[None]:
    """A limit of the IPC namespace."""
    path = Path("/proc/sys") / setting.replace(".", "/")
    before = path.read_text()
    path.write_text(str(value))
    try:
        yield
    finally:
        path.write_text(before)


def patient(cluster: DoubleCluster, services: str) -> Dict[str, str]:
    """The first connection waits for a table for as long as a busy machine takes."""
    return cluster.env(services, K8SLB_SYNC_TIMEOUT="20000")


def expect_served_at_once(guest: Guest) -> None:
    """Its first connection is a pod's, and it did not wait for another one's table (2 s) before."""
    (answer,) = guest.ask()
    expect((answer != "vip", WAITED in guest.log()), (True, False), answer, guest.process.result())


@pytest.mark.parametrize("setting", ["kernel.shmmni", "kernel.shmall", "kernel.shmmax"])
def test_no_segment_can_be_had(cluster: DoubleCluster, run_shim: ShimRunner, setting: str) -> None:
    """The limits of the Pod's IPC namespace: each process then has a table of its own, says so, and waits for nobody's."""
    service, pods = target(cluster)
    with limited(setting, 0):
        guests = []
        for _ in range(4):
            guests.append(Guest(run_shim, service, patient(cluster, "web")))
            expect_served_at_once(guests[-1])
        for guest in guests:
            guest.wait_asked(names(pods), cluster.logs)
        pods.append(cluster.add_pod("late", {"app": "web"}))
        for guest in guests:
            guest.wait_asked(names(pods), cluster.logs)
    guests[0].process.wait_log("error: the shared table cannot be had: .*: this process has its own")
    guests[1].process.wait_log("info: the process that writes has a table of its own")
    # Once the one that said so has gone, it is shared again.
    for guest in guests:
        guest.end()
    for _ in range(2):
        guests.append(Guest(run_shim, service, patient(cluster, "web")))
        guests[-1].wait_asked(names(pods), cluster.logs)
    expect(len(sysv.tables()), 1, guests[-1].log())


@pytest.mark.parametrize("why", ["it grows", "it was removed"])
def test_no_other_segment_can_be_had(cluster: DoubleCluster, run_shim: ShimRunner, why: str) -> None:
    """Each process then goes on with a table of its own, and nobody with one that hears of no change."""
    service, pods = target(cluster)
    cluster.create_service("bulk", selector={})
    env = patient(cluster, "web,bulk")
    guests = [Guest(run_shim, service, env) for _ in range(3)]
    for guest in guests:
        guest.wait_asked(names(pods))
    if why == "it was removed":
        (segment,) = sysv.tables()
        sysv.remove(segment["shmid"])
    with limited("kernel.shmmni", 0):
        if why == "it grows":
            bulk(cluster, 5000)
        pods.append(cluster.add_pod("late", {"app": "web"}))
        cluster.delete_pod(pods.pop(0))
        for guest in guests:
            guest.wait_asked(names(pods), cluster.logs)
        guests.append(Guest(run_shim, service, env))
        expect_served_at_once(guests[-1])
        for guest in guests:
            guest.wait_asked(names(pods), cluster.logs)


def test_the_last_segment_of_a_chain_is_removed(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """The first one says "moved", to where nobody finds: no reason to look for it without end, at full speed."""
    service, pods = target(cluster)
    env = cluster.env("web", K8SLB_SYNC_TIMEOUT="500")
    first = Guest(run_shim, service, env)
    first.wait_asked(names(pods))
    (segment,) = sysv.tables()
    sysv.write(segment["shmid"], MOVED_AT, b"\x01")
    second = Guest(run_shim, service, env)
    second.wait_asked(names(pods), cluster.logs)
    ticks = cpu_ticks(second.pid)
    expect(ticks < 50, True, f"{ticks} ticks of CPU time", second.process.result())
    pods.append(cluster.add_pod("late", {"app": "web"}))
    for guest in (first, second):
        guest.wait_asked(names(pods), cluster.logs)


def test_moved_to_huge_pages(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """The next segment's key can be known before, and whoever may write to a table may say "moved": nobody goes there."""
    service, pods, segment = left_by_a_program(cluster, run_shim)
    env = cluster.env("web")
    first = Guest(run_shim, service, env)
    first.wait_asked(names(pods))
    sysv.remove(segment["shmid"])
    pods.append(cluster.add_pod("late", {"app": "web"}))
    first.wait_asked(names(pods), cluster.logs)
    first.end()
    smaller, larger = sysv.tables()
    sysv.remove(larger["shmid"])
    sysv.make_huge(larger["key"], larger["size"])
    guests = [Guest(run_shim, service, env) for _ in range(2)]
    for guest in guests:
        guest.wait_asked(names(pods), cluster.logs)
    sysv.write(smaller["shmid"], MOVED_AT, b"\x01")
    guests.append(Guest(run_shim, service, env))
    pods.append(cluster.add_pod("later", {"app": "web"}))
    for guest in guests:
        guest.wait_asked(names(pods), cluster.logs)


FORKING = ASK + """
for line in sys.stdin:
    if line == "fork\\n":
        child = os.fork()
        if child == 0:
            for _ in range(20):
                ask(1)
                time.sleep(0.02)
            os._exit(0)
        os.write(1, f"ended with {os.waitpid(child, 0)[1]}\\n".encode())
    else:
        ask(int(line))
    os.write(1, b"done\\n")
"""


def test_a_child_of_a_reader_whose_chain_ends_nowhere(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """It reads its parent's table until it has its own, also when its own search attaches that one anew and lets go of it."""
    service, pods = target(cluster)
    env = cluster.env("web", K8SLB_SYNC_TIMEOUT="500")
    first = Guest(run_shim, service, env)
    first.wait_asked(names(pods))
    second = Guest(run_shim, service, env, program=FORKING)
    second.wait_asked(names(pods))
    (segment,) = sysv.tables()
    sysv.write(segment["shmid"], MOVED_AT, b"\x01")
    second.say("fork")
    expect(second.answers()[-1], "ended with 0", second.process.result())
