# SPDX-License-Identifier: Apache-2.0
"""Lookups with the library and without, beside a DNS server, for each way a resolver may be set up."""
import socket
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Set

from tests.harness import ShimRunner, counts, expect, wait_until
from tests.kube.cluster import Cluster, Pod
from tests.kube.coredns import CoreDns
from tests.kube.dns_server import DnsServer, Records, cluster_records
from tests.kube.real_cluster import RealCluster

# The double has a DNS server that answers by the specification, the real control plane has CoreDNS.
CLUSTERS = ("double", "real")[: counts(quick=1, full=2)]
INET = socket.AF_INET
KUBELET = "search default.svc.cluster.local svc.cluster.local cluster.local\n"
SETUPS: Dict[str, Optional[str]] = {
    "kubelet": KUBELET + "nameserver 127.0.0.1\noptions ndots:5\n",
    "ndots-1": KUBELET + "nameserver 127.0.0.1\noptions ndots:1\n",
    "policy-Default": "search corp.example\nnameserver 127.0.0.2\n",
    "cloud-first": KUBELET.replace("search", "search cloud.example") + "nameserver 127.0.0.1\noptions ndots:5\n",
    "no-file": None,  # libc asks 127.0.0.1 then
}
WORLD: Records = {
    "github.com": {"192.0.2.1"},
    "web.dev": {"192.0.2.2"},
    "kafka-0.kafka": {"192.0.2.3"},
    "web": {"192.0.2.4"},
    "web.dev.svc": {"192.0.2.5"},
    "api.corp.example": {"192.0.2.6"},
    "web.corp.example": {"192.0.2.7"},
    "web.cloud.example": {"192.0.2.8"},
    "web.default.cloud.example": {"192.0.2.9"},
    "www.example.com": {"192.0.2.10"},
    "other.cluster.local": {"192.0.2.11"},
    "1-2-3-4.default.pod.cluster.local": {"1.2.3.4"},
    "github.dev": {"192.0.2.12"},
}
NAMES = [
    # Services and absent ones, in all forms
    "web", "web.", "WEB", "web.default", "web.default.", "web.default.svc", "web.default.svc.", "web.default.svc.cluster.local",
    "web.default.svc.cluster.local.", "Web.Default.SVC.Cluster.LOCAL", "web.dev", "web.dev.", "web.dev.svc", "web.dev.svc.",
    "web.dev.svc.cluster.local", "web.dev.svc.cluster.local.", "web.dev.svc.cluster", "absent", "absent.dev", "absent.dev.svc",
    "absent.dev.svc.cluster.local", "web.absent", "web.absent.svc.cluster.local", "api", "api.dev",
    # the world's
    "github.com", "github.com.", "github.dev", "www.example.com", "www.example.com.", "other", "other.cluster.local",
    "api.corp.example", "web.cloud.example", "com", "dev", "cluster.local", "svc.cluster.local", "dev.svc.cluster.local", "svc",
    # pods of headless Services
    "kafka", "kafka.default", "kafka-0.kafka", "kafka-1.kafka", "kafka-9.kafka", "kafka-0.kafka.default", "kafka-0.kafka.default.svc",
    "kafka-0.kafka.default.svc.cluster.local", "kafka-9.kafka.default.svc.cluster.local", "kafka-0.kafka.",
    "kafka-0.kafka.svc.cluster.local", "db.shop", "db-0.db.shop", "db-0.db.shop.svc", "db-0.db", "db-0.web", "db-0.web.dev",
    # no pod is ready; no address at all; what search lists make of it
    "unready", "unready-0.unready", "early", "early-0.early", "empty", "alias", "alias.default.svc.cluster.local",
    # left to another proxy, so not in the table
    "ours", "ours-0.ours", "ours-0.ours.default.svc", "theirs", "theirs.default", "ours-0.ours.default.svc.cluster.local",
    # other forms
    "_http._tcp.web.default.svc.cluster.local", "_http._tcp.web", "10-244-5-1.db.shop", "web.svc", "web.web", "dev.web", "web.dev.dev",
    "1-2-3-4.default.pod", "1-2-3-4.default.pod.cluster.local", "web..default", "web.default.svc.cluster.local.default",
]
SERVICES = {
    "all": "*/*",
    "own": "*",
    "named": "web dev/web kafka db kafka/kafka-0 com/github shop/db unready early empty alias dev ours theirs",
}


class World:
    """A cluster, its DNS server, and lookups of one libc's program beside it. programs: the folder of "lookups"."""

    def __init__(self, cluster: Cluster, run_shim: ShimRunner, programs: Path, directory: Path) -> None:
        self.cluster, self._run, self._programs, self._directory = cluster, run_shim, programs, directory
        self.dns: Optional[DnsServer] = None
        self._servers: List[DnsServer] = []
        self.nsswitch = "hosts: files dns\n"

    def _program(self, setup: str, *arguments: object) -> List[str]:
        # An /etc of its own: a mount cannot take a file away.
        etc = self._directory / "etc"
        etc.mkdir(exist_ok=True)
        for name in ("hosts", "passwd"):
            (etc / name).write_text(Path("/etc", name).read_text())
        (etc / "nsswitch.conf").write_text(self.nsswitch)
        text = SETUPS[setup]
        (etc / "resolv.conf").write_text(text or "")
        if text is None:
            (etc / "resolv.conf").unlink()
        return ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"', str(etc), str(self._programs / "lookups"), *map(str, arguments)]

    def look_up(
        self, setup: str, names: List[str], services: Optional[str], family: int = INET, flags: int = 0, **env: str
    ) -> Dict[str, List[str]]:
        """The addresses of each name, in the order of the answer; none where it fails. services: None runs without the
        library."""
        command = self._program(setup, family, flags, *names)
        result = self._run(command, env=self.cluster.env(services, **env) if services else env, preload=bool(services), timeout=120)
        expect((result.returncode, result.stderr), (0, ""), result)
        found = [line.split(" ") for line in result.stdout.splitlines()]
        expect([line[0] for line in found], names, result)
        return {line[0]: _addresses(line) for line in found}

    def look_up_while_it_changes(self, name: str, texts: List[str], services: str) -> List[List[str]]:
        """The addresses of the name in one process, with each text in turn as resolv.conf."""
        process = self._run.start(self._program("kubelet", INET, 0, "-", name), env=self.cluster.env(services))
        for number, text in enumerate(texts):
            (self._directory / "etc" / "resolv.conf").write_text(text)
            (self._directory / "etc" / f"go-{number}").write_text("")
            process.wait_output(f"round {number}\n")
        process.stop()
        lines = [line for line in process.result().stdout.splitlines() if not line.startswith("round")]
        return [_addresses(line.split(" ")) for line in lines]

    def close(self) -> None:
        for server in self._servers:
            server.close()
        self._servers = []

    def serve(self) -> Records:
        """Starts DNS with what the cluster has now, and that of the world beside it, in place of what was started before."""
        self.close()
        records = cluster_records(self.cluster)
        self._servers.append(DnsServer(WORLD, "127.0.0.2"))
        if isinstance(self.cluster, RealCluster):
            self.dns = CoreDns(self.cluster, self._directory, "127.0.0.2")
        else:
            self.dns = DnsServer({**WORLD, **records})
        self._servers.append(self.dns)
        return records


def _addresses(words: List[str]) -> List[str]:
    return [] if words[-1] == "error" else words[1:]


def headless(cluster: Cluster, name: str, count: int, namespace: str = "default", ready: bool = True, **spec: object) -> List[Pod]:
    """A headless Service and its pods NAME-0 ..., which have names of their own."""
    cluster.create_service(name, namespace, cluster_ip="None", **spec)
    return [
        cluster.add_pod(f"{name}-{i}", {"app": name}, namespace, hostname=f"{name}-{i}", subdomain=name, ready=ready, listen=False)
        for i in range(count)
    ]


def leave_to_another_proxy(cluster: Cluster, name: str, namespace: str = "default") -> None:
    body = {"metadata": {"labels": {"service.kubernetes.io/service-proxy-name": "another"}}}
    status, answer = cluster.request("PATCH", f"/api/v1/namespaces/{namespace}/services/{name}", body)
    expect(status, 200, answer)


def populate(cluster: Cluster) -> None:
    for namespace in ("dev", "shop", "com", "kafka", "ours"):
        cluster.create_namespace(namespace)
    plain = ("web", "default"), ("web", "dev"), ("github", "com"), ("kafka-0", "kafka"), ("dev", "default"), ("theirs", "default"), ("ours-0", "ours")
    for name, namespace in plain:
        cluster.create_service(name, namespace)
        cluster.add_pod(f"{name}-{namespace}", {"app": name}, namespace, listen=False)
    headless(cluster, "kafka", 3)
    headless(cluster, "db", 2, "shop")
    headless(cluster, "unready", 1, ready=False)
    headless(cluster, "early", 1, ready=False, publishNotReadyAddresses=True)
    headless(cluster, "empty", 0)
    cluster.create_service("alias", type="ExternalName", externalName="www.example.com", ports=[], selector={})
    headless(cluster, "ours", 1)
    leave_to_another_proxy(cluster, "ours")
    leave_to_another_proxy(cluster, "theirs")
    wait_until("slices of 15 pods", lambda: readiness(cluster) == [False] + 14 * [True], cluster.logs)


def readiness(cluster: Cluster) -> List[bool]:
    """Of all endpoints of pods."""
    status, answer = cluster.request("GET", "/apis/discovery.k8s.io/v1/endpointslices")
    expect(status, 200, answer)
    slices = [item for item in answer["items"] if item["metadata"]["name"] != "kubernetes"]
    return sorted(endpoint["conditions"]["ready"] for item in slices for endpoint in item.get("endpoints") or ())


def better(name: str, records: Mapping[str, Set[str]]) -> Set[str]:
    """What may be answered where DNS has nothing: what the cluster's DNS would say to the whole name."""
    return {address for address in records.get(name.lower().rstrip("."), set()) if ":" not in address}


def wrong_answers(world: World, setup: str, services: str) -> Dict[str, object]:
    """Of NAMES, those that the program with the library gets other addresses for, which are not better."""
    records = world.serve()
    plain = world.look_up(setup, NAMES, None)
    ours = world.look_up(setup, NAMES, SERVICES[services])
    return {
        name: (sorted(plain[name]), sorted(ours[name]))
        for name in NAMES
        if set(ours[name]) != set(plain[name]) and (plain[name] or set(ours[name]) - better(name, records))
    }
