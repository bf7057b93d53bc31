# SPDX-License-Identifier: Apache-2.0
"""A service mesh's proxy in the Pod balances by the VIP that a connection is meant for.

A naive shim hands it pod addresses, past the mesh's routes and policies. Where both ports of such a proxy have a listener
in the Pod's network namespace, nothing is balanced and the API server is not asked, unless K8SLB_MESH=ignore.
"""
import socket
from contextlib import ExitStack
from typing import Iterable

import pytest

from tests.harness import ShimRunner, expect
from tests.hazards.isolation import expect_clean, target
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import client, tally, web

pytestmark = pytest.mark.clusters("double")

ISTIO, LINKERD, CONSUL = (15001, 15006), (4140, 4143), (15001, 20000)


def listeners(stack: ExitStack, ports: Iterable[int], family: socket.AddressFamily = socket.AF_INET) -> None:
    for port in ports:
        listener = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("::1" if family == socket.AF_INET6 else "0.0.0.0", port))
        listener.listen()


@pytest.mark.parametrize("ports", [ISTIO, LINKERD, CONSUL], ids=["istio", "linkerd", "consul"])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])
def test_stays_out_of_a_mesh(
    cluster: DoubleCluster, run_shim: ShimRunner, ports: Iterable[int], family: socket.AddressFamily
) -> None:
    web = target(cluster)
    with ExitStack() as stack:
        listeners(stack, ports, family)

        result = run_shim(client(str(web.service.vip), web.service.port, 3), env=cluster.env("web"))

    expect_clean(result)
    expect(dict(tally(result.stdout)), {"vip": 3}, result)
    expect("K8SLB_MESH=ignore" in result.log, True, result)
    expect(cluster.server.requests(), [], result)


def test_told_to_ignore_it(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster)
    with ExitStack() as stack:
        listeners(stack, ISTIO)

        result = run_shim(client(str(service.vip), 80, 6), env=cluster.env("web", K8SLB_MESH="ignore"))

    expect(dict(tally(result.stdout)), {pod.name: 2 for pod in pods}, result)


def test_one_port_alone_is_no_mesh(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster)
    with ExitStack() as stack:
        listeners(stack, [ISTIO[0], LINKERD[0]])

        result = run_shim(client(str(service.vip), 80, 6), env=cluster.env("web"))

    expect(dict(tally(result.stdout)), {pod.name: 2 for pod in pods}, result)
