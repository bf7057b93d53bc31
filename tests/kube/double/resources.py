# SPDX-License-Identifier: Apache-2.0
"""The API resources that the double serves, and the constant parts of their JSON."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict


def dumps(value: Any) -> bytes:
    """Compact UTF-8 JSON, as the API server writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True)
class Resource:
    """One resource type. `bookmark` holds the fields that Go's encoder never omits."""

    plural: str
    kind: str
    group: str = ""
    namespaced: bool = True
    bookmark: Dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def api_version(self) -> str:
        return self.group + "/v1" if self.group else "v1"

    @property
    def prefix(self) -> str:
        return "/apis/" + self.group + "/v1" if self.group else "/api/v1"

    @property
    def qualified(self) -> str:
        """The name that error messages use, for instance endpointslices.discovery.k8s.io."""
        return self.plural + "." + self.group if self.group else self.plural

    def typed(self, body: bytes) -> bytes:
        """A stored object (no kind, no apiVersion) as it stands alone or in a watch event."""
        head = '{"kind":"%s","apiVersion":"%s",' % (self.kind, self.api_version)
        return head.encode() + body[1:]

    def list_head(self, metadata: Dict[str, Any]) -> bytes:
        head = dumps({"kind": self.kind + "List", "apiVersion": self.api_version, "metadata": metadata})
        return head[:-1] + b',"items":['

    def bookmark_object(self, rv: int, annotations: Dict[str, str]) -> bytes:
        metadata: Dict[str, Any] = {"resourceVersion": str(rv)}
        if annotations:
            metadata["annotations"] = annotations
        return self.typed(dumps({"metadata": metadata, **self.bookmark}))


_STATUS: Dict[str, Any] = {"spec": {}, "status": {}}
ALL = (
    Resource("services", "Service", bookmark={"spec": {}, "status": {"loadBalancer": {}}}),
    Resource("endpoints", "Endpoints"),
    Resource("pods", "Pod", bookmark={"spec": {"containers": None}, "status": {}}),
    Resource("namespaces", "Namespace", namespaced=False, bookmark=_STATUS),
    Resource("nodes", "Node", namespaced=False, bookmark=_STATUS),
    Resource(
        "endpointslices",
        "EndpointSlice",
        group="discovery.k8s.io",
        bookmark={"addressType": "", "endpoints": None, "ports": None},
    ),
)
BY_PLURAL: Dict[str, Resource] = {r.plural: r for r in ALL}
