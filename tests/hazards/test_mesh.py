# SPDX-License-Identifier: Apache-2.0
"""A service mesh's proxy in the Pod balances by the VIP that a connection is meant for.

A naive shim hands it pod addresses, past the mesh's routes and policies. Where both ports of such a proxy have a listener
in the Pod's network namespace, nothing is balanced and the API server is not asked, unless K8SLB_MESH=ignore.
"""
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Iterable, List

import pytest

from tests.e2e.common import stand_in
from tests.harness import ShimRunner, expect
from tests.hazards.guests import as_user, needs_root, public_credentials
from tests.hazards.isolation import expect_clean, target
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import client, python, tally, web

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


LISTENS = """
import socket, sys
kept = [socket.create_server(("127.0.0.1", int(port))) for port in sys.argv[1:]]
print("listens", flush=True)
sys.stdin.read() or __import__("signal").pause()
"""
NAMESPACE = ["unshare", "--user", "--map-user=65534", "--map-group=65534"]


@pytest.mark.parametrize("uid, by, ports, counts", [
    (0, [], ISTIO, True),
    (1337, [], ISTIO, True),
    (2102, [], LINKERD, True),
    (5995, [], CONSUL, True),
    (4712, [], ISTIO, False),
    (4712, as_user(4712), ISTIO, True),  # our own
    (4713, as_user(4712), ISTIO, True),  # on OpenShift the one after it
    (4712, NAMESPACE, ISTIO, True),  # from outside of a user namespace, where nobody in the Pod could come from
])
def test_whose_sockets_they_are(
    cluster: DoubleCluster, run_shim: ShimRunner, uid: int, by: List[str], ports: Iterable[int], counts: bool, tmp_path: Path
) -> None:
    """Any user of the Pod may listen at these ports; only a proxy's keeps others from being balanced."""
    needs_root()
    service, pods = web(cluster)
    stand_in(cluster, service)
    proxy = run_shim.start([*as_user(uid), *python(LISTENS, *ports)], preload=False)
    proxy.wait_output("listens")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)

    result = run_shim([*by, *client(str(service.vip), 80, 6)], env=public_credentials(cluster.env("web"), tmp_path))

    expect(dict(tally(result.stdout)), {"vip": 6} if counts else {pod.name: 2 for pod in pods}, result)


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
