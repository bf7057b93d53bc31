# SPDX-License-Identifier: Apache-2.0
"""Programs on every C library: balanced by address and by name, in threads and children, over https, and unharmed."""
from collections import Counter
from typing import Optional

import pytest

from tests.e2e.common import stand_in
from tests.harness import ShimRunner, counts, expect
from tests.kube import namespace
from tests.kube.dns_server import DnsServer
from tests.kube.double_cluster import ACCOUNT, DoubleCluster
from tests.libcs.places import PATIENCE, Place
from tests.preload.common import tally, web

pytestmark = pytest.mark.clusters("double")

NAME = "web.default.svc.cluster.local"
WHO = ("main", "thread", "child")


@pytest.mark.parametrize("by", ["address", "name"])
def test_a_guest_is_balanced(place: Place, cluster: DoubleCluster, run_shim: ShimRunner, by: str) -> None:
    service, pods = web(cluster)
    host = str(service.vip) if by == "address" else NAME

    result = place.run(run_shim, place.guest(host, service.port, 6), cluster.env("web", **PATIENCE))

    # Every one of them in turns, and told the address that it asked for.
    peer = f" {service.vip} {service.port}"
    lines = {f"{who} {pod.name}{peer}": 2 for who in WHO for pod in pods}
    expect(tally(result.stdout), Counter(lines), result, cluster.logs())
    expect((result.returncode, result.stderr), (0, ""), result)
    # TLS worked: the double takes no request without the token, and none without https.
    assert cluster.url.startswith("https://"), cluster.url
    answered = {(one.user, one.status) for one in cluster.server.requests() if one.status}
    expect(answered, {(ACCOUNT, 200)}, result, cluster.logs())


def test_an_api_server_by_name(place: Place, cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """By the library's own lookup, whatever the libc's is like; arm64's descriptors are qemu's (places.py)."""
    service, pods = web(cluster)
    url = cluster.url.replace(namespace.NODE_IP, "kubernetes.default.svc")
    with DnsServer({"kubernetes.default.svc.cluster.local": {namespace.NODE_IP}}) as dns:
        result = place.run(run_shim, place.guest(str(service.vip), service.port, 3), cluster.env("web", K8SLB_API=url, **PATIENCE))

    answered = {line.split()[1] for line in result.stdout.splitlines()}
    expect((result.returncode, answered, result.stderr), (0, {pod.name for pod in pods}, ""), result, dns.asked)


@pytest.mark.parametrize("services", [None, "web"], ids=["inert", "configured"])
def test_a_stranger_sees_no_difference(
    place: Place, cluster: DoubleCluster, run_shim: ShimRunner, services: Optional[str]
) -> None:
    web(cluster)
    env = cluster.env("web", K8SLB_SERVICES=services)
    command = place.guest("127.0.0.1", 9, 1)  # nobody listens

    bare, guest = (place.run(run_shim, command, env, preload=preload) for preload in (False, True))

    expect(bare.stdout, "".join(f"{who} Connection refused\n" for who in WHO), bare)
    expect((guest.returncode, guest.stdout, guest.stderr), (bare.returncode, bare.stdout, bare.stderr), guest)
    expect([line for line in guest.log.splitlines() if " error " in line], [], guest)
    expect(cluster.server.requests(), [], cluster.logs())


def test_it_exits_while_the_thread_works(place: Place, cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """The first connection starts the thread and does not wait for it here: the end comes in its handshake."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    env = cluster.env("web", K8SLB_SYNC_TIMEOUT="0")

    for _ in range(counts(5, 50)):
        result = place.run(run_shim, place.guest(str(service.vip), service.port, 1), env)
        expect((result.returncode, result.stderr), (0, ""), result)
        said = [line.split()[:2] for line in result.stdout.splitlines()]
        expect([who for who, _pod in said], list(WHO), result)
        expect({pod for _who, pod in said} - {"vip", *(pod.name for pod in pods)}, set(), result)
