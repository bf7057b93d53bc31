# SPDX-License-Identifier: Apache-2.0
"""k8slb explain, asking an API server: what it may read, what stands in for what it may not, and where it runs."""
import json
import socket
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

import pytest

from tests.cli.common import Object, run_cli, used
from tests.harness import Build, expect
from tests.kube.cluster import Cluster

READ = ("list", "watch")


@pytest.fixture
def ask(build: Build, cluster: Cluster) -> Callable[..., List[Object]]:
    def run(*arguments: object, **settings: Any) -> List[Object]:
        result = run_cli(build, "explain", "-o", "json", *arguments, env=cluster.env("unused", **settings))
        assert (result.returncode, result.stderr) == (0, ""), result
        answer: List[Object] = json.loads(result.stdout)
        return answer

    return run


def token_file(cluster: Any, path: Path, name: str, rules: Sequence[Dict[str, Any]]) -> str:
    path.write_text(cluster.create_token(name, rules))
    return str(path)


def test_services_and_namespaces(cluster: Cluster, ask: Any) -> None:
    cluster.create_namespace("shop")
    made = [cluster.create_service("web"), cluster.create_service("cart", namespace="shop")]
    pods = [cluster.add_pod("a", {"app": "web"}), cluster.add_pod("b", {"app": "cart"}, namespace="shop")]
    for one, pod in zip(made, pods):
        cluster.wait_endpoints(one, {pod.endpoint})
    expect([one["service"] for one in ask("web")], ["web"])
    expect([one["service"] for one in ask("shop/cart:http")], ["cart"])
    expect([one["service"] for one in ask("cart", K8SLB_NAMESPACE="shop")], ["cart"])
    expect([one["service"] for one in ask("shop/*")], ["cart"])
    everything = {one["service"]: used(one) for one in ask()}
    expect({name: everything[name] for name in ("web", "cart")}, {"web": [pods[0].ip], "cart": [pods[1].ip]})


def test_what_is_not_there(cluster: Cluster, build: Build) -> None:
    result = run_cli(build, "explain", "nope", env=cluster.env("unused"))
    expect((result.returncode, result.stdout), (1, ""))
    expect(result.stderr, "k8slb explain: Service default/nope: not found; kubectl get services -A lists all of them\n")


@pytest.mark.clusters("real")
def test_without_rights(cluster: Any, build: Build, tmp_path: Path) -> None:
    cluster.create_service("web")
    env = cluster.env("unused", K8SLB_TOKEN_FILE=token_file(cluster, tmp_path / "token", "nobody", ()))
    for arguments in ([], ["web"]):
        result = run_cli(build, "explain", *arguments, env=env)
        expect((result.returncode, result.stdout), (1, ""), result)
        assert result.stderr.startswith(f"k8slb explain: {cluster.url}: 403 ") and "forbidden" in result.stderr, result
        assert result.stderr.count("\n") == 1, result


@pytest.mark.clusters("real")
def test_an_entry_stands_in_for_a_service_that_may_not_be_read(cluster: Any, build: Build, tmp_path: Path) -> None:
    service = cluster.create_service("web")
    pod = cluster.add_pod("a", {"app": "web"})
    cluster.wait_endpoints(service, {pod.endpoint})
    rules = [{"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": READ}]
    token = token_file(cluster, tmp_path / "token", "slices-only", rules)
    env = cluster.env(f"web:http@{service.vip}:80", K8SLB_TOKEN_FILE=token)
    result = run_cli(build, "explain", "-o", "json", "web", env=env)
    assert result.returncode == 0, result
    (element,) = json.loads(result.stdout)
    expect((element["vip"], element["port"]["number"], used(element)), (service.vip, 80, [pod.ip]))


@pytest.mark.clusters("real")
def test_endpoints_where_slices_may_not_be_read(cluster: Any, build: Build, tmp_path: Path) -> None:
    service = cluster.create_service("web")
    pod = cluster.add_pod("a", {"app": "web"})
    cluster.wait_endpoints(service, {pod.endpoint})
    rules = [{"apiGroups": [""], "resources": ["services", "endpoints"], "verbs": READ}]
    env = cluster.env("unused", K8SLB_TOKEN_FILE=token_file(cluster, tmp_path / "token", "no-slices", rules))
    result = run_cli(build, "explain", "-o", "json", "web", env=env)
    assert result.returncode == 0, result
    expect(used(json.loads(result.stdout)[0]), [pod.ip])


@pytest.mark.clusters("real")
def test_the_place_is_found_as_the_library_finds_it(cluster: Cluster, build: Build) -> None:
    """This network has the addresses of all pods: the host's name says which one is here."""
    service = cluster.create_service("web")
    pod = cluster.add_pod(socket.gethostname(), {"app": "web"}, node="n2")
    cluster.wait_endpoints(service, {pod.endpoint})
    here = [
        run_cli(build, "explain", *arguments, "web", env=cluster.env("unused", **settings)).stdout.splitlines()[0]
        for arguments, settings in (([], {}), ([], {"K8SLB_NODE": "n1"}), (["--node", ""], {}))
    ]
    found = f"node n2 (endpoint {pod.ip} is Pod default/{pod.name}, this one by its name), zone z2 (endpoint {pod.ip} on this node has it)"
    expect(here, [f"Here: {found}", "Here: node n1 (as set), zone not known", "Here: neither node nor zone is known (--node, --zone)"])
