# SPDX-License-Identifier: Apache-2.0
"""On the real control plane: what the real kube-proxy programmed into nftables for a Service port, what `k8slb explain`
marks as used, and what a program under the shim reaches are one set, whatever becomes of the Pods.

The Pods go through the real endpoint controllers; kube-proxy runs as on node n1, which is in zone z1.
"""
import ipaddress
import json
import subprocess
import sys
import time
from typing import Any, Dict, Iterable, Iterator, List, Optional, Set, Tuple

import pytest

from tests.cli.common import run_cli
from tests.e2e.common import PROGRAMS, Follower, Line
from tests.failover.common import sysctl
from tests.harness import Build, ShimRunner, counts, wait_until
from tests.kube.cluster import Cluster, Endpoint, Pod, Service
from tests.kube.namespace import has_ipv6

pytestmark = pytest.mark.clusters("real")

NODE, ZONE = "n1", "z1"
# kube-proxy writes its rules once a second at most (minSyncPeriod), the controllers take batches of changes.


@pytest.fixture
def proxied(cluster: Cluster) -> Iterator[Cluster]:
    cluster.start_proxy("nftables")  # type: ignore[attr-defined]  # of the real cluster
    yield cluster


# ---- the three sides


class Rules:
    """The table kube-proxy of one family, as nft lists it."""

    def __init__(self, family: str) -> None:
        command = ["nft", "-j", "list", "table", family, "kube-proxy"]
        listed = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["nftables"]
        self._rules: Dict[str, List[Any]] = {}
        self._services: Dict[Tuple[str, str, int], str] = {}
        for entry in listed:
            if "rule" in entry:
                self._rules.setdefault(entry["rule"]["chain"], []).append(entry["rule"]["expr"])
            elif entry.get("map", {}).get("name") == "service-ips":
                for key, verdict in entry["map"].get("elem", ()):
                    ip, protocol, port = key["concat"]
                    self._services[ip, protocol, port] = verdict["goto"]["target"]

    def endpoints(self, vip: str, protocol: str, port: int) -> Set[Endpoint]:
        """Where connections to this address may be sent: everything that its chain leads to."""
        chain = self._services.get((vip, protocol, port))
        return set(self._targets(chain)) if chain else set()

    def _targets(self, chain: str) -> Iterator[Endpoint]:
        for statement in (statement for rule in self._rules[chain] for statement in rule):
            if "goto" in statement:
                yield from self._targets(statement["goto"]["target"])
            elif "vmap" in statement:
                for _number, verdict in statement["vmap"]["data"]["set"]:
                    yield from self._targets(verdict["goto"]["target"])
            elif "dnat" in statement:
                yield from _dnat_targets(statement["dnat"])


def _dnat_targets(dnat: Any) -> Iterator[Endpoint]:
    if isinstance(dnat["addr"], str):
        yield dnat["addr"], dnat["port"]
        return
    for _number, target in dnat["addr"]["map"]["data"]["set"]:
        ip, port = target["concat"]
        yield ip, port


class Agreement:
    """One Service port at one VIP, with a program under the shim that connects to it all the time."""

    def __init__(
        self, cluster: Cluster, build: Build, run_shim: ShimRunner, service: Service, vip: Optional[str] = None, follow: bool = True
    ) -> None:
        self._cluster = cluster
        self._build = build
        self._service = service
        self._port = service.ports[0]
        self._vip = vip or service.vip or ""
        self._names: Dict[Endpoint, str] = {}
        place = {"K8SLB_NODE": NODE, "K8SLB_ZONE": ZONE, "K8SLB_SYNC_TIMEOUT": "10000"}
        self._env = cluster.env(f"{service.namespace}/{service.name}", **place)
        self._follower = Follower(run_shim, service, self._env, pause_ms=2, host=self._vip) if follow else None

    def know(self, *pods: Pod) -> None:
        """These may answer."""
        for pod in pods:
            self._names.update({(ip, pod.port): pod.name for ip in pod.ips})

    def expect(self, *expected: Pod, if_none: str = "ECONNREFUSED", more: Iterable[Endpoint] = ()) -> None:
        """Soon all three have exactly these Pods' endpoints. if_none: what connect() fails with when there is none."""
        self.know(*expected)
        family = ipaddress.ip_address(self._vip).version
        endpoints = {(ip, pod.port) for pod in expected for ip in pod.ips if ipaddress.ip_address(ip).version == family}
        endpoints |= set(more)
        self._wait("kube-proxy", self._programmed, endpoints)
        self._wait("k8slb explain", self._explained, endpoints)
        if self._follower:
            self._expect_reached({self._names[one] for one in endpoints} or {if_none})

    def _wait(self, who: str, ask: Any, expected: Set[Endpoint]) -> None:
        got: Set[Endpoint] = set()

        def met() -> bool:
            got.clear()
            got.update(ask())
            return got == expected

        what = f"{who} at {self._vip} has {sorted(expected)}"
        wait_until(what, met, lambda: f"  got: {sorted(got)}", self.__str__, pause=0.05)

    def _programmed(self) -> Set[Endpoint]:
        rules = Rules("ip" if "." in self._vip else "ip6")
        return rules.endpoints(self._vip, self._port.get("protocol", "TCP").lower(), int(self._port["port"]))

    def _explained(self) -> Set[Endpoint]:
        name = f"{self._service.namespace}/{self._service.name}:{self._port['port']}"
        result = run_cli(self._build, "explain", "-o", "json", name, env=self._env)
        assert (result.returncode, result.stderr) == (0, ""), result
        (element,) = (one for one in json.loads(result.stdout) if one["vip"] == self._vip)
        return {(one["address"], one["port"]) for one in element["endpoints"] if one["used"]}

    def _expect_reached(self, names: Set[str]) -> None:
        assert self._follower
        # Each gets its turn: after one round of all of them nobody was left out, after two nobody else came in.
        rounds = 2 * len(names)

        def settled(lines: List[Line]) -> bool:
            last = [line.result for line in lines[-rounds:]]
            return len(last) == rounds and set(last) == names

        self._follower.wait(f"connections to exactly {sorted(names)}", settled)

    def __str__(self) -> str:
        return str(self._follower or "")


@pytest.fixture
def agreement(proxied: Cluster, build: Build, run_shim: ShimRunner) -> Any:
    def make(service: Service, **options: Any) -> Agreement:
        return Agreement(proxied, build, run_shim, service, **options)

    return make


def add_pods(cluster: Cluster, count: int, first: int = 0, app: str = "web", **options: Any) -> List[Pod]:
    return [cluster.add_pod(f"{app}-{number}", {"app": app}, **options) for number in range(first, first + count)]


def slice_count(cluster: Cluster, service: Service) -> int:
    path = f"/apis/discovery.k8s.io/v1/namespaces/{service.namespace}/endpointslices"
    _status, answer = cluster.request("GET", f"{path}?labelSelector=kubernetes.io/service-name={service.name}")
    return sum(1 for one in answer["items"] if one["endpoints"])


def make_node(cluster: Cluster, name: str, zone: Optional[str]) -> None:
    """A node with a zone of our choice; add_pod() gives each node that it makes a zone of its own."""
    labels = {"kubernetes.io/hostname": name, **({"topology.kubernetes.io/zone": zone} if zone else {})}
    status, answer = cluster.request("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})
    assert status in (201, 409), answer


# ---- what becomes of the Pods


def test_readiness_and_termination(proxied: Cluster, agreement: Any) -> None:
    all_of_it = agreement(proxied.create_service("web"))
    a, b, c = pods = add_pods(proxied, 3)
    all_of_it.expect(*pods)
    proxied.set_ready(a, False)
    all_of_it.expect(b, c)
    proxied.set_ready(a, True)
    all_of_it.expect(a, b, c)
    proxied.terminate(a)
    all_of_it.expect(b, c)
    proxied.set_ready(b, False)
    proxied.terminate(c)
    # None is ready: those that still serve while they terminate.
    all_of_it.expect(a, c)
    proxied.set_ready(c, False)
    all_of_it.expect(a)
    proxied.set_ready(b, True)
    all_of_it.expect(b)
    for pod in pods:
        proxied.delete_pod(pod)
    all_of_it.expect()


@pytest.mark.timeout(300)
def test_scale_up_and_down(proxied: Cluster, agreement: Any) -> None:
    service = proxied.create_service("web")
    all_of_it = agreement(service)
    pods = add_pods(proxied, 1)
    all_of_it.expect(*pods)
    # A slice takes 100 endpoints.
    pods += add_pods(proxied, counts(quick=110, full=249), first=1)
    all_of_it.expect(*pods)
    assert slice_count(proxied, service) >= 2
    for pod in pods[5:]:
        proxied.delete_pod(pod)
    all_of_it.expect(*pods[:5])
    for pod in pods[:5]:
        proxied.delete_pod(pod)
    all_of_it.expect()


def test_a_named_target_port_differs_between_pods(proxied: Cluster, agreement: Any) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"}]
    all_of_it = agreement(proxied.create_service("web", ports=ports))
    old = add_pods(proxied, 2, port=8080, port_name="web")
    new = add_pods(proxied, 2, first=2, port=9090, port_name="web")
    other = proxied.add_pod("without-that-port", {"app": "web"}, port=7070, port_name="metrics")
    all_of_it.know(other)
    all_of_it.expect(*old, *new)
    proxied.delete_pod(old[0])
    proxied.set_ready(new[0], False)
    all_of_it.expect(old[1], new[1])


def test_dual_stack(proxied: Cluster, agreement: Any) -> None:
    if not has_ipv6():
        pytest.skip("no IPv6 here")
    service = proxied.create_service("web", ipFamilyPolicy="RequireDualStack")
    four, six = (agreement(service, vip=vip) for vip in service.vips)
    both = [proxied.add_pod(f"both-{n}", {"app": "web"}, ip=[f"10.244.70.{n}", f"fd00:244::70:{n}"]) for n in (1, 2)]
    only = proxied.add_pod("only-four", {"app": "web"})
    four.expect(*both, only)
    six.expect(*both)
    proxied.set_ready(both[0], False)
    four.expect(both[1], only)
    six.expect(both[1])
    proxied.delete_pod(both[1])
    four.expect(only)
    six.expect()


def test_same_zone(proxied: Cluster, agreement: Any) -> None:
    all_of_it = agreement(proxied.create_service("web", trafficDistribution="PreferSameZone"))
    here = add_pods(proxied, 2, node="n1")
    there = [*add_pods(proxied, 1, first=2, node="n2"), *add_pods(proxied, 1, first=3, node="n3")]
    all_of_it.know(*there)
    all_of_it.expect(*here)
    proxied.set_ready(here[0], False)
    all_of_it.expect(here[1])
    proxied.terminate(here[1])
    all_of_it.expect(*there)
    proxied.set_ready(here[0], True)
    all_of_it.expect(here[0])
    # An endpoint in no zone gets no hint, and that switches the hints of all off.
    make_node(proxied, "n18", zone=None)
    nowhere = add_pods(proxied, 1, first=4, node="n18")
    all_of_it.expect(here[0], *there, *nowhere)


def test_same_node(proxied: Cluster, agreement: Any) -> None:
    make_node(proxied, "n17", zone=ZONE)
    all_of_it = agreement(proxied.create_service("web", trafficDistribution="PreferSameNode"))
    (node,) = add_pods(proxied, 1, node="n1")
    (zone,) = add_pods(proxied, 1, first=1, node="n17")
    (far,) = add_pods(proxied, 1, first=2, node="n2")
    all_of_it.know(zone, far)
    all_of_it.expect(node)
    proxied.set_ready(node, False)
    all_of_it.expect(zone)
    proxied.delete_pod(zone)
    all_of_it.expect(far)
    proxied.set_ready(node, True)
    all_of_it.expect(node)


def test_local_policy(proxied: Cluster, agreement: Any) -> None:
    all_of_it = agreement(proxied.create_service("web", internalTrafficPolicy="Local"))
    here = add_pods(proxied, 2, node="n1")
    there = add_pods(proxied, 2, first=2, node="n2")
    all_of_it.know(*there)
    all_of_it.expect(*here)
    proxied.set_ready(here[0], False)
    all_of_it.expect(here[1])
    proxied.terminate(here[1])
    # Terminating, but still serving and here; no other node's, though ready, instead.
    all_of_it.expect(here[1])
    proxied.delete_pod(here[1])
    # kube-proxy drops what has endpoints on other nodes alone: the kernel gives up.
    with sysctl("tcp_syn_retries", 1):
        all_of_it.expect(if_none="ETIMEDOUT")
    proxied.set_ready(here[0], True)
    all_of_it.expect(here[0])


def test_not_ready_addresses_are_published(proxied: Cluster, agreement: Any) -> None:
    all_of_it = agreement(proxied.create_service("web", publishNotReadyAddresses=True))
    pods = add_pods(proxied, 3, ready=False)
    all_of_it.expect(*pods)
    proxied.set_ready(pods[0], True)
    proxied.terminate(pods[1])
    all_of_it.expect(*pods)
    proxied.delete_pod(pods[1])
    all_of_it.expect(pods[0], pods[2])


# ---- without controllers


def put_slice(cluster: Cluster, name: str, endpoints: List[Any], port: Optional[int] = 8080, service: str = "web") -> None:
    """Make or replace a slice of the namespace default by hand."""
    path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    body = {
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service} if service else {}},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    }
    status, answer = cluster.request("POST", path, body)
    if status == 409:
        status, answer = cluster.request("PUT", f"{path}/{name}", body)
    assert status in (200, 201), answer


def test_slices_made_by_hand(proxied: Cluster, agreement: Any) -> None:
    service = proxied.create_service("web", selector={})
    all_of_it = agreement(service)
    a, b, c, d = pods = add_pods(proxied, 4, app="machine")
    all_of_it.know(*pods)
    all_of_it.expect()
    try:
        # No conditions mean ready; only the first address counts.
        put_slice(proxied, "web-1", [{"addresses": [a.ip, c.ip]}, {"addresses": [b.ip], "conditions": {"ready": False}}])
        all_of_it.expect(a)
        put_slice(proxied, "web-2", [{"addresses": [c.ip]}, {"addresses": [a.ip], "conditions": {"terminating": True}}])
        all_of_it.expect(a, c)
        # In its first slice it is about to go, in another one it is there: it counts once, and stays.
        put_slice(proxied, "web-1", [{"addresses": [a.ip], "conditions": {"ready": False, "serving": True, "terminating": True}}])
        put_slice(proxied, "web-2", [{"addresses": [a.ip]}, {"addresses": [c.ip], "conditions": {"ready": False}}])
        all_of_it.expect(a)
        # A port without a number and a slice without the label are of no use.
        put_slice(proxied, "web-3", [{"addresses": [b.ip]}], port=None)
        put_slice(proxied, "web-4", [{"addresses": [d.ip]}], service="")
        put_slice(proxied, "web-1", [{"addresses": [d.ip]}])
        all_of_it.expect(a, d)
    finally:
        path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
        for number in range(1, 5):
            proxied.request("DELETE", f"{path}/web-{number}")
    all_of_it.expect()


def test_affinity_and_other_protocols(proxied: Cluster, agreement: Any) -> None:
    """What the shim does not follow, or not round by round, is explained all the same."""
    sticky = proxied.create_service("sticky", selector={"app": "web"}, sessionAffinity="ClientIP")
    ports = [{"name": "dns", "port": 53, "targetPort": 8080, "protocol": "UDP"}]
    datagrams = proxied.create_service("datagrams", selector={"app": "web"}, ports=ports)
    both = [agreement(service, follow=False) for service in (sticky, datagrams)]
    pods = add_pods(proxied, 3)
    for one in both:
        one.expect(*pods)
    proxied.set_ready(pods[0], False)
    for one in both:
        one.expect(*pods[1:])


def test_a_dump_by_kubectl_and_the_api_server_say_the_same(proxied: Cluster, build: Build, agreement: Any) -> None:
    all_of_it = agreement(proxied.create_service("web", trafficDistribution="PreferSameZone"))
    pods = [*add_pods(proxied, 2, node="n1"), *add_pods(proxied, 1, first=2, node="n2")]
    all_of_it.know(*pods)
    all_of_it.expect(*pods[:2])
    dump = proxied.kubectl("get", "services,endpointslices", "-A", "-o", "json")  # type: ignore[attr-defined]
    form = ["-o", "json", "--node", NODE]
    of_dump = run_cli(build, "explain", "--from", "-", *form, stdin=dump)
    assert (of_dump.returncode, of_dump.stderr) == (0, ""), of_dump
    assert {"kubernetes", "web"} <= {one["service"] for one in json.loads(of_dump.stdout)}
    of_api = run_cli(build, "explain", *form, env=proxied.env("web"))
    assert of_api.stdout == of_dump.stdout, of_api


def test_without_the_shim_kube_proxy_still_serves(proxied: Cluster, run_shim: ShimRunner, agreement: Any) -> None:
    """The fallback is real: the same program in the same network, with and without the shim."""
    service = proxied.create_service("web")
    all_of_it = agreement(service)
    pods = add_pods(proxied, 2)
    all_of_it.expect(*pods)
    command = [sys.executable, PROGRAMS / "follow.py", service.vip, service.port, 2]
    process = run_shim.start(command, preload=False)

    def seen() -> Set[str]:
        return {line.split()[2] for line in process.result().stdout.rpartition("\n")[0].splitlines()}

    wait_until("answers of both", lambda: seen() == {pod.name for pod in pods}, process.result)
