# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes cluster that the tests talk to: one interface, two implementations.

RealCluster (real_cluster.py) is etcd, kube-apiserver and the real endpoint controllers; DoubleCluster (double_cluster.py)
is a Python double that shows faults on command. A test that asks for the fixture `cluster` runs on both.
Pods of both are real listeners on addresses of the test's own network namespace.
"""
import abc
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple, Union

from tests.harness import PATIENCE_S, wait_until
from tests.kube.pods import PodListener

Endpoint = Tuple[str, int]

DEFAULT_SERVICE_PORTS: Tuple[Mapping[str, Any], ...] = (
    {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"},
)


@dataclass(frozen=True)
class Service:
    """A Service as the API made it."""

    name: str
    namespace: str
    vip: Optional[str]  # the primary clusterIP; None for a headless Service
    vips: Tuple[str, ...]  # every clusterIP, the primary one first; () for a headless Service
    ports: Tuple[Mapping[str, Any], ...]  # spec.ports

    @property
    def port(self) -> int:
        """Number of the first Service port."""
        return int(self.ports[0]["port"])


@dataclass(frozen=True)
class Pod:
    """A Pod, and the listeners behind its addresses."""

    name: str
    namespace: str
    ip: str  # the primary address
    port: int
    ips: Tuple[str, ...]  # every address, the primary one first
    labels: Mapping[str, str]
    node: str
    listeners: Tuple[PodListener, ...]  # one for each address; () for a Pod made with listen=False

    @property
    def endpoint(self) -> Endpoint:
        return (self.ip, self.port)

    def connections(self) -> int:
        """Connections accepted so far on all addresses of this Pod."""
        return sum(listener.connections() for listener in self.listeners)


class Cluster(abc.ABC):
    """One Kubernetes cluster. Every method that changes something returns once the API server has stored it; what
    controllers make of it is waited for by wait_endpoints()."""

    is_real: bool
    url: str  # base URL of the API server, without a slash at its end
    ca_file: Optional[str]  # PEM file that verifies url; None for http
    token: Optional[str]  # ServiceAccount default/k8slb: may list and watch services, endpointslices, endpoints; no more
    token_file: Optional[str]  # the same token in a file; None where no token is asked for

    def env(self, services: str, **extra: Optional[str]) -> Dict[str, str]:
        """Every K8SLB_* variable that the shim needs for this cluster and these services (K8SLB_SERVICES syntax).
        extra: further variables by their full name; a value of None leaves that variable out."""
        settings: Dict[str, Optional[str]] = {
            "K8SLB_API": self.url,
            "K8SLB_TOKEN_FILE": self.token_file,
            "K8SLB_CA_FILE": self.ca_file,
            "K8SLB_NAMESPACE": "default",
            "K8SLB_SERVICES": services,
        }
        settings.update(extra)
        return {name: str(value) for name, value in settings.items() if value is not None}

    @abc.abstractmethod
    def create_namespace(self, name: str) -> None:
        """Make a namespace; one that exists already is left as it is."""

    @abc.abstractmethod
    def create_service(
        self,
        name: str,
        namespace: str = "default",
        ports: Optional[Sequence[Mapping[str, Any]]] = None,
        selector: Optional[Mapping[str, str]] = None,
        cluster_ip: Optional[str] = None,
        **spec: Any,
    ) -> Service:
        """Make a Service. ports: spec.ports, by default DEFAULT_SERVICE_PORTS. selector: by default {"app": name}, {} for
        none. cluster_ip: None lets the API choose, "None" makes it headless. spec: further fields of spec."""

    @abc.abstractmethod
    def delete_service(self, service: Service) -> None:
        """Delete a Service; its EndpointSlices are gone on return."""

    @abc.abstractmethod
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
        """Make a running Pod whose addresses are added to the namespace and, unless listen is False, answered by a
        PodListener with the Pod's name. ip: None picks the next free 10.244.0.N; several addresses make it dual-stack,
        the primary one first. spec: further fields of spec."""

    @abc.abstractmethod
    def set_ready(self, pod: Pod, ready: bool) -> None:
        """Change the condition Ready of the Pod; its listener goes on answering."""

    @abc.abstractmethod
    def terminate(self, pod: Pod) -> None:
        """Delete the Pod gracefully: deletionTimestamp is set, it stays there and serves until delete_pod()."""

    @abc.abstractmethod
    def delete_pod(self, pod: Pod, stop_listener: bool = False) -> None:
        """Delete the Pod at once. Its listener stays up, so that a late connection is seen and counted, unless
        stop_listener: then connections to it are refused."""

    @abc.abstractmethod
    def endpoints(self, service: Service) -> Set[Endpoint]:
        """The (ip, port) of all ready endpoints of all ports in the Service's EndpointSlices, as the API tells them now."""

    def wait_endpoints(self, service: Service, expected: Union[int, Set[Endpoint]], timeout: float = PATIENCE_S) -> Set[Endpoint]:
        """Wait until endpoints() is the expected set, or has the expected number. Raises AssertionError after timeout
        seconds, with both sides shown. Returns the endpoints."""
        found: Set[Endpoint] = set()

        def met() -> bool:
            found.clear()
            found.update(self.endpoints(service))
            return (len(found) if isinstance(expected, int) else found) == expected

        wanted = f"{expected} endpoints" if isinstance(expected, int) else sorted(expected)
        what = f"{wanted} of {service.namespace}/{service.name}"
        wait_until(what, met, lambda: f"API tells: {sorted(found)}", self.logs, pause=0.02, timeout=timeout)
        return found

    @abc.abstractmethod
    def request(
        self, method: str, path: str, body: Optional[Mapping[str, Any]] = None, content_type: Optional[str] = None
    ) -> Tuple[int, Dict[str, Any]]:
        """One API request with all rights: path with its query, body as JSON. Returns the status and the decoded answer
        ({} where there is none); an HTTP error is returned, not raised. content_type: by default application/json, for
        PATCH application/merge-patch+json."""

    @abc.abstractmethod
    def stop_api(self) -> None:
        """Stop the API server: its port refuses connections, open ones are broken."""

    @abc.abstractmethod
    def start_api(self) -> None:
        """Start it again at the same address with the same data; returns once it is ready. No-op when it runs."""

    @abc.abstractmethod
    def clean(self) -> None:
        """Back to an empty cluster: delete every Service and Pod made through this object, with listeners and addresses,
        and start the API server if it was stopped."""

    @abc.abstractmethod
    def logs(self) -> str:
        """The end of the log of each process, for failure messages."""

    @abc.abstractmethod
    def close(self) -> None:
        """Stop everything. Safe to call twice."""


def ready_endpoints(slices: List[Mapping[str, Any]]) -> Set[Endpoint]:
    """The (ip, port) of every ready endpoint in a list of EndpointSlices (a missing condition means ready)."""
    return {
        (endpoint["addresses"][0], port["port"])
        for item in slices
        for endpoint in item.get("endpoints") or ()
        for port in item.get("ports") or ()
        if (endpoint.get("conditions") or {}).get("ready") in (None, True)
    }
