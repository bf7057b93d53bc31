# SPDX-License-Identifier: Apache-2.0
"""NAME:PORT in K8SLB_SERVICES balances that port; the others of the Service are kube-proxy's."""
import socket
from collections import Counter

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import client, tally, web

pytestmark = pytest.mark.clusters("double")

PORTS = [
    {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"},
    {"name": "https", "port": 443, "targetPort": 8080, "protocol": "TCP"},
]


@pytest.mark.parametrize("entry", ["web:80", "web:http", "default/web:80"])
def test_only_that_port_is_balanced(cluster: DoubleCluster, run_shim: ShimRunner, entry: str) -> None:
    service, pods = web(cluster, ports=PORTS)
    cluster.add_pod("vip", {"app": "stand-in-for-kube-proxy"}, ip=service.vip, port=443)
    for host in (service.vip or "", "web"):
        asked = run_shim(client(host, 80, 6), env=cluster.env(entry))
        other = run_shim(client(host, 443, 6, "-p"), env=cluster.env(entry))

        expect(tally(asked.stdout), Counter({pod.name: 2 for pod in pods}), asked)
        expect(tally(other.stdout), Counter({f"vip {service.vip} 443": 6}), other)
    expect(sum(pod.connections() for pod in pods), 12)


def test_two_entries_are_two_ports(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster, ports=PORTS)
    for port in (80, 443):
        result = run_shim(client(service.vip or "", port, 6), env=cluster.env("web:80 web:https"))
        expect(tally(result.stdout), Counter({pod.name: 2 for pod in pods}), result)


@pytest.mark.parametrize("port", ["-", "81", "https"])
def test_a_name_without_a_known_vip_answers_for_that_port_only(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, port: str
) -> None:
    """A bare pod address beside a port of the Service would be wrong, so DNS has the word."""
    _service, pods = web(cluster)
    cluster.server.auth.deny("services")
    env = cluster.env("web:80")

    def lookup(asked: str, preload: bool = True) -> str:
        command = [build.programs / "lookup", "getaddrinfo", "web", asked, socket.AF_INET, socket.SOCK_STREAM, 0]
        return run_shim(command, env=env, preload=preload).stdout

    expect(sorted(lookup("80").splitlines()), sorted(f"{pod.ip} {pod.port} type 1" for pod in pods), cluster.logs())
    expect(lookup(port), lookup(port, preload=False), cluster.logs())
    by_name = run_shim([build.programs / "lookup", "gethostbyname", "web"], env=env)
    expect(by_name.stdout, run_shim(by_name.args, preload=False).stdout, by_name)
