# SPDX-License-Identifier: Apache-2.0
"""A Service of which the table has no endpoint is the kernel's: whatever serves the VIP there serves it, or refuses."""
from typing import Dict

import pytest

from tests.e2e.common import stand_in
from tests.failover.common import sysctl
from tests.harness import ShimRunner, expect
from tests.kube.cluster import Service
from tests.kube.double_cluster import DoubleCluster
from tests.kube.namespace import add_address, add_silent_address, remove_address, remove_silent_address
from tests.preload.common import client, python, web

pytestmark = pytest.mark.clusters("double")

# One connection each: blocking, v4-mapped, and non-blocking after the others, so that the table is there.
ASK = """
import errno, socket, sys
def ask(family, host, **options):
    with socket.socket(family) as connection:
        connection.settimeout(options.pop("timeout", None))
        for option in options.values():
            connection.setsockopt(*option)
        try:
            connection.connect((host, 80))
            connection.sendall(b"WHO\\n")
            return connection.makefile().readline().strip()
        except OSError as error:
            return errno.errorcode.get(error.errno, str(error))
vip = sys.argv[1]
v6_only = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
print(ask(socket.AF_INET, vip), ask(socket.AF_INET6, "::ffff:" + vip), ask(socket.AF_INET, vip, timeout=10),
      ask(socket.AF_INET6, "::ffff:" + vip, only=v6_only))
"""


def nothing_at_all(cluster: DoubleCluster) -> Service:
    return web(cluster, pods=0)[0]


def none_is_ready(cluster: DoubleCluster) -> Service:
    service, pods = web(cluster, pods=2)
    for pod in pods:
        cluster.set_ready(pod, False)
    return service


def elsewhere_only(cluster: DoubleCluster) -> Service:
    service = cluster.create_service("web", internalTrafficPolicy="Local")
    for number in range(2):
        cluster.add_pod(f"web-{number}", {"app": "web"}, node="n2")
    cluster.wait_endpoints(service, 2)
    return service


CASES = {"nothing at all": nothing_at_all, "none is ready": none_is_ready, "on another node only": elsewhere_only}


@pytest.mark.parametrize("case", CASES)
def test_what_serves_the_vip_answers(cluster: DoubleCluster, run_shim: ShimRunner, case: str) -> None:
    service = CASES[case](cluster)
    stand_in(cluster, service)

    result = run_shim(python(ASK, service.vip), env=cluster.env("web", K8SLB_NODE="n1"))

    expect(result.stdout, "vip vip vip ENETUNREACH\n", result, cluster.logs())


@pytest.mark.parametrize("case", CASES)
def test_what_refuses_or_drops_does_so(cluster: DoubleCluster, run_shim: ShimRunner, case: str) -> None:
    """As without the library: a node's rules reject where there is no endpoint at all, and drop where none is local."""
    service = CASES[case](cluster)
    env: Dict[str, str] = cluster.env("web", K8SLB_NODE="n1")

    add_address(str(service.vip))
    try:
        refused = [run_shim(python(ASK, service.vip), env=env, preload=preload) for preload in (False, True)]
    finally:
        remove_address(str(service.vip))
    add_silent_address(str(service.vip))
    try:
        with sysctl("tcp_syn_retries", 1):
            dropped = [run_shim(client(str(service.vip), 80), env=env, preload=preload) for preload in (False, True)]
    finally:
        remove_silent_address(str(service.vip))

    expect([one.stdout for one in refused], ["ECONNREFUSED ECONNREFUSED ECONNREFUSED ENETUNREACH\n"] * 2, *refused)
    expect([one.stdout for one in dropped], ["ETIMEDOUT\n"] * 2, *dropped)
