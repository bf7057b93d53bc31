# SPDX-License-Identifier: Apache-2.0
"""On which Node a program runs: known by what proves it, or not known, and then nothing is taken for local. Each case in a UTS
and a mount namespace of its own; this network has the addresses of all pods."""
import re
from pathlib import Path
from typing import List, Optional, Tuple

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.kube.cluster import Cluster, Pod, Service
from tests.preload.common import client, python

UID = "11111111-2222-3333-4444-555555555555"
AS_HOST = "import os, socket, sys; socket.sethostname(sys.argv[1]); os.execvp(sys.argv[2], sys.argv[2:])"
UNKNOWN = "Here: neither node nor zone is known (--node, --zone)"
HOST_NETWORK = "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n"


class Node:
    """Runs programs in a Pod: its host name, the file that is its /etc/hosts."""

    def __init__(self, cluster: Cluster, run_shim: ShimRunner, build: Build, directory: Path) -> None:
        self._cluster, self._run, self._build, self._directory = cluster, run_shim, build, directory
        self._hosts = 0

    def look(self, service: Service, hostname: str, hosts: Optional[str] = None, uid: str = "none") -> Tuple[str, str, str]:
        """What explain says of here, which node the library's log tells, with its evidence, and who answers."""
        self._hosts += 1
        file = self._directory / str(self._hosts) / "pods" / uid / "etc-hosts"
        file.parent.mkdir(parents=True)
        file.write_text(hosts or "127.0.0.1 localhost\n")

        def inside(*command: object) -> List[str]:
            bind = f'mount --bind {file} /etc/hosts && exec "$@"'
            return ["unshare", "-um", "sh", "-c", bind, "sh", *python(AS_HOST, hostname, *command)]

        env = self._cluster.env("*")
        told = self._run(inside(self._build.cli, "explain", service.name), env=env, preload=False)
        expect((told.returncode, told.stderr), (0, ""), told)
        result = self._run(inside(*client(service.vip or "", 80)), env=env)
        found = re.findall(r'this is node "(.*?)" \((.*?)\)', result.log)
        return told.stdout.splitlines()[0], " ".join(found[-1]) if found else "", result.stdout.strip()


@pytest.fixture
def node(cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path) -> Node:
    return Node(cluster, run_shim, build, tmp_path)


def local_service(cluster: Cluster, *numbers: int) -> Tuple[Service, List[Pod]]:
    """Pod web-0 on worker-0, web-1 on worker-1; a connection uses that of its own node alone."""
    service = cluster.create_service("web", internalTrafficPolicy="Local")
    pods = [cluster.add_pod(f"web-{i}", {"app": "web"}, node=f"worker-{i}") for i in numbers or (0, 1)]
    cluster.wait_endpoints(service, len(pods))
    return service, pods


def test_a_pod_that_is_called_as_another_node(cluster: Cluster, node: Node) -> None:
    service, _pods = local_service(cluster, 0)
    here, log, answer = node.look(service, "worker-0")
    expect((here, log), (UNKNOWN, ""))
    assert not answer.startswith("web"), answer


def test_an_endpoint_of_our_address_and_name(cluster: Cluster, node: Node) -> None:
    service, pods = local_service(cluster)
    evidence = f"endpoint {pods[1].ip} is Pod default/web-1, this one by its name"
    here, log, answer = node.look(service, "web-1")
    assert here.startswith(f"Here: node worker-1 ({evidence}), zone "), here
    expect((log, answer), (f"worker-1 {evidence}", "web-1"))


@pytest.mark.clusters("double")
def test_an_endpoint_of_our_address_and_uid(cluster: Cluster, node: Node) -> None:
    """The host name is the Pod's own choice."""
    service, pods = local_service(cluster)
    _status, pod = cluster.request("GET", "/api/v1/namespaces/default/pods/web-1")
    evidence = f"endpoint {pods[1].ip} is Pod default/web-1, this one by its uid"
    here, log, answer = node.look(service, "db", uid=pod["metadata"]["uid"])
    assert here.startswith(f"Here: node worker-1 ({evidence}), zone "), here
    expect((log, answer), (f"worker-1 {evidence}", "web-1"))
    expect(node.look(service, "db", uid=UID)[:2], (UNKNOWN, ""))


def test_a_former_pod_of_our_address(cluster: Cluster, node: Node) -> None:
    """It terminates, and we have its name: that of a StatefulSet's Pod which was moved to another node."""
    service, pods = local_service(cluster, 1)
    cluster.terminate(pods[0])
    cluster.wait_endpoints(service, 0)
    here, log, answer = node.look(service, "web-1")
    expect((here, log), (UNKNOWN, ""))
    assert not answer.startswith("web"), answer


def test_on_the_hosts_network(cluster: Cluster, node: Node) -> None:
    service, _pods = local_service(cluster)
    evidence = "the host's name, on the host's network"
    here, log, answer = node.look(service, "worker-0", hosts=HOST_NETWORK)
    assert here.startswith(f"Here: node worker-0 ({evidence}), zone "), here
    expect((log, answer), (f"worker-0 {evidence}", "web-0"))
    # No Node of this name is known.
    expect(node.look(service, "worker-7", hosts=HOST_NETWORK)[:2], (UNKNOWN, ""))
