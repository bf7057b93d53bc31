# SPDX-License-Identifier: Apache-2.0
"""A writer that stands still while all pods are replaced: nobody goes to what its table says, and nobody takes it from one that lives."""
import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Callable, ContextManager, Iterator, List

import pytest

from tests.harness import ShimRunner, expect, wait_until
from tests.kube.cluster import Pod
from tests.kube.double_cluster import DoubleCluster
from tests.shared_table.common import Guest, lists_of, names, target, wait_writer, writer_pid

pytestmark = pytest.mark.clusters("double")

SILENT_S = 3  # lib/table/reader.h: TABLE_SILENT_MS


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
