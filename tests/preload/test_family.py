# SPDX-License-Identifier: Apache-2.0
"""IPv4, IPv6 and v4-mapped sockets: the endpoint is written in the family and form that the caller used."""
import socket
from collections import Counter
from pathlib import Path
from typing import List, Tuple

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.kube.cluster import Cluster, Pod, Service
from tests.preload.common import client, python, tally, web

DOUBLE = pytest.mark.clusters("double")
needs_ipv6 = pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this kernel has no IPv6")


def dual_stack(cluster: Cluster, *families: str) -> Tuple[Service, List[Pod]]:
    service = cluster.create_service(
        "web", ipFamilyPolicy="RequireDualStack" if len(families) == 2 else "SingleStack", ipFamilies=list(families)
    )
    pods = [
        cluster.add_pod(f"web-{i}", {"app": "web"}, ip=(f"10.244.7.{i + 1}", f"fd00:244::7:{i + 1}")) for i in range(3)
    ]
    cluster.wait_endpoints(service, 3 * len(families))
    return service, pods


def equal_shares(pods: List[Pod], count: int) -> "Counter[str]":
    return Counter({pod.name: count for pod in pods})


def test_a_v4_mapped_address_is_the_same_service(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster)

    result = run_shim(client(f"::ffff:{service.vip}", 80, 6, "-6", "-p"), env=cluster.env("web"))

    expect(tally(result.stdout), Counter({f"{pod.name} ::ffff:{service.vip} 80": 2 for pod in pods}), result)


@needs_ipv6
@DOUBLE
def test_an_ipv6_service(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = dual_stack(cluster, "IPv6")

    by_address = run_shim(client(service.vip or "", 80, 6, "-6", "-p"), env=cluster.env("web"))
    by_name = run_shim(client("web", 80, 6, "-6"), env=cluster.env("web"))

    expect(tally(by_address.stdout), Counter({f"{pod.name} {service.vip} 80": 2 for pod in pods}), by_address)
    expect(tally(by_name.stdout), equal_shares(pods, 2), by_name)


@needs_ipv6
@DOUBLE
@pytest.mark.parametrize("families", [("IPv4", "IPv6"), ("IPv6", "IPv4")])
def test_dual_stack(cluster: Cluster, run_shim: ShimRunner, build: Build, families: Tuple[str, str]) -> None:
    service, pods = dual_stack(cluster, *families)
    v4 = next(ip for ip in service.vips if ":" not in ip)
    v6 = next(ip for ip in service.vips if ":" in ip)
    env = cluster.env("web")

    for options, host in (([], v4), (["-6"], v6), (["-6"], f"::ffff:{v4}")):
        result = run_shim(client(host, 80, 6, *options), env=env)
        expect(tally(result.stdout), equal_shares(pods, 2), result)

    def lookup(family: int) -> List[str]:
        return run_shim([build.programs / "lookup", "getaddrinfo", "web", 80, family, socket.SOCK_STREAM, 0], env=env).stdout.splitlines()

    expect(lookup(socket.AF_UNSPEC), [f"{ip} 80 type 1" for ip in (v6, v4)])
    expect(lookup(socket.AF_INET), [f"{v4} 80 type 1"])
    expect(lookup(socket.AF_INET6), [f"{v6} 80 type 1"])


@needs_ipv6
@DOUBLE
def test_the_shim_opens_no_way_that_the_kernel_closed(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster)
    code = (
        "import errno, socket, sys\n"
        "socket.create_connection((sys.argv[1], 80)).close()\n"
        "with socket.socket(socket.AF_INET6) as s:\n"
        "    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)\n"
        "    print(errno.errorcode[s.connect_ex(('::ffff:' + sys.argv[1], 80))])\n"
    )
    result = run_shim(python(code, service.vip), env=cluster.env("web"))

    expect(result.stdout, "ENETUNREACH\n", result)
    expect(sum(pod.connections() for pod in pods), 1, result)
