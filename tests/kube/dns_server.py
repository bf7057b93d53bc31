# SPDX-License-Identifier: Apache-2.0
"""A DNS server that answers as the Kubernetes DNS specification says (kubernetes/dns, docs/specification.md), and the world's
names beside that. UDP with truncation at 512 bytes, and TCP, on port 53 of an address of the test's namespace."""
import ipaddress
import socketserver
import struct
import threading
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple, Type

from tests.kube.cluster import Cluster

Records = Dict[str, Set[str]]  # name in lower case, without a dot at its end; no addresses: the name exists
A, AAAA = 1, 28
NXDOMAIN = 3


def cluster_records(cluster: Cluster, domain: str = "cluster.local") -> Records:
    """What the cluster's DNS says, from the API's Services and EndpointSlices as they are now."""
    zone = f"svc.{domain}"
    records: Records = {zone: set()}
    headless: Set[Tuple[str, str]] = set()
    for service in _items(cluster, "/api/v1/services"):
        meta, spec = service["metadata"], service["spec"]
        records.setdefault(f"{meta['namespace']}.{zone}", set())
        if spec.get("type") == "ExternalName":
            continue
        if spec.get("clusterIP") == "None":
            headless.add((meta["namespace"], meta["name"]))
        else:
            records[f"{meta['name']}.{meta['namespace']}.{zone}"] = set(spec.get("clusterIPs") or [spec["clusterIP"]])
    for item in _items(cluster, "/apis/discovery.k8s.io/v1/endpointslices"):
        key = (item["metadata"]["namespace"], item["metadata"].get("labels", {}).get("kubernetes.io/service-name", ""))
        if key in headless and item["addressType"] != "FQDN":
            _add_endpoints(records, f"{key[1]}.{key[0]}.{zone}", item)
    return records


def _add_endpoints(records: Records, name: str, item: Mapping[str, Any]) -> None:
    for endpoint in item.get("endpoints") or ():
        if (endpoint.get("conditions") or {}).get("ready") in (None, True):
            address = endpoint["addresses"][0]
            records.setdefault(name, set()).add(address)
            records.setdefault(f"{endpoint.get('hostname') or address.replace('.', '-')}.{name}", set()).add(address)


def _items(cluster: Cluster, path: str) -> List[Any]:
    status, answer = cluster.request("GET", path)
    assert status == 200, answer
    items: List[Any] = answer["items"]
    return items


class DnsServer:
    """Answers from records, and by wildcards ("*.example": any name below it). asked: the names of all questions."""

    def __init__(self, records: Records, address: str = "127.0.0.1") -> None:
        self.records = records
        self.address = address
        self.asked: List[str] = []
        self._servers = [self._serve(socketserver.ThreadingUDPServer, _Datagram), self._serve(_TCPServer, _Stream)]

    def _serve(self, kind: Type[Any], handler: Type[Any]) -> Any:
        server = kind((self.address, 53), handler)
        server.daemon_threads = True
        server.dns = self
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def __enter__(self) -> "DnsServer":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def _find(self, name: str) -> Optional[Set[str]]:
        if name in self.records:
            return self.records[name]
        labels = name.split(".")
        wildcards = ("*." + ".".join(labels[i:]) for i in range(1, len(labels)))
        return next((self.records[one] for one in wildcards if one in self.records), None)

    def answer(self, query: bytes, limit: int) -> bytes:
        number, flags = struct.unpack("!HH", query[:4])
        name, end = read_name(query, 12)
        kind = struct.unpack("!H", query[end : end + 2])[0]
        self.asked.append(name)
        found = self._find(name)
        family = {A: 4, AAAA: 6}.get(kind)
        addresses = [ipaddress.ip_address(text) for text in sorted(found or ())]
        answers = [
            struct.pack("!HHHIH", 0xC00C, kind, 1, 5, len(address.packed)) + address.packed
            for address in addresses
            if address.version == family
        ]
        code = NXDOMAIN if found is None else 0
        question = query[12 : end + 4]
        fitting = [*answers]
        while sum(map(len, fitting)) + len(question) + 12 > limit:
            fitting.pop()
        cut = 0x0200 if len(fitting) < len(answers) else 0
        header = struct.pack("!HHHHHH", number, 0x8580 | flags & 0x0100 | code | cut, 1, len(fitting), 0, 0)
        return header + question + b"".join(fitting)


def read_name(query: bytes, at: int) -> Tuple[str, int]:
    """The name that a question has there, and where its type is."""
    labels = []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1").lower())
        at += 1 + query[at]
    return ".".join(labels), at + 1


class _TCPServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True


class _Datagram(socketserver.BaseRequestHandler):
    server: Any

    def handle(self) -> None:
        query, socket = self.request
        socket.sendto(self.server.dns.answer(query, 512), self.client_address)


class _Stream(socketserver.StreamRequestHandler):
    server: Any

    def handle(self) -> None:
        while True:
            size = self.rfile.read(2)
            if len(size) < 2:
                return
            answer = self.server.dns.answer(self.rfile.read(struct.unpack("!H", size)[0]), 65535)
            self.wfile.write(struct.pack("!H", len(answer)) + answer)
