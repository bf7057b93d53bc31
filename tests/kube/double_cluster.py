# SPDX-License-Identifier: Apache-2.0
"""The cluster whose API server is the double: what a real one will not show on demand, it does."""
import json
import os
import shutil
import tempfile
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple, Union
from urllib.parse import quote

from tests.kube import namespace as netns
from tests.kube.cluster import DEFAULT_SERVICE_PORTS, Cluster, Endpoint, Pod, Service, ready_endpoints
from tests.kube.double import Double
from tests.kube.pods import PodServer, release

ACCOUNT = "system:serviceaccount:default:k8slb"
TOKEN = "token-of-k8slb-in-one-test-run"


class DoubleCluster(Cluster):
    """server is the Double: faults, counts, settings. Its own requests (request(), endpoints()) go to it in process,
    so that a fault meets nobody but the program under test.

    tls: https and a token, as on a real cluster."""

    is_real = False

    def __init__(self, tls: bool = True, port: int = 0, **settings: Any) -> None:
        self._directory = tempfile.mkdtemp(prefix="k8slb-double-")
        self._pods: List[Pod] = []
        self._services: List[Service] = []
        self._settings = settings
        self.server = Double(
            port=port,
            host=netns.NODE_IP,
            tls=tls,
            state_dir=os.path.join(self._directory, "tls"),
            **self._settings,
        )
        self._pod_server = PodServer()
        self.token = self.token_file = self.ca_file = None
        if self.server.tls:
            self.server.auth.add_token(TOKEN, ACCOUNT)
            self.server.auth.restrict(ACCOUNT, ("list", "watch"), ("services", "endpointslices", "endpoints"))
            self.ca_file = self.server.tls.ca_file
            self.token = TOKEN
            self.token_file = os.path.join(self._directory, "token")
            self.write_token(TOKEN)
        try:
            self.server.start()
        except BaseException:
            self.close()
            raise
        self.url = self.server.url
        self._create_node("n1")
        self._create_kubernetes_service()

    def write_token(self, token: str) -> None:
        """Replace the content of token_file atomically, as the kubelet does it."""
        assert self.token_file
        temporary = self.token_file + ".new"
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(token)
        os.replace(temporary, self.token_file)

    def request(
        self, method: str, path: str, body: Optional[Mapping[str, Any]] = None, content_type: Optional[str] = None
    ) -> Tuple[int, Dict[str, Any]]:
        if not self.server.listening:
            raise ConnectionRefusedError("the API server is stopped")
        return self.server.request(method, path, dict(body) if body is not None else None)

    def _do(self, method: str, path: str, body: Optional[Mapping[str, Any]] = None, but: Sequence[int] = ()) -> Dict[str, Any]:
        status, answer = self.request(method, path, body)
        if status >= 300 and status not in but:
            raise AssertionError(f"{method} {path}: {status} {answer.get('message')}\n{json.dumps(body)}")
        return answer

    def create_namespace(self, name: str) -> None:
        self._do("POST", "/api/v1/namespaces", {"metadata": {"name": name}}, but=[409])

    def _create_node(self, name: str) -> None:
        labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": "z" + name.lstrip("n")}
        self._do("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": labels}}, but=[409])

    def _create_kubernetes_service(self) -> None:
        """default/kubernetes, which the API server of every cluster makes for itself."""
        labels = {"component": "apiserver", "provider": "kubernetes"}
        port = {"name": "https", "port": 443, "targetPort": self.server.port, "protocol": "TCP"}
        spec = {"clusterIP": self.server.allocator.base + ".0.1", "ports": [port]}
        meta = {"name": "kubernetes", "namespace": "default"}
        self.server.put("services", {"metadata": {**meta, "labels": labels}, "spec": spec})
        slice_labels = {"kubernetes.io/service-name": "kubernetes"}
        self.server.put(
            "endpointslices",
            {
                "metadata": {**meta, "labels": slice_labels},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [self.server.host], "conditions": {"ready": True}}],
                "ports": [{"name": "https", "port": self.server.port, "protocol": "TCP"}],
            },
        )

    def create_service(
        self,
        name: str,
        namespace: str = "default",
        ports: Optional[Sequence[Mapping[str, Any]]] = None,
        selector: Optional[Mapping[str, str]] = None,
        cluster_ip: Optional[str] = None,
        **spec: Any,
    ) -> Service:
        spec["ports"] = list(DEFAULT_SERVICE_PORTS if ports is None else ports)
        spec["selector"] = {"app": name} if selector is None else dict(selector)
        if cluster_ip is not None:
            spec["clusterIP"] = cluster_ip
        made = self._do("POST", f"/api/v1/namespaces/{namespace}/services", {"metadata": {"name": name}, "spec": spec})
        vips = tuple(ip for ip in made["spec"].get("clusterIPs", ()) if ip != "None")
        service = Service(name, namespace, vips[0] if vips else None, vips, tuple(made["spec"].get("ports", ())))
        self._services.append(service)
        return service

    def delete_service(self, service: Service) -> None:
        self._do("DELETE", f"/api/v1/namespaces/{service.namespace}/services/{service.name}", but=[404])
        self._do("DELETE", _slices_path(service))
        if service in self._services:
            self._services.remove(service)

    def add_pod(
        self,
        name: str,
        labels: Mapping[str, str],
        namespace: str = "default",
        ip: Union[None, str, Sequence[str]] = None,
        port: int = 8080,
        port_name: str = "http",
        ready: bool = True,
        node: str = "n1",
        hostname: Optional[str] = None,
        subdomain: Optional[str] = None,
        listen: bool = True,
        **spec: Any,
    ) -> Pod:
        self._create_node(node)
        ips, listeners = self._pod_server.place(name, ip, port, listen)
        pod = Pod(name, namespace, ips[0], port, ips, dict(labels), node, listeners)
        self._pods.append(pod)
        spec["nodeName"] = node
        spec.setdefault("containers", [{"name": "main", "ports": [{"name": port_name, "containerPort": port}]}])
        spec.update({key: value for key, value in (("hostname", hostname), ("subdomain", subdomain)) if value})
        self._do(
            "POST", f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": name, "labels": pod.labels}, "spec": spec}
        )
        status = {"phase": "Running", "podIP": ips[0], "podIPs": [{"ip": address} for address in ips]}
        self._patch_status(pod, {**status, "conditions": [_condition(ready)]})
        return pod

    def _patch_status(self, pod: Pod, status: Mapping[str, Any]) -> None:
        self._do("PATCH", f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/status", {"status": status})

    def set_ready(self, pod: Pod, ready: bool) -> None:
        self._patch_status(pod, {"conditions": [_condition(ready)]})

    def terminate(self, pod: Pod) -> None:
        self._do("DELETE", f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}?gracePeriodSeconds=600")

    def delete_pod(self, pod: Pod, stop_listener: bool = False) -> None:
        self._do("DELETE", f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}?gracePeriodSeconds=0", but=[404])
        if stop_listener:
            for listener in pod.listeners:
                listener.stop()

    def endpoints(self, service: Service) -> Set[Endpoint]:
        if not self.server.listening:
            raise ConnectionRefusedError("the API server is stopped")
        label = ("kubernetes.io/service-name", service.name)
        metas = [(s, s["metadata"]) for s in self.server.list("endpointslices")]
        return ready_endpoints(
            [s for s, meta in metas if meta["namespace"] == service.namespace and label in (meta.get("labels") or {}).items()]
        )

    def stop_api(self) -> None:
        self.server.refuse()

    def start_api(self) -> None:
        self.server.accept_again()

    def clean(self) -> None:
        """Also takes back every fault, denial, setting and certificate mode, and empties the request log."""
        self.start_api()
        self.server.reset(**self._settings)
        if self.token:
            self.server.auth.add_token(self.token, ACCOUNT)  # a revoked one is valid again
            self.write_token(self.token)
        for service in list(self._services):
            self.delete_service(service)
        while self._pods:
            pod = self._pods.pop()
            self.delete_pod(pod)
            release(pod.ips, pod.listeners)
        self.server.log.clear()

    def logs(self) -> str:
        return "requests of the double:\n" + self.server.describe() + "\n"

    def close(self) -> None:
        self.server.stop()
        self._pod_server.close()
        for pod in self._pods:
            release(pod.ips, ())
        self._pods.clear()
        shutil.rmtree(self._directory, ignore_errors=True)


def _condition(ready: bool) -> Dict[str, str]:
    return {"type": "Ready", "status": "True" if ready else "False"}


def _slices_path(service: Service) -> str:
    selector = quote("kubernetes.io/service-name=" + service.name, safe="")
    return f"/apis/discovery.k8s.io/v1/namespaces/{service.namespace}/endpointslices?labelSelector={selector}"
