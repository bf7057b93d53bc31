# SPDX-License-Identifier: Apache-2.0
"""The real control plane: etcd, kube-apiserver, the endpoint controllers and, on demand, kube-proxy.

All of it is one program built by scripts/build-go. It needs the network of scripts/in-netns: a real API server
refuses endpoints on loopback addresses, and kube-proxy writes firewall rules.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple, Union

from tests.harness import wait_until
from tests.kube import namespace as netns
from tests.kube.api_client import ApiClient
from tests.kube.cluster import DEFAULT_SERVICE_PORTS, Cluster, Endpoint, Pod, Service, ready_endpoints
from tests.kube.double.tls import Authority
from tests.kube.pods import PodServer, release
from tests.kube.process import Process, go_program

SERVICE_NETWORKS = "10.96.0.0/16,fd00:96::/108"
API_VIP = "10.96.0.1"
ADMIN_TOKEN = "admin-of-one-test-run"
START_TIMEOUT = 60.0
# What makes EndpointSlices from Pods, removes those of deleted Services, and serves ServiceAccounts.
CONTROLLERS = (
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    # Compares the expressions of admission policies with the types that they are about.
    "validatingadmissionpolicy-status-controller",
)


class RealCluster(Cluster):
    """kubeconfig: a file of that kind, with all rights. clients: signs certificates that the API server believes, whose CN is the
    user's name."""

    is_real = True

    def __init__(self) -> None:
        self._directory = tempfile.mkdtemp(prefix="k8slb-cluster-")
        self._program = go_program("controlplane")
        self.clients = Authority(Path(self._directory) / "clients", "127.0.0.1")
        self._pod_server = PodServer()
        self._pods: List[Pod] = []
        self._services: List[Service] = []
        self._zones: Set[str] = set()
        port = _free_port(6443)
        self.url = f"https://{netns.NODE_IP}:{port}"
        self.ca_file = self._path("ca.crt")
        self.kubeconfig = self._path("kubeconfig")
        self._api = self._process("apiserver", *self._api_flags(port))
        self._controllers = self._process(
            "controller-manager",
            "--kubeconfig=" + self.kubeconfig,
            "--controllers=" + ",".join(CONTROLLERS),
            "--leader-elect=false",
            "--secure-port=0",
            "--service-account-private-key-file=" + self._path("service-account.key"),
        )
        self._proxy: Optional[Process] = None
        self._client: Optional[ApiClient] = None
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _write(self, name: str, content: str) -> str:
        with open(os.open(self._path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(content)
        return self._path(name)

    def _process(self, command: str, *flags: str) -> Process:
        return Process(command, [self._program, command, *flags], self._path(command + ".log"))

    def _api_flags(self, port: int) -> List[str]:
        etcd = _free_port(2379)
        key = self._path("service-account.key")
        return [
            "--etcd-data=" + self._path("etcd"),
            f"--etcd-port={etcd}",
            f"--etcd-peer-port={_free_port(etcd + 1)}",
            "--make-key=" + key,
            "--",
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--cert-dir=" + self._path("certificates"),
            "--bind-address=0.0.0.0",
            f"--secure-port={port}",
            "--advertise-address=" + netns.NODE_IP,
            "--service-cluster-ip-range=" + SERVICE_NETWORKS,
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-key-file=" + key,
            "--service-account-signing-key-file=" + key,
            "--authorization-mode=RBAC",
            "--client-ca-file=" + self.clients.ca_file,
            "--token-auth-file=" + self._write("tokens.csv", f"{ADMIN_TOKEN},admin,admin,system:masters\n"),
            # For deploy/inject-initcontainer, which is for servers that have no other.
            "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
            # Without a kubelet no Pod needs a token.
            "--disable-admission-plugins=ServiceAccount",
        ]

    def _start(self) -> None:
        self._api.start()
        chain = self._path("certificates/apiserver.crt")
        wait_until("API server's certificate", lambda: _pem_count(chain) >= 2, self.logs, timeout=START_TIMEOUT)
        # The server's own certificate comes first, then the authority that signed it.
        with open(chain) as file:
            self._write("ca.crt", file.read().split("-----END CERTIFICATE-----\n")[1] + "-----END CERTIFICATE-----\n")
        self._write("kubeconfig", json.dumps(self._admin_config()))
        self._client = ApiClient(self.url, self.ca_file, ADMIN_TOKEN)
        self._wait_ready()
        self._controllers.start()
        self._create_node("n1")
        self.token = self.create_token(
            "k8slb",
            [
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
                {"apiGroups": [""], "resources": ["services", "endpoints"], "verbs": ["list", "watch"]},
            ],
        )
        self.token_file = self._write("token", self.token)

    def _admin_config(self) -> Dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "real", "cluster": {"server": self.url, "certificate-authority": self.ca_file}}],
            "users": [{"name": "admin", "user": {"token": ADMIN_TOKEN}}],
            "contexts": [{"name": "real", "context": {"cluster": "real", "user": "admin"}}],
            "current-context": "real",
        }

    def _ready(self) -> bool:
        assert self._client
        if not self._api.running():
            raise AssertionError("the API server ended\n" + self.logs())
        try:
            return self._client.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def _wait_ready(self) -> None:
        wait_until("/readyz of the API server", self._ready, self.logs, timeout=START_TIMEOUT)

    def request(
        self, method: str, path: str, body: Optional[Mapping[str, Any]] = None, content_type: Optional[str] = None
    ) -> Tuple[int, Dict[str, Any]]:
        assert self._client
        return self._client.request(method, path, body, content_type)

    def warnings(self) -> List[str]:
        """What the API server warned of in the last answer of request()."""
        assert self._client
        return self._client.warnings()

    def _do(self, method: str, path: str, body: Optional[Mapping[str, Any]] = None, but: Sequence[int] = ()) -> Dict[str, Any]:
        """A request that must succeed, or fail with one of the statuses in but."""
        status, answer = self.request(method, path, body)
        if status >= 300 and status not in but:
            raise AssertionError(f"{method} {path}: {status} {answer.get('message')}\n{json.dumps(body)}")
        return answer

    def create_token(self, account: str, rules: Sequence[Mapping[str, Any]] = (), seconds: int = 86400) -> str:
        """A token of the ServiceAccount default/account, made with a ClusterRole of these rules if it is new."""
        core, rbac = "/api/v1/namespaces/default/serviceaccounts", "/apis/rbac.authorization.k8s.io/v1"
        self._do("POST", core, {"metadata": {"name": account}}, but=[409])
        if rules:
            self._do("POST", rbac + "/clusterroles", {"metadata": {"name": account}, "rules": rules}, but=[409])
            binding = {
                "metadata": {"name": account},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": account},
                "subjects": [{"kind": "ServiceAccount", "namespace": "default", "name": account}],
            }
            self._do("POST", rbac + "/clusterrolebindings", binding, but=[409])
        answer = self._do("POST", f"{core}/{account}/token", {"spec": {"expirationSeconds": seconds}})
        return str(answer["status"]["token"])

    @property
    def kubectl_command(self) -> List[str]:
        """kubectl of this version, without a kubeconfig."""
        return [self._program, "kubectl"]

    def kubectl(self, *arguments: str, input: Optional[str] = None) -> str:
        """The output of kubectl with all rights; raises with its words when it fails. input: its standard input."""
        result = self.run_kubectl(*arguments, input=input)
        if result.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def run_kubectl(self, *arguments: str, input: Optional[str] = None) -> "subprocess.CompletedProcess[str]":
        """kubectl with all rights, to its end."""
        command = [*self.kubectl_command, "--kubeconfig=" + self.kubeconfig, *arguments]
        return subprocess.run(command, capture_output=True, text=True, input=input)

    def create_namespace(self, name: str) -> None:
        self._do("POST", "/api/v1/namespaces", {"metadata": {"name": name}}, but=[409])

    def _create_node(self, name: str) -> None:
        if name in self._zones:
            return
        zone = "z" + name.lstrip("n")
        labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone}
        self._do("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": labels}}, but=[409])
        status = {
            "addresses": [{"type": "InternalIP", "address": netns.NODE_IP}],
            "allocatable": {"cpu": "4"},
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        self._do("PATCH", f"/api/v1/nodes/{name}/status", {"status": status})
        self._zones.add(name)

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
        if service in self._services:
            self._services.remove(service)
        # The garbage collector would do it, in its own time; a Service of the same name may follow at once.
        slices = _slices_path(service)
        endpoints = f"/api/v1/namespaces/{service.namespace}/endpoints/{service.name}"

        def gone() -> bool:
            self._do("DELETE", slices)
            self._do("DELETE", endpoints, but=[404])
            return not self._do("GET", slices)["items"] and self.request("GET", endpoints)[0] == 404

        wait_until(f"removal of the endpoints of {service.name}", gone, self.logs)

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
        container = {"name": "main", "image": "pod.invalid/main", "ports": [{"name": port_name, "containerPort": port}]}
        spec.setdefault("containers", [container])
        spec.update({key: value for key, value in (("hostname", hostname), ("subdomain", subdomain)) if value})
        body = {"metadata": {"name": name, "labels": pod.labels}, "spec": spec}
        self._do("POST", f"/api/v1/namespaces/{namespace}/pods", body)
        # The part of the kubelet.
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
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}?gracePeriodSeconds=0"
        self._do("DELETE", path, but=[404])
        if stop_listener:
            for listener in pod.listeners:
                listener.stop()

    def endpoints(self, service: Service) -> Set[Endpoint]:
        return ready_endpoints(self._do("GET", _slices_path(service))["items"])

    def stop_api(self) -> None:
        # The controllers are started anew with it: left alone, their backoff keeps them blind for up to a minute.
        self._controllers.stop()
        self._api.stop()

    def start_api(self) -> None:
        self._api.start()
        self._wait_ready()
        self._controllers.start()

    def start_proxy(self, mode: str = "nftables") -> None:
        """Start kube-proxy in this mode (nftables, iptables), as on node n1; returns once it serves the VIP of the API
        server and knows its zone."""
        health = _free_port(10256)
        self._proxy = self._process(
            "proxy",
            "--kubeconfig=" + self.kubeconfig,
            "--proxy-mode=" + mode,
            "--hostname-override=n1",
            "--cluster-cidr=" + netns.POD_NETWORK,
            f"--healthz-bind-address=127.0.0.1:{health}",
            f"--metrics-bind-address=127.0.0.1:{_free_port(health + 1)}",
            "--conntrack-max-per-core=0",
            "--vmodule=proxier=4",  # which logs the zone
        )
        began = os.path.getsize(self._proxy.log_path) if os.path.exists(self._proxy.log_path) else 0
        self._proxy.start()
        wait_until("kube-proxy", lambda: _connects(API_VIP, 443), self.logs, timeout=START_TIMEOUT)
        wait_until("kube-proxy's zone", lambda: self._proxy_knows_zone(began), self.logs, timeout=START_TIMEOUT, pause=0.1)

    def _proxy_knows_zone(self, began: int) -> bool:
        """By its log from this byte on."""
        # An event of the node that comes before kube-proxy has registered its handler is lost to it (seen with 1.37.2):
        # it would be in no zone until the label changes. So the label changes until it was heard.
        assert self._proxy
        with open(self._proxy.log_path, errors="replace") as log:
            log.seek(began)
            heard = [line for line in log if "Updated proxier node topology labels" in line]
        if heard and '"topology.kubernetes.io/zone":"z1"' in heard[-1]:
            return True
        for zone in (None, "z1"):
            self._do("PATCH", "/api/v1/nodes/n1", {"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}})
        return False

    @contextlib.contextmanager
    def kubectl_proxy(self) -> Iterator[str]:
        """HOST:PORT of a running `kubectl proxy`: the API over plain HTTP on loopback."""
        port = _free_port(8001)
        proxy = self._process("kubectl", "proxy", "--kubeconfig=" + self.kubeconfig, f"--port={port}")
        proxy.start()
        try:
            wait_until("kubectl proxy", lambda: _connects("127.0.0.1", port), proxy.log_end, timeout=START_TIMEOUT)
            yield f"127.0.0.1:{port}"
        finally:
            proxy.stop()

    def stop_proxy(self) -> None:
        """Stop kube-proxy and remove its rules. No-op when it does not run."""
        if self._proxy:
            self._proxy.stop(signal.SIGTERM)
            self._proxy = None
            subprocess.run([self._program, "proxy", "--cleanup"], capture_output=True, check=True)

    def clean(self) -> None:
        self.stop_proxy()
        self.start_api()
        for service in list(self._services):
            self.delete_service(service)
        while self._pods:
            pod = self._pods.pop()
            self.delete_pod(pod)
            release(pod.ips, pod.listeners)

    def logs(self) -> str:
        return "".join(process.log_end() for process in (self._api, self._controllers, self._proxy) if process)

    def close(self) -> None:
        for process in (self._proxy, self._controllers, self._api):
            if process:
                process.stop()
        self._pod_server.close()
        for pod in self._pods:
            release(pod.ips, ())
        self._pods.clear()
        shutil.rmtree(self._directory, ignore_errors=True)


def _condition(ready: bool) -> Dict[str, str]:
    return {"type": "Ready", "status": "True" if ready else "False"}


def _slices_path(service: Service) -> str:
    selector = "kubernetes.io%2Fservice-name%3D" + service.name
    return f"/apis/discovery.k8s.io/v1/namespaces/{service.namespace}/endpointslices?labelSelector={selector}"


def _pem_count(path: str) -> int:
    try:
        with open(path) as file:
            return len(re.findall("-----END CERTIFICATE-----\n", file.read()))
    except FileNotFoundError:
        return 0


def _connects(ip: str, port: int) -> bool:
    try:
        socket.create_connection((ip, port), timeout=0.5).close()
        return True
    except OSError:
        return False


def _free_port(first: int) -> int:
    """The first free TCP port from here on: below the ephemeral range, so that it is still free for a restart."""
    for port in range(first, first + 1000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free TCP port from {first} on")
