# SPDX-License-Identifier: Apache-2.0
"""The API server's own watch of EndpointSlices, as a test sees it: which endpoints were ready from when on."""
import http.client
import json
import ssl
import threading
import time
from typing import List, Set, Tuple
from urllib.parse import urlsplit

from tests.harness import wait_until
from tests.kube.cluster import Cluster, Service, ready_endpoints


class SliceWatcher:
    """Notes when each event of a Service's slices arrived. Knows one slice per Service, which is what up to 100 pods have."""

    def __init__(self, cluster: Cluster, service: Service) -> None:
        self._events: List[Tuple[float, Set[str]]] = []  # time.monotonic(), the addresses that are ready since then
        address = urlsplit(cluster.url)
        context = ssl.create_default_context(cafile=cluster.ca_file)
        self._connection = http.client.HTTPSConnection(address.hostname or "", address.port, timeout=60, context=context)
        path = f"/apis/discovery.k8s.io/v1/namespaces/{service.namespace}/endpointslices?watch=true"
        path += f"&labelSelector=kubernetes.io%2Fservice-name%3D{service.name}"
        self._connection.request("GET", path, headers={"Authorization": f"Bearer {cluster.token}"})
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.status
        self._thread = threading.Thread(target=self._read, name="watcher", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for line in self._response:
                arrived = time.monotonic()
                event = json.loads(line)
                if event["type"] in ("ADDED", "MODIFIED"):
                    self._events.append((arrived, {ip for ip, _port in ready_endpoints([event["object"]])}))
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # closed

    def when(self, ip: str, ready: bool, since: float) -> float:
        """When the first event after `since` arrived that has (or has not) this address ready."""

        def first() -> float:
            found = (arrived for arrived, addresses in list(self._events) if arrived >= since and (ip in addresses) == ready)
            return next(found, 0.0)

        what = f"event with {ip} {'ready' if ready else 'not ready'}"
        return wait_until(what, first, lambda: self._events[-3:], pause=0.005)

    def close(self) -> None:
        if self._connection.sock:
            self._connection.sock.shutdown(2)
        self._thread.join(5)
        self._connection.close()
