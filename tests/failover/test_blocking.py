# SPDX-License-Identifier: Apache-2.0
"""A blocking connect() whose pod is dead goes to another one on the same descriptor, and all processes learn of it."""
import statistics
import sys
from collections import Counter
from typing import Callable, Dict, List

import pytest

from tests import shared
from tests.e2e.common import stand_in
from tests.failover.common import BUSY, EARLY_MS, SLACK_MS, TIMEOUT_MS, WAYS, Firewall, Way, client, connections, marked, no_route, refuse, route_again
from tests.harness import Build, ShimRunner, counts, expect
from tests.kube.cluster import Cluster, Pod
from tests.preload.common import python, tally, web
from tests.preload.test_family import dual_stack, needs_ipv6

pytestmark = pytest.mark.clusters("double")

COUNT = 200
# A connection that takes longer has waited for a dead pod; one that does not may still have waited for a CPU.
WAITED_MS = TIMEOUT_MS * 0.9


@pytest.mark.own_table
def test_a_black_hole_costs_one_connection_one_timeout(
    cluster: Cluster, run_shim: ShimRunner, firewall: Firewall
) -> None:
    service, pods = web(cluster)
    firewall.drop(pods[0])
    affected: List[float] = []
    again: List[int] = []

    for _round in range(counts(3, 15)):
        shared.forget()
        first = run_shim(client(COUNT, service.name, service.port), env=cluster.env("web"))
        told = connections(first)
        expect((len(told), {one.result for one in told}), (COUNT, {"web-1", "web-2"}), first)
        # The first that comes to the dead pod waits; after it nobody does.
        waited = [index for index, one in enumerate(told) if one.ms > WAITED_MS]
        expect((len(waited) in (1, 2), waited[0] < 3), (True, True), first)
        expect(statistics.median(one.ms for one in told) < 5, True, first)
        affected.append(told[waited[0]].ms)

        second = run_shim(client(COUNT, service.name, service.port), env=cluster.env("web"))
        told = connections(second)
        expect((len(told), {one.result for one in told}), (COUNT, {"web-1", "web-2"}), second)
        # It is suspected for a second, and ejected by the next one that waits for it.
        again.append(len([one for one in told if one.ms > WAITED_MS]))

    expect(max(again) <= 1, True, again)
    expect(TIMEOUT_MS - EARLY_MS <= statistics.median(affected) < TIMEOUT_MS + SLACK_MS, True, affected)
    print(f"affected: {affected}")


@pytest.mark.unsanitized("its bounds are those of a plain build")
@pytest.mark.parametrize("way", [*marked(WAYS), BUSY], ids=[way.name for way in (*WAYS, BUSY)])
def test_a_black_hole_in_fresh_processes(
    cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall, way: Way
) -> None:
    """Each knows of no dead pod, and meets one by its second connection at the latest."""
    service, pods = web(cluster, pods=2)
    firewall.drop(pods[0])
    waited: List[float] = []
    results = []

    for _process in range(counts(3, 100)):
        shared.forget()
        results.append(run_shim(way.command(build, client(2, service.name, service.port)), env=cluster.env("web", **way.env)))
        told = connections(results[-1])
        expect([one.result for one in told], ["web-1"] * 2, results[-1])
        waited.append(max(one.ms for one in told))

    waited.sort()
    expect(waited[0] >= way.timeout_ms - EARLY_MS, True, waited, *results[:1])
    expect(statistics.median(waited) < way.timeout_ms + SLACK_MS, True, waited, *results[:1])
    print(f"\n{way.name}: {len(waited)} processes: p50 {statistics.median(waited):.1f} ms, max {waited[-1]:.1f} ms")


def test_a_pod_that_refuses_is_never_seen(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster)
    refuse(pods[1])

    for _process in range(3):
        result = run_shim(client(COUNT, service.name, service.port), env=cluster.env("web"))

        told = connections(result)
        expect((len(told), {one.result for one in told}), (COUNT, {"web-0", "web-2"}), result)
        expect([one for one in told if one.ms > WAITED_MS], [], result)


@needs_ipv6
def test_a_pod_of_an_ipv6_service_that_refuses_is_never_seen(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = dual_stack(cluster, "IPv6")
    refuse(pods[1])

    code = (
        "import socket, sys\n"
        "for _ in range(20):\n"
        "    with socket.socket(socket.AF_INET6) as s:\n"
        "        s.connect((sys.argv[1], 80))\n"
        "        s.sendall(b'WHO\\n')\n"
        "        print(s.recv(64).decode().strip())\n"
    )
    result = run_shim(python(code, service.vip), env=cluster.env("web"))

    # Seen once on a busy machine: one of the two had not answered within a try, and was suspected for that second.
    told = tally(result.stdout)
    expect((sum(told.values()), set(told) <= {"web-0", "web-2"}), (20, True), result)


def unroutable(pod: Pod, _firewall: Firewall) -> None:
    no_route("unreachable", pod)


def rejected(pod: Pod, firewall: Firewall) -> None:
    firewall.reject(pod)


@pytest.mark.parametrize("kill", [unroutable, rejected])
def test_an_unreachable_pod_is_never_seen(
    cluster: Cluster, run_shim: ShimRunner, firewall: Firewall, kill: Callable[[Pod, Firewall], None]
) -> None:
    service, pods = web(cluster)
    kill(pods[2], firewall)
    try:
        result = run_shim(client(30, service.name, service.port), env=cluster.env("web"))
    finally:
        route_again("unreachable", pods[2])

    told = connections(result)
    expect((len(told), {one.result for one in told}), (30, {"web-0", "web-1"}), result)
    # The kernel keeps a router's answer to the first SYN for the end of the try.
    expect(len([one for one in told if one.ms > WAITED_MS]) <= 1, True, result)


def kill_all(how: str, pods: "list[Pod]", firewall: Firewall) -> None:
    if how == "refused":
        refuse(*pods)
    else:
        firewall.drop(*pods)


@pytest.mark.parametrize("attempts", ["2", "3", "16"])
def test_all_refuse(cluster: Cluster, run_shim: ShimRunner, attempts: str) -> None:
    """The Service's own address as well: the error is that address's."""
    service, pods = web(cluster)
    refuse(*pods, stand_in(cluster, service))

    result = run_shim(client(10, service.name, service.port), env=cluster.env("web", K8SLB_ATTEMPTS=attempts))

    expect([one.result for one in connections(result)], ["ECONNREFUSED"] * 10, result)
    expect([one for one in connections(result) if one.ms > WAITED_MS], [], result)


@pytest.mark.parametrize("how", ["refused", "dropped"])
@pytest.mark.parametrize("pod_count, settings", [(1, {"K8SLB_FALLBACK": "none"}), (3, {"K8SLB_ATTEMPTS": "1"})])
def test_one_endpoint_or_one_attempt_is_one_plain_connect(
    cluster: Cluster, run_shim: ShimRunner, firewall: Firewall, how: str, pod_count: int, settings: Dict[str, str]
) -> None:
    """As libc does it: nothing is bounded, nothing is tried again. The kernel's patience is shortened by TCP_SYNCNT."""
    service, pods = web(cluster, pods=pod_count)
    kill_all(how, pods, firewall)
    code = (
        "import errno, socket, sys, time\n"
        "with socket.socket() as s:\n"
        "    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)\n"
        "    began = time.monotonic()\n"
        "    print(errno.errorcode[s.connect_ex((sys.argv[1], int(sys.argv[2])))], int(time.monotonic() - began))\n"
    )
    bare = run_shim.start([sys.executable, "-c", code, pods[0].ip, pods[0].port], preload=False)
    shimmed = run_shim.start([sys.executable, "-c", code, service.vip, service.port], env=cluster.env("web", **settings))
    plain, result = bare.wait(), shimmed.wait()

    expect(plain.stdout.split()[0], {"refused": "ECONNREFUSED", "dropped": "ETIMEDOUT"}[how], plain)
    expect(result.stdout, plain.stdout, result)


def test_a_descriptor_that_another_thread_takes_away(cluster: Cluster, run_shim: ShimRunner, firewall: Firewall) -> None:
    """In the middle of a try: it waits on as connect() alone does, here for as long as its SO_SNDTIMEO, and the socket that has
    the number by then is left alone."""
    service, pods = web(cluster, pods=2)
    firewall.drop(*pods)
    code = (
        "import errno, os, socket, sys, threading\n"
        "one, other = socket.socket(), socket.socket()\n"
        "socket.gethostbyname('web')\n"
        "one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, (2).to_bytes(16, 'little'))\n"
        "other.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 12345)\n"
        "threading.Timer(0.1, os.dup2, (other.fileno(), one.fileno())).start()\n"
        "print(errno.errorcode[one.connect_ex((sys.argv[1], 80))])\n"
        "print(other.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0])\n"
        "print(other.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))\n"
        "print(other.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO))\n"
    )

    result = run_shim(python(code, service.vip), env=cluster.env("web"))

    expect(result.stdout, "EINPROGRESS\n7\n12345\n0\n", result)  # 7: TCP_CLOSE
