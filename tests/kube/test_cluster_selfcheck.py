# SPDX-License-Identifier: Apache-2.0
"""The test ground itself: both clusters keep the promises of cluster.py, and the real one is a real one."""
import json
import socket
import subprocess
from typing import Any, Dict, List, Tuple

import pytest

from tests.harness import expect, wait_until
from tests.kube import namespace
from tests.kube.cluster import Cluster, Pod, Service
from tests.kube.real_cluster import RealCluster

WEB = {"app": "web"}


def curl(*arguments: str) -> str:
    result = subprocess.run(["curl", "-sS", "-m", "5", *arguments], capture_output=True, text=True)
    expect(result.returncode, 0, result.stderr)
    return result.stdout


def three_pods(cluster: Cluster) -> Tuple[Service, List[Pod]]:
    service = cluster.create_service("web")
    pods = [cluster.add_pod(f"web-{number}", WEB) for number in range(3)]
    cluster.wait_endpoints(service, {pod.endpoint for pod in pods})
    return service, pods


def conditions(cluster: Cluster, pod: Pod) -> Dict[str, Any]:
    status, answer = cluster.request("GET", f"/apis/discovery.k8s.io/v1/namespaces/{pod.namespace}/endpointslices")
    expect(status, 200, answer)
    found = [
        endpoint["conditions"]
        for item in answer["items"]
        for endpoint in item["endpoints"] or ()
        if endpoint["addresses"][0] == pod.ip
    ]
    expect(len(found), 1, json.dumps(answer, indent=1))
    return dict(found[0])


def test_ready_pods_become_endpoints(cluster: Cluster) -> None:
    service, pods = three_pods(cluster)
    assert service.vip and service.vips[0] == service.vip and service.port == 80
    expect(conditions(cluster, pods[0]), {"ready": True, "serving": True, "terminating": False})


def test_unready_pod_leaves_and_comes_back(cluster: Cluster) -> None:
    service, pods = three_pods(cluster)
    cluster.set_ready(pods[1], False)
    cluster.wait_endpoints(service, {pods[0].endpoint, pods[2].endpoint})
    cluster.set_ready(pods[1], True)
    cluster.wait_endpoints(service, 3)


def test_terminating_pod_is_not_ready_and_serves(cluster: Cluster) -> None:
    service, pods = three_pods(cluster)
    cluster.terminate(pods[0])
    cluster.wait_endpoints(service, {pods[1].endpoint, pods[2].endpoint})
    expect(conditions(cluster, pods[0]), {"ready": False, "serving": True, "terminating": True})
    expect(curl(f"http://{pods[0].ip}:8080/"), "web-0\n")
    cluster.delete_pod(pods[0])
    cluster.wait_endpoints(service, 2)


def test_deleted_pod_leaves_its_listener_or_refuses(cluster: Cluster) -> None:
    service, pods = three_pods(cluster)
    cluster.delete_pod(pods[0])
    cluster.delete_pod(pods[1], stop_listener=True)
    cluster.wait_endpoints(service, {pods[2].endpoint})
    expect(curl(f"http://{pods[0].ip}:8080/"), "web-0\n")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(pods[1].endpoint, timeout=5)


def test_deleted_service_has_no_slices_and_the_name_is_free(cluster: Cluster) -> None:
    service, pods = three_pods(cluster)
    cluster.delete_service(service)
    expect(cluster.endpoints(service), set(), cluster.logs())
    again = cluster.create_service("web")
    cluster.wait_endpoints(again, {pod.endpoint for pod in pods})


def test_headless_service_and_other_namespaces(cluster: Cluster) -> None:
    cluster.create_namespace("shop")
    service = cluster.create_service("web", namespace="shop", cluster_ip="None")
    expect((service.vip, service.vips), (None, ()))
    pod = cluster.add_pod("web-0", WEB, namespace="shop", node="n2")
    cluster.add_pod("web-0", WEB)  # the same name elsewhere is another pod
    cluster.wait_endpoints(service, {pod.endpoint})


def test_named_target_port_differs_per_pod(cluster: Cluster) -> None:
    service = cluster.create_service("web", ports=[{"name": "http", "port": 80, "targetPort": "web"}])
    first = cluster.add_pod("web-0", WEB, port=8080, port_name="web")
    second = cluster.add_pod("web-1", WEB, port=9090, port_name="web")
    cluster.wait_endpoints(service, {first.endpoint, second.endpoint})
    expect(second.port, 9090)


def test_pod_answers_http_redis_and_plain_lines(cluster: Cluster) -> None:
    pod = cluster.add_pod("web-0", WEB)
    url = f"http://{pod.ip}:8080/"
    before = pod.connections()
    # Two requests on one kept connection.
    expect(curl(url, url), "web-0\nweb-0\n")
    expect(pod.connections() - before, 1)
    assert "X-Pod: web-0" in curl("-I", url)
    expect(curl("--http1.0", "-d", "body", url), "web-0\n")
    with socket.create_connection(pod.endpoint, timeout=5) as client:
        stream = client.makefile("rwb")
        for request, answer in (
            (b"WHO\n", b"web-0\n"),
            (b"PING\r\n", b"+PONG\r\n"),
            (b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", b"$5\r\nweb-0\r\n"),
            (b"*1\r\n$4\r\nQUIT\r\n", b"+OK\r\n"),
        ):
            stream.write(request)
            stream.flush()
            expect(stream.read(len(answer)), answer)
        expect(stream.read(), b"")
    # A client that connects and says nothing is counted as well, at once.
    with socket.create_connection(pod.endpoint, timeout=5):
        expect(pod.connections() - before, 5)


def test_ipv6_listener(cluster: Cluster) -> None:
    if not namespace.has_ipv6():
        pytest.skip("this kernel has no IPv6")
    pod = cluster.add_pod("web-0", WEB, ip=["10.244.200.1", "fd00:244::1:1"])
    expect(curl("http://10.244.200.1:8080/", "http://[fd00:244::1:1]:8080/"), "web-0\nweb-0\n")
    expect(pod.connections(), 2)


def test_api_comes_back_with_its_data(cluster: Cluster) -> None:
    service, pods = three_pods(cluster)
    cluster.stop_api()
    with pytest.raises(OSError):
        cluster.request("GET", "/readyz")
    cluster.start_api()
    expect(cluster.endpoints(service), {pod.endpoint for pod in pods})
    # The controllers follow again.
    cluster.delete_pod(pods[0])
    cluster.wait_endpoints(service, 2)


def test_env_is_complete(cluster: Cluster) -> None:
    env = cluster.env("web", K8SLB_POLICY="random", K8SLB_NAMESPACE=None)
    expect(env["K8SLB_API"], cluster.url)
    expect((env["K8SLB_SERVICES"], env["K8SLB_POLICY"]), ("web", "random"))
    assert "K8SLB_NAMESPACE" not in env
    if cluster.token:
        with open(env["K8SLB_TOKEN_FILE"]) as file:
            expect(file.read(), cluster.token)


@pytest.mark.clusters("real")
def test_rights_of_the_tokens(cluster: RealCluster) -> None:
    slices = cluster.url + "/apis/discovery.k8s.io/v1/endpointslices"
    expect(cluster.token is not None and cluster.ca_file is not None, True)

    def get(url: str, token: str) -> Dict[str, Any]:
        return dict(json.loads(curl("--cacert", str(cluster.ca_file), "-H", f"Authorization: Bearer {token}", url)))

    expect(get(slices, str(cluster.token))["kind"], "EndpointSliceList")
    expect(get(cluster.url + "/api/v1/services", str(cluster.token))["kind"], "ServiceList")
    expect(get(cluster.url + "/api/v1/secrets", str(cluster.token))["reason"], "Forbidden")
    refused = get(slices, cluster.create_token("norights"))
    expect((refused["code"], refused["reason"]), (403, "Forbidden"))
    expect(
        refused["message"],
        'endpointslices.discovery.k8s.io is forbidden: User "system:serviceaccount:default:norights" cannot list resource '
        '"endpointslices" in API group "discovery.k8s.io" at the cluster scope',
    )
    expect(get(slices, "wrong")["message"], "Unauthorized")


@pytest.mark.clusters("real")
def test_loopback_endpoint_is_refused(cluster: RealCluster) -> None:
    body = {
        "metadata": {"name": "bad", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"]}],
        "ports": [{"name": "http", "port": 80}],
    }
    status, answer = cluster.request("POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", body)
    expect(status, 422, answer)
    assert "may not be in the loopback range" in answer["message"], answer


@pytest.mark.clusters("real")
def test_dual_stack_service(cluster: RealCluster) -> None:
    if not namespace.has_ipv6():
        pytest.skip("this kernel has no IPv6")
    service = cluster.create_service("web", ipFamilyPolicy="RequireDualStack")
    expect(len(service.vips), 2)
    cluster.add_pod("web-0", WEB, ip=["10.244.200.1", "fd00:244::1:1"])
    cluster.wait_endpoints(service, {("10.244.200.1", 8080), ("fd00:244::1:1", 8080)})


@pytest.mark.clusters("real")
def test_kubectl_shows_zone_and_names(cluster: RealCluster) -> None:
    service = cluster.create_service("web", cluster_ip="None")
    pod = cluster.add_pod("web-0", WEB, node="n2", hostname="web-0", subdomain="web")
    cluster.wait_endpoints(service, {pod.endpoint})
    (item,) = json.loads(cluster.kubectl("get", "endpointslices", "-o", "json"))["items"][-1:]
    (endpoint,) = item["endpoints"]
    expect((endpoint["zone"], endpoint["nodeName"], endpoint["hostname"]), ("z2", "n2", "web-0"), item)


@pytest.mark.clusters("real")
def test_kube_proxy_serves_the_vip(cluster: RealCluster) -> None:
    service, pods = three_pods(cluster)
    cluster.start_proxy(mode="nftables")
    url = f"http://{service.vip}/"
    probe = ["curl", "-sf", "-m", "1", url]
    wait_until("an answer at the VIP", lambda: subprocess.run(probe, stdout=subprocess.DEVNULL).returncode == 0, cluster.logs)
    names = {curl(url).strip() for _ in range(60)}
    expect(names, {pod.name for pod in pods}, cluster.logs())
    cluster.stop_proxy()
    rules = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True)
    expect((rules.returncode, "kube-proxy" in rules.stdout), (0, False), rules)


def test_whether_a_slice_is_headless_is_the_services_nature(cluster: Cluster) -> None:
    """Not its label, which it may have whatever it is."""
    label = "service.kubernetes.io/headless"
    for name, cluster_ip in (("proxied", None), ("bare", "None")):
        service = cluster.create_service(name, cluster_ip=cluster_ip)
        for labels in ({label: "x", "mine": "1"}, {label: None, "mine": "2"}):
            cluster.request("PATCH", f"/api/v1/namespaces/default/services/{name}", {"metadata": {"labels": labels}})
            cluster.add_pod(f"{name}-{labels['mine']}", {"app": name}, listen=False)
            cluster.wait_endpoints(service, int(labels["mine"] or 0))
            _status, answer = cluster.request("GET", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices")
            told = [item["metadata"]["labels"] for item in answer["items"]]
            told = [found for found in told if found.get("kubernetes.io/service-name") == name]
            expect([found.get(label) for found in told], [None if cluster_ip is None else ""], told)
            expect([found.get("mine") for found in told], [labels["mine"]], told)
