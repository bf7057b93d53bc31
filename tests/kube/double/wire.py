# SPDX-License-Identifier: Apache-2.0
"""A raw HTTP client, and small objects, for the tests of the double: what counts is what is on the wire."""
from __future__ import annotations

import json
import socket
import ssl
from http.client import HTTPConnection
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import quote

from .server import Double

SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
SERVICES = "/api/v1/services"
NAME_LABEL = "kubernetes.io/service-name"


def slice_object(name: str, service: str = "web", ips: Tuple[str, ...] = (), namespace: str = "default") -> Dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {NAME_LABEL: service}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ip], "conditions": {"ready": True}} for ip in ips],
        "ports": [{"name": "http", "port": 8080}] if ips else [],
    }


def pod_object(name: str, ip: str, port: int = 8080, ready: bool = True, **meta: Any) -> Dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}, **meta},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": port}]}]},
        "status": {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


SERVICE = {
    "metadata": {"name": "web", "namespace": "default", "labels": {"team": "a"}},
    "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
}


class Client:
    """One connection, read byte by byte as the test wants it."""

    def __init__(self, api: Double, ca_file: Optional[str] = None, timeout: float = 5.0) -> None:
        self.sock: socket.socket = socket.create_connection((api.host, api.port), timeout=timeout)
        if ca_file:
            self.sock = ssl.create_default_context(cafile=ca_file).wrap_socket(self.sock, server_hostname=api.host)
        self.buffer = b""

    def send(self, target: str, method: str = "GET", **headers: str) -> "Client":
        fields = "".join("%s: %s\r\n" % (k.replace("_", "-"), v) for k, v in headers.items())
        self.sock.sendall(("%s %s HTTP/1.1\r\nHost: double\r\n%s\r\n" % (method, target, fields)).encode())
        return self

    def until(self, end: bytes) -> bytes:
        while end not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(self.buffer)
            self.buffer += data
        found, self.buffer = self.buffer.split(end, 1)
        return found

    def head(self) -> Tuple[int, Dict[str, str]]:
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        return int(lines[0].split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}

    def chunk(self) -> bytes:
        """The next chunk; b"" at the end of the body."""
        size = int(self.until(b"\r\n"), 16)
        while len(self.buffer) < size + 2:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(self.buffer)
            self.buffer += data
        found, self.buffer = self.buffer[:size], self.buffer[size + 2 :]
        return found

    def events(self, count: int) -> List[Dict[str, Any]]:
        """The next events, one from each line."""
        text = b""
        while text.count(b"\n") < count:
            text += self.chunk()
        return [json.loads(line) for line in text.splitlines()]

    def close(self) -> None:
        self.sock.close()


def get(api: Double, target: str, token: Optional[str] = None) -> Tuple[int, Any]:
    status, _headers, body = fetch(api, target, token)
    return status, json.loads(body)


def fetch(api: Double, target: str, token: Optional[str] = None, **headers: str) -> Tuple[int, Dict[str, str], bytes]:
    connection = HTTPConnection(api.host, api.port, timeout=10)
    if token:
        headers["Authorization"] = "Bearer " + token
    connection.request("GET", target, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, dict(response.getheaders()), body


def watch(api: Double, resource: str = SLICES, rv: Optional[int] = None, **query: Any) -> Client:
    at = api.store.rv if rv is None else rv
    query = {"watch": "true", "resourceVersion": at, "timeoutSeconds": 60, **query}
    client = Client(api).send(resource + "?" + "&".join("%s=%s" % (k, quote(str(v), safe="")) for k, v in query.items()))
    status, headers = client.head()
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    return client
