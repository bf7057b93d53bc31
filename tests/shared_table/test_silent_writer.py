# SPDX-License-Identifier: Apache-2.0
"""A writer that stands still while all pods are replaced: nobody goes to what its table says, and nobody takes it from one that lives."""
import contextlib
import ctypes
import os
import signal
import threading
import time
from pathlib import Path
from typing import Callable, ContextManager, Iterator, List

import pytest

from tests.harness import ShimRunner, expect, wait_until
from tests.kube.cluster import Pod
from tests.kube.double_cluster import DoubleCluster
from tests.shared_table import sysv
from tests.shared_table.common import Guest, lists_of, names, target, wait_writer, writer_pid

pytestmark = pytest.mark.clusters("double")

SILENT_S = 3  # lib/table/reader.h: TABLE_SILENT_MS
GONE_S = 15  # the same: TABLE_GONE_MS, to which a random part comes (lib/engine/role_follower.c)


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def traced(pid: int) -> Iterator[None]:
    """All threads of a process, as a debugger holds them (ptrace(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    seize, interrupt, detach = 0x4206, 0x4207, 17
    threads = [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    for tid in threads:
        for request in (seize, interrupt):
            expect(libc.ptrace(request, tid, None, None), 0, os.strerror(ctypes.get_errno()))
        os.waitpid(tid, 0x40000000)  # __WALL
    try:
        yield
    finally:
        for tid in threads:
            libc.ptrace(detach, tid, None, None)


HELD = pytest.mark.parametrize("held", [stopped, traced])
Held = Callable[[int], ContextManager[None]]


def replace(cluster: DoubleCluster, pods: List[Pod]) -> List[Pod]:
    """Others in their place; the old ones' addresses go on to answer, as those of whoever has them by now."""
    for pod in pods:
        cluster.delete_pod(pod)
    return [cluster.add_pod(f"new-{pod.name}", {"app": pod.name.partition("-")[0]}) for pod in pods]


@HELD
def test_nobody_believes_it(cluster: DoubleCluster, run_shim: ShimRunner, held: Held) -> None:
    """Who runs and who comes is kube-proxy's; nobody takes or lists anything, and all is well with the next beat."""
    service, pods = target(cluster)
    env = cluster.env("web")
    first = Guest(run_shim, service, env)
    first.wait_asked(names(pods))
    second = Guest(run_shim, service, env)
    second.wait_asked(names(pods))
    lists = lists_of(cluster)
    with held(first.pid):
        began = time.monotonic()
        new = replace(cluster, pods)
        second.wait_asked({"vip"}, cluster.logs)
        passed = time.monotonic() - began
        third = Guest(run_shim, service, env)
        expect(set(third.ask(9)), {"vip"}, third.process.result())
        expect((lists_of(cluster), writer_pid(), passed > SILENT_S - 1.5), (lists, first.pid, True), f"{passed:.2f} s")
    for guest in (first, second, third):
        guest.wait_asked(names(new), cluster.logs)
    expect((lists_of(cluster), writer_pid()), (lists, first.pid), second.process.result())
    print(f"{passed:.2f} s until the last call to an old pod")


def waits_of(guest: Guest) -> int:
    """How often its thread of ours has gone to sleep so far."""
    for task in Path(f"/proc/{guest.pid}/task").iterdir():
        if (task / "comm").read_text() == "k8slb\n":
            return int((task / "status").read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    raise AssertionError(f"no thread of ours: {guest.process.result()}")


@HELD
def test_another_one_takes_its_place(cluster: DoubleCluster, run_shim: ShimRunner, held: Held) -> None:
    """Who runs, who comes and who asks for a Service that was empty has the new pods; who does not ask sleeps on."""
    service, pods = target(cluster)
    empty = cluster.create_service("empty")
    cluster.add_pod("empty-vip", {"app": "stand-in-for-kube-proxy"}, ip=empty.vip, port=empty.port)
    env = cluster.env("web,empty")
    first = Guest(run_shim, service, env)
    first.wait_asked(names(pods))
    second, idle, of_empty = [Guest(run_shim, which, env) for which in (service, service, empty)]
    for guest in (second, idle):
        guest.wait_asked(names(pods))
    expect(set(of_empty.ask(3)), {"empty-vip"}, of_empty.process.result())
    lists = lists_of(cluster)
    with held(first.pid):
        began = time.monotonic()
        new = replace(cluster, pods)
        added = cluster.add_pod("empty-0", {"app": "empty"})
        slept = waits_of(idle)
        second.wait_asked({"vip"}, cluster.logs)
        wait_until("a new writer", lambda: set(second.ask(9)) == names(new), second.process.result, cluster.logs)
        passed = time.monotonic() - began
        woken = waits_of(idle) - slept
        of_empty.wait_asked({added.name}, cluster.logs)
        idle.wait_asked(names(new), cluster.logs)
        third = Guest(run_shim, service, env)
        third.wait_asked(names(new), cluster.logs)
        writer = wait_writer(second.process.result)
        expect((passed > GONE_S - 1.5, writer != first.pid, woken <= 1), (True, True, True), f"{passed:.2f} s, {writer}, {woken}")
    first.wait_asked(names(new), cluster.logs)
    more = cluster.add_pod("more", {"app": "web"})
    for guest in (first, second, third, idle):
        guest.wait_asked(names(new) | {more.name}, cluster.logs)
    twice = {key: 2 * count for key, count in lists.items()}
    expect((lists_of(cluster), writer_pid()), (twice, writer), *[guest.log() for guest in (first, second, third)])
    expect(len([one for one in sysv.tables() if one["key"]]), 1, second.process.result())
    print(f"{passed:.1f} s until the next writer's table; an idle follower was woken {woken} times")


class Starved:
    """A process that runs for 10 ms of each second, as under cpu.max 10000 1000000."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._end.is_set():
            os.kill(self._pid, signal.SIGSTOP)
            self._end.wait(0.99)
            os.kill(self._pid, signal.SIGCONT)
            time.sleep(0.01)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_exc: object) -> None:
        self._end.set()
        self._thread.join()


def test_a_starved_follower_takes_nothing(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """Between its two readings the writer has beaten many times."""
    service, pods = target(cluster)
    env = cluster.env("web")
    writer = Guest(run_shim, service, env)
    writer.wait_asked(names(pods))
    follower = Guest(run_shim, service, env)
    follower.wait_asked(names(pods))
    lists = lists_of(cluster)
    with Starved(follower.pid):
        follower.say(10 ** 6)
        time.sleep(GONE_S + 10)
    expect((writer_pid(), lists_of(cluster)), (writer.pid, lists), writer.log(), follower.log())
    expect("its place is taken" in follower.log(), False, follower.log())


def test_frozen_together(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """As when a container is thawed: who runs first must not take a silence of all for one of the writer."""
    service, pods = target(cluster)
    env = cluster.env("web")
    writer = Guest(run_shim, service, env)
    writer.wait_asked(names(pods))
    follower = Guest(run_shim, service, env)
    follower.wait_asked(names(pods))
    lists = lists_of(cluster)
    with stopped(writer.pid):
        with stopped(follower.pid):
            time.sleep(GONE_S + 2)
        expect(set(follower.ask(3)), {"vip"}, follower.process.result())
    follower.wait_asked(names(pods), cluster.logs)
    time.sleep(8)  # what was begun is over
    expect((writer_pid(), lists_of(cluster)), (writer.pid, lists), writer.log(), follower.log())


def test_a_part_expires(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """Slices that cannot be read any more, while Services and another namespace are heard: that namespace is kube-proxy's."""
    cluster.server.set(bookmark_interval=0.3, leases=True)
    service, pods = target(cluster)
    cluster.create_namespace("shop")
    shop = cluster.create_service("db", "shop")
    shop_pods = [cluster.add_pod("db-0", {"app": "db"}, "shop")]
    cluster.add_pod("shop-vip", {"app": "stand-in-for-kube-proxy"}, ip=shop.vip, port=shop.port)
    cluster.wait_endpoints(shop, 1)
    env = cluster.env("web,shop/db", K8SLB_MAX_AGE="3", K8SLB_RETRY_DELAY="1")
    of_web, of_shop = Guest(run_shim, service, env), Guest(run_shim, shop, env)
    of_web.wait_asked(names(pods))
    of_shop.wait_asked(names(shop_pods))
    for fault in ("http_5xx", "forbidden"):
        if fault == "forbidden":
            cluster.server.auth.deny("endpointslices", "watch", "shop")
            cluster.server.auth.deny("endpointslices", "list", "shop")
        else:
            cluster.server.fault("http_5xx", "endpointslices", times=None, namespace="shop")
        cluster.server.fault("end", "endpointslices", "watch", namespace="shop")
        of_shop.wait_asked({"shop-vip"}, cluster.logs)
        expect(set(of_web.ask(9)), names(pods), of_web.process.result())
        cluster.server.clear_faults()
        cluster.server.auth.allow_all()
        of_shop.wait_asked(names(shop_pods), cluster.logs)
    told = [line for guest in (of_web, of_shop) for line in guest.log().splitlines()]
    expect([line for line in told if "namespace shop: nothing heard for more than 3 s" in line] != [], True, *told)
    expect([line for line in told if "namespace default: nothing heard" in line], [], *told)
