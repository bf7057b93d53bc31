# SPDX-License-Identifier: Apache-2.0
"""One list request for each page and one watch for each kind and namespace, whatever the programs do meanwhile."""
import time
from collections import Counter
from pathlib import Path
from typing import Dict, List

import pytest

from tests.e2e.common import Follower, expect_followed, names, three
from tests.harness import ShimRunner, counts, expect
from tests.kube.double_cluster import DoubleCluster

pytestmark = pytest.mark.clusters("double")

SECONDS = counts(10, 60)
ONE_OF_EACH = {"services": {"list": 1, "watch": 1}, "endpointslices": {"list": 1, "watch": 1}}


def requests_of(cluster: DoubleCluster, user: str) -> Dict[str, Dict[str, int]]:
    found: Dict[str, Counter[str]] = {}
    for record in cluster.server.requests():
        if record.user == user:
            found.setdefault(record.resource, Counter())[record.verb] += 1
    return {resource: dict(verbs) for resource, verbs in found.items()}


def test_one_list_and_one_watch_of_each_kind(cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path) -> None:
    service, pods = three(cluster)
    three(cluster, "api")
    cluster.create_namespace("shop")
    cluster.create_service("web", namespace="shop")
    # All programs run at the same time, each with a token of its own, by which its requests are told apart.
    followers: Dict[str, Follower] = {}
    for number, services in enumerate(["web", "web:80", "web,api,missing", "*", "*/*", "web *"]):
        user, token = f"user-{number}", tmp_path / f"token-{number}"
        cluster.server.auth.add_token(f"token-of-{user}", user)
        token.write_text(f"token-of-{user}\n")
        env = cluster.env(services, K8SLB_TOKEN_FILE=str(token))
        followers[user] = Follower(run_shim, service, env, pause_ms=20)

    begin, number = time.monotonic(), 3
    while time.monotonic() - begin < SECONDS:
        cluster.delete_pod(pods.pop(0))
        pods.append(cluster.add_pod(f"web-{number}", {"app": "web"}))
        number += 1
        for follower in followers.values():
            follower.watch(0.2, time.monotonic())

    for user, follower in followers.items():
        expect_followed(follower, names(pods))
        expect(requests_of(cluster, user), ONE_OF_EACH, follower.process.args, cluster.logs(), follower)
    expect(cluster.server.open_watches(), 2 * len(followers), cluster.logs())


def test_two_namespaces_are_two_collections(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    service, pods = three(cluster)
    cluster.create_namespace("shop")
    follower = Follower(run_shim, service, cluster.env("web shop/web shop/api"))
    follower.watch(1, follower.began)
    cluster.server.wait(lambda: cluster.server.open_watches() == 4)
    found = Counter((record.namespace, record.resource, record.verb) for record in cluster.server.requests())
    expected = {
        (namespace, resource, verb): 1
        for namespace in ("default", "shop") for resource in ONE_OF_EACH for verb in ("list", "watch")
    }
    expect(dict(found), expected, cluster.logs(), follower)


def slices_and_services(count: int) -> Dict[str, List[Dict[str, object]]]:
    services, slices = [], []
    for number in range(count):
        name, meta = f"filler-{number:05}", {"namespace": "big"}
        port = {"name": "http", "port": 80, "protocol": "TCP"}
        ip = f"10.96.{128 + number // 250}.{1 + number % 250}"
        services.append({
            "metadata": {**meta, "name": name},
            "spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": [port], "type": "ClusterIP"},
        })
        slices.append({
            "metadata": {**meta, "name": name + "-x", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [f"10.244.{128 + number // 250}.{1 + number % 250}"], "conditions": {"ready": True}}],
            "ports": [port],
        })
    return {"services": services, "endpointslices": slices}


def test_pages_are_followed(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    cluster.create_namespace("big")
    cluster.server.set(page_at_rv0=True)
    objects = slices_and_services(1200)
    try:
        for plural, items in objects.items():
            cluster.server.load(plural, items)
        service = cluster.create_service("web", namespace="big")  # its name is on the last page
        pod = cluster.add_pod("web-0", {"app": "web"}, namespace="big")
        cluster.wait_endpoints(service, 1)
        follower = Follower(run_shim, service, cluster.env("big/*"))
        expect_followed(follower, {pod.name})
        follower.watch(2, follower.began)

        verbs = {"list": 3, "watch": 1}
        found = Counter((record.resource, record.verb) for record in cluster.server.requests())
        expect(dict(found), {(plural, verb): count for plural in objects for verb, count in verbs.items()}, cluster.logs(), follower)
        follower.wait_log("table .*1201 Services, .*1201 endpoints")
    finally:
        for plural, items in objects.items():
            for item in items:
                cluster.server.delete(plural, item["metadata"]["name"], "big")  # type: ignore[index]
