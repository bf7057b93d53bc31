# SPDX-License-Identifier: Apache-2.0
"""A writer that cannot hear the API server, and others that could: it hands the table on, after 12 times K8SLB_RETRY_DELAY."""
import time
from pathlib import Path
from typing import List

import pytest

from tests.harness import Build, ShimRunner, expect, wait_until
from tests.kube.double_cluster import DoubleCluster
from tests.shared_table.common import ASKED, ONE_LIST_EACH, Guest, cpu_ticks, lists_of, names, target, wait_writer

pytestmark = pytest.mark.clusters("double")

RETRY_DELAY_S = 1
WRITERS_PATIENCE_S = 12 * RETRY_DELAY_S
HANDED_ON = "no word from the API server: another process may write the table"


def test_a_writer_without_a_network(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """In a network namespace of its own, with the Pod's /dev/shm: it never had a table, and would keep all others from one."""
    service, pods = target(cluster)
    env = cluster.env("web", K8SLB_RETRY_DELAY=str(RETRY_DELAY_S))
    alone = Guest(run_shim, service, env, command=["unshare", "-n"])
    expect(set(alone.ask(1)), {"ENETUNREACH"}, alone.process.result())
    expect(wait_writer(alone.process.result), alone.pid)
    other = Guest(run_shim, service, env)
    expect(set(other.ask(3)), {"vip"}, other.process.result())
    other.wait_asked(names(pods), alone.process.result)
    expect(alone.log().count(HANDED_ON), 1, alone.log(), other.log())
    # And has by the other one what it could not have by itself.
    alone.process.wait_log("another process of this user writes the table")


def test_a_writer_in_a_sandbox(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    """Its filter refuses all that the thread would do, the release of the lock too."""
    service, pods = target(cluster)
    env = cluster.env("web", K8SLB_RETRY_DELAY=str(RETRY_DELAY_S))
    sandboxed = run_shim.start([build.programs / "sandbox", service.vip, service.port, "after", "all", "errno"], env=env)
    sandboxed.wait_output("waiting\n")
    other = Guest(run_shim, service, env)
    other.wait_asked(names(pods), cluster.logs)
    pods.append(cluster.add_pod("late", {"app": "web"}))
    other.wait_asked(names(pods), cluster.logs)
    expect(wait_writer(other.process.result), other.pid)


@pytest.mark.unsanitized("the sanitizers make system calls of their own")
def test_a_follower_in_a_sandbox(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    """It gets the lock when the writer ends, can do nothing with it, and cannot even end its thread: libc would go on to try."""
    service, pods = target(cluster)
    env = cluster.env("web")
    writer = Guest(run_shim, service, env)
    writer.wait_asked(names(pods))
    sandboxed = run_shim.start([build.programs / "sandbox", service.vip, service.port, "after", "all", "errno"], env=env)
    sandboxed.wait_output("waiting\n")
    writer.kill()
    time.sleep(1)
    before = cpu_ticks(sandboxed.pid)
    time.sleep(1)
    used = cpu_ticks(sandboxed.pid) - before
    assert used < 10, (used, sandboxed.result())


def test_a_writer_with_another_root(cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path) -> None:
    """It cannot open the lock again, and follows with the one that it has."""
    service, pods = target(cluster)
    env = cluster.env("web", K8SLB_RETRY_DELAY=str(RETRY_DELAY_S))
    left_root = f"""
while (name := ask_once()) == "vip":
    time.sleep(0.01)
os.write(1, (name + "\\n").encode())
os.chroot("{tmp_path}")
"""
    elsewhere = Guest(run_shim, service, env, program=ASKED.replace("for line in", left_root + "for line in"))
    elsewhere.process.wait_output("web-")
    other = Guest(run_shim, service, env)
    other.wait_asked(names(pods))
    cluster.stop_api()
    wait_writer(cluster.logs, but=elsewhere.pid)
    cluster.start_api()
    pods.append(cluster.add_pod("late", {"app": "web"}))
    other.wait_asked(names(pods), cluster.logs)
    elsewhere.say(1)  # its first line has one name more
    elsewhere.answers()
    elsewhere.wait_asked(names(pods), cluster.logs)


def test_a_part_is_forbidden(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """A quiet watch is heard, whatever another namespace says."""
    service, pods = target(cluster)
    cluster.server.auth.deny("services", "list", "closed")
    cluster.server.auth.deny("endpointslices", "list", "closed")
    cluster.server.auth.deny("endpoints", "list", "closed")
    env = cluster.env("web,closed/*", K8SLB_RETRY_DELAY=str(RETRY_DELAY_S))
    guests = [Guest(run_shim, service, env) for _ in range(2)]
    for guest in guests:
        guest.wait_asked(names(pods))
    writer = wait_writer()
    time.sleep(WRITERS_PATIENCE_S + 3)
    expect(wait_writer(), writer, *[guest.log() for guest in guests])


def test_an_outage_for_all(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """It goes round, seldom: each has the last table all the time, and one of them lists when it is over."""
    service, pods = target(cluster)
    env = cluster.env("web", K8SLB_RETRY_DELAY=str(RETRY_DELAY_S))
    guests = [Guest(run_shim, service, env) for _ in range(3)]
    for guest in guests:
        guest.wait_asked(names(pods))
    cluster.stop_api()


    def handed_on() -> List[Guest]:
        for guest in guests:
            expect(set(guest.ask(3)), names(pods), guest.process.result())
        return [guest for guest in guests if HANDED_ON in guest.log()]

    (first,) = wait_until("another writer", handed_on, guests[0].process.result)
    cluster.start_api()
    pods.append(cluster.add_pod("late", {"app": "web"}))
    for guest in guests:
        guest.wait_asked(names(pods), cluster.logs)
    lists = lists_of(cluster)
    logs = [guest.log() for guest in guests]
    expect((first.log().count(HANDED_ON), set(lists), max(lists.values()) <= 2), (1, set(ONE_LIST_EACH), True), lists, *logs)
