# SPDX-License-Identifier: Apache-2.0
"""The API server is gone: new processes begin with the table that there is, until it is too old to be believed."""
import contextlib
import time
from typing import Any, ContextManager, List
from unittest import mock

import pytest

from tests.harness import ShimRunner, counts, expect, wait_until
from tests.kube.cluster import Cluster
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import client, python, tally
from tests.shared_table.common import Guest, cpu_ticks, names, target

STARTED = counts(30, 100)
AT_ONCE = 10
BACKOFF_S = 1  # K8SLB_RETRY_DELAY: pauses are at most six times that
MAX_AGE_S = 2
NOT_FRESH_S = 2.5  # lib/engine/role_state.h: 1 s, in whole seconds
FIRST_CONNECT = """
import socket, sys, time
began = time.monotonic()
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as s:
    took = time.monotonic() - began
    s.sendall(b"WHO\\n")
    print(s.recv(100).decode().strip(), took)
"""
TOO_OLD = "namespace default: nothing heard for more than 2 s: connections are left to kube-proxy"
HEARD = "namespace default: the API server is heard again"
BOOKMARKS_S = 0.3  # else a quiet watch says nothing for a minute


@pytest.mark.timeout(300)
@pytest.mark.parametrize("survivor", ["a writer lives", "nobody lives"])
def test_new_processes_while_the_api_server_is_gone(cluster: Cluster, run_shim: ShimRunner, survivor: str) -> None:
    service, pods = target(cluster)
    env = cluster.env("web", K8SLB_RETRY_DELAY=str(BACKOFF_S))
    guest = Guest(run_shim, service, env)
    guest.wait_asked(names(pods))
    if survivor == "nobody lives":
        guest.end()
    cluster.stop_api()
    answers: List[str] = []
    slowest = 0.0
    for _ in range(STARTED // AT_ONCE):
        running = [run_shim.start(client(service.vip, service.port, 3), env=env) for _ in range(AT_ONCE)]
        for process in running:
            result = process.wait()
            expect(result.returncode, 0, result)
            answers += result.stdout.split()
            slowest = max(slowest, result.seconds)
    shares = tally("".join(f"{answer}\n" for answer in answers))
    print(f"{STARTED} processes, the slowest {slowest:.2f} s: {dict(shares)}")
    expect((set(shares), max(shares.values()) <= STARTED * 1.05), (names(pods), True), dict(shares))

    if survivor == "nobody lives":
        guest = Guest(run_shim, service, env)
        guest.wait_asked(names(pods))
    with api_that_only_we_see(cluster):
        pods.append(cluster.add_pod("late", {"app": "web"}))
        cluster.delete_pod(pods.pop(0))
    cluster.start_api()
    back = time.monotonic()
    guest.wait_asked(names(pods), cluster.logs)
    print(f"the table is right {time.monotonic() - back:.2f} s after the API server is back")


def api_that_only_we_see(cluster: Cluster) -> ContextManager[Any]:
    """The double changes what it stores while it is stopped; for the real one the changes come as it starts."""
    if isinstance(cluster, DoubleCluster):
        return mock.patch.object(type(cluster.server), "listening", True)
    cluster.start_api()
    return contextlib.nullcontext()


@pytest.mark.clusters("double")
def test_a_process_that_waits_does_not_spin(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """The writer is cut off and its table not fresh: who comes now waits for better for a while, asleep."""
    service, pods = target(cluster)
    env = cluster.env("web", K8SLB_RETRY_DELAY="30")
    first = Guest(run_shim, service, env)
    first.wait_asked(names(pods))
    cluster.stop_api()
    time.sleep(2.5)
    second = Guest(run_shim, service, env)
    before = cpu_ticks(second.pid)
    expect(set(second.ask(1)) - names(pods), set(), second.process.result())
    used = cpu_ticks(second.pid) - before
    expect(used < 25, True, f"{used} ticks of CPU time", second.process.result())


@pytest.mark.clusters("double")
def test_who_comes_when_it_is_known_to_be_gone_waits_for_nothing(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """Nor does it look for the API server: the writer has. What would have been waited for is 200 ms."""
    service, pods = target(cluster)
    env = cluster.env("web")
    guest = Guest(run_shim, service, env)
    guest.wait_asked(names(pods))
    cluster.stop_api()
    stopped = time.monotonic()
    guest.process.wait_log("Could not connect to server")
    wait_until("a table that is not fresh", lambda: time.monotonic() - stopped > NOT_FRESH_S)
    for _ in range(5):
        result = run_shim(python(FIRST_CONNECT, service.vip, service.port), env=env)
        pod, seconds = result.stdout.split()
        expect((pod in names(pods), float(seconds) < 0.2), (True, True), result, guest.log())


@pytest.mark.clusters("double")
def test_too_old(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """The addresses may be other pods' by now. One line says so, for all processes, and one that it is over."""
    cluster.server.set(bookmark_interval=BOOKMARKS_S, leases=True)
    service, pods = target(cluster)
    env = cluster.env("web", K8SLB_MAX_AGE=str(MAX_AGE_S), K8SLB_RETRY_DELAY="1")
    guests = [Guest(run_shim, service, env) for _ in range(3)]
    for guest in guests:
        guest.wait_asked(names(pods))
    time.sleep(MAX_AGE_S + 1)
    expect(set(guests[0].ask(9)), names(pods), guests[0].process.result())
    cluster.stop_api()
    stopped = time.monotonic()
    expect(set(guests[0].ask(9)), names(pods), guests[0].process.result())
    for guest in guests:
        guest.wait_asked({"vip"}, cluster.logs)
        passed = time.monotonic() - stopped
        expect(MAX_AGE_S - 2 * BOOKMARKS_S < passed < MAX_AGE_S + 3, True, f"{passed:.2f} s", guest.process.result())
    # Who comes now does not believe it either, and does not wait for what may take long.
    late = Guest(run_shim, service, env)
    began = time.monotonic()
    expect((set(late.ask(9)), time.monotonic() - began < 1), ({"vip"}, True), late.process.result())
    cluster.start_api()
    for guest in [*guests, late]:
        guest.wait_asked(names(pods), cluster.logs)
    lines = [line.partition(": ")[2] for guest in guests for line in guest.log().splitlines()]
    expect((lines.count(TOO_OLD), lines.count(HEARD)), (1, 1), *lines)


@pytest.mark.clusters("double")
def test_too_old_when_the_first_one_comes(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """What was left is older than the limit when the API server cannot be asked: a table that nobody would believe."""
    service, pods = target(cluster)
    env = cluster.env("web", K8SLB_MAX_AGE=str(MAX_AGE_S), K8SLB_RETRY_DELAY="1")
    first = Guest(run_shim, service, env)
    first.wait_asked(names(pods))
    first.end()
    cluster.stop_api()
    time.sleep(MAX_AGE_S + 1.5)
    second = Guest(run_shim, service, env)
    expect(set(second.ask(9)), {"vip"}, second.process.result())
    second.process.wait_log(TOO_OLD)
    cluster.start_api()
    second.wait_asked(names(pods), cluster.logs)


@pytest.mark.clusters("double")
def test_a_silent_api_server_is_too_old(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """A connection that looks alive and says nothing is no word, and the log says what that means for so small a limit."""
    cluster.server.set(bookmark_interval=0)
    service, pods = target(cluster)
    guest = Guest(run_shim, service, cluster.env("web", K8SLB_MAX_AGE=str(MAX_AGE_S)))
    guest.wait_asked(names(pods))
    guest.process.wait_log("a quiet watch says a word once a minute")
    guest.wait_asked({"vip"}, cluster.logs)
    cluster.server.set(bookmark_interval=BOOKMARKS_S, leases=True)
    guest.wait_asked(names(pods), cluster.logs)
