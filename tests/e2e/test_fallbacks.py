# SPDX-License-Identifier: Apache-2.0
"""Fewer rights, older discovery, and Services that come, go and scale."""
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

from tests.e2e.common import Follower, expect_followed, names, stand_in, three
from tests.harness import ShimRunner, expect
from tests.kube.cluster import Cluster, Service
from tests.kube.double_cluster import DoubleCluster
from tests.kube.real_cluster import RealCluster
from tests.preload.common import client, tally


def even(pods: Any, each: int) -> "Counter[str]":
    return Counter({pod.name: each for pod in pods})


# -- what may be read ----------------------------------------------------------------------------

NO_SLICES: Dict[str, Callable[[DoubleCluster], None]] = {
    "forbidden": lambda cluster: cluster.server.auth.deny("endpointslices"),
    "absent": lambda cluster: cluster.server.absent.add("endpointslices"),
}


@pytest.mark.clusters("double")
@pytest.mark.parametrize("why", NO_SLICES)
@pytest.mark.parametrize("services", ["web", "web,api", "*", "*/*"])
def test_endpoints_where_slices_cannot_be_read(cluster: DoubleCluster, run_shim: ShimRunner, why: str, services: str) -> None:
    service, pods = three(cluster)
    NO_SLICES[why](cluster)
    follower = Follower(run_shim, service, cluster.env(services))
    expect_followed(follower, names(pods))
    cluster.delete_pod(pods[0])
    expect_followed(follower, names(pods[1:]))
    expect(follower.results_by_table(), names(pods), cluster.logs(), follower)
    follower.wait_log("EndpointSlices may not be read, using Endpoints")


@pytest.mark.clusters("real")
@pytest.mark.parametrize("only", [{}, {"resourceNames": ["web"]}], ids=["of-all", "of-one-name"])
def test_endpoints_by_a_real_role(cluster: RealCluster, run_shim: ShimRunner, tmp_path: Path, only: Dict[str, Any]) -> None:
    """The API server takes the name of a list's and watch's metadata.name selector for that of the object asked for."""
    rule = {"apiGroups": [""], "resources": ["services", "endpoints"], "verbs": ["list", "watch"], **only}
    (tmp_path / "token").write_text(cluster.create_token("no-slices" + "-named" * len(only), [rule]))
    service, pods = three(cluster)
    follower = Follower(run_shim, service, cluster.env("web", K8SLB_TOKEN_FILE=str(tmp_path / "token")))
    expect_followed(follower, names(pods))
    cluster.set_ready(pods[0], False)
    expect_followed(follower, names(pods[1:]))


@pytest.mark.parametrize("services", ["web", "*"])
def test_endpoints_by_setting(cluster: Cluster, run_shim: ShimRunner, services: str) -> None:
    service, pods = three(cluster)
    follower = Follower(run_shim, service, cluster.env(services, K8SLB_DISCOVERY="endpoints"))
    expect_followed(follower, names(pods))
    cluster.delete_pod(pods[0])
    expect_followed(follower, names(pods[1:]))
    assert "endpointslices" not in follower.log(), follower


@pytest.mark.clusters("double")
@pytest.mark.parametrize("form", ["web@{vip}:80", "web:80@{vip}", "web:http@{vip}:80"])
def test_the_vip_is_given_where_services_cannot_be_read(cluster: DoubleCluster, run_shim: ShimRunner, form: str) -> None:
    service, pods = three(cluster)
    cluster.server.auth.deny("services")
    for host in (str(service.vip), "web"):
        result = run_shim(client(host, 80, 30), env=cluster.env(form.format(vip=service.vip)))
        expect(tally(result.stdout), even(pods, 10), cluster.logs(), result)


@pytest.mark.clusters("real")
def test_the_vip_is_given_by_a_real_role(cluster: RealCluster, run_shim: ShimRunner, tmp_path: Path) -> None:
    rule = {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]}
    (tmp_path / "token").write_text(cluster.create_token("no-services", [rule]))
    service, pods = three(cluster)
    env = cluster.env(f"web:80@{service.vip}", K8SLB_TOKEN_FILE=str(tmp_path / "token"))
    result = run_shim(client(str(service.vip), 80, 30), env=env)
    expect(tally(result.stdout), even(pods, 10), cluster.logs(), result)


# -- Services ------------------------------------------------------------------------------------


def test_headless_service_is_answered_from_the_table(cluster: Cluster, run_shim: ShimRunner) -> None:
    service = cluster.create_service("web", cluster_ip="None")
    pods = [cluster.add_pod(f"web-{number}", {"app": "web"}) for number in range(3)]
    cluster.wait_endpoints(service, 3)
    for name in ("web", "web.default.svc.cluster.local"):
        # A headless Service translates no port: the pods' own is dialled.
        result = run_shim(client(name, 8080, 30), env=cluster.env("web"))
        expect(tally(result.stdout), even(pods, 10), cluster.logs(), result)
    code = "import socket; print(*sorted(a[4] for a in socket.getaddrinfo('web', 'http', type=socket.SOCK_STREAM)), sep='\\n')"
    result = run_shim([sys.executable, "-c", code], env=cluster.env("web"))
    expect({line.split("'")[1] for line in result.stdout.splitlines()}, {pod.ip for pod in pods}, cluster.logs(), result)


VIP = "10.96.77.77"


@pytest.mark.parametrize("services", ["web", "*"])
def test_service_that_comes_and_goes(cluster: Cluster, run_shim: ShimRunner, services: str) -> None:
    expected = Service("web", "default", VIP, (VIP,), ({"port": 80},))
    stand_in(cluster, expected)
    follower = Follower(run_shim, expected, cluster.env(services))
    follower.wait_results({"vip"})

    service = cluster.create_service("web", cluster_ip=VIP)
    pods = [cluster.add_pod(f"web-{number}", {"app": "web"}) for number in range(2)]
    expect_followed(follower, names(pods))
    cluster.delete_service(service)
    expect_followed(follower, {"vip"})
    service = cluster.create_service("web", cluster_ip=VIP)
    cluster.wait_endpoints(service, 2)
    expect_followed(follower, names(pods))

    # A Service without any slice yet is kube-proxy's; nothing else was ever seen.
    assert follower.results() <= {"vip", *names(pods)}, follower


def test_scale_to_zero_and_up_again(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = three(cluster)
    stand_in(cluster, service)
    follower = Follower(run_shim, service, cluster.env("web"))
    follower.wait_results(names(pods))

    for pod in pods:
        cluster.delete_pod(pod)
    expect_followed(follower, {"vip"})
    again = cluster.add_pod("web-9", {"app": "web"})
    expect_followed(follower, {again.name})

    expect(follower.results_by_table(), names([*pods, again]) | {"vip"}, cluster.logs(), follower)
