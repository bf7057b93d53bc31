# SPDX-License-Identifier: Apache-2.0
"""Pods and Services to EndpointSlices and Endpoints, as kube-controller-manager does it.

Runs inside of the write that caused it: the slices are there when the write returns.
Sources: kubernetes/endpointslice reconciler.go and utils.go; endpoints_controller.go.
"""
from __future__ import annotations

import contextlib
import json
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from . import defaults
from .resources import dumps
from .selectors import matches
from .store import Event, Key, Store

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
CHANGED_AT = "endpoints.kubernetes.io/last-change-trigger-time"
ENDPOINTS_MANAGED_BY = "endpoints.kubernetes.io/managed-by"
ZONE = "topology.kubernetes.io/zone"
MAX_ENDPOINTS = 100

Object = Dict[str, Any]


class Group(NamedTuple):
    """Endpoints that may share slices: one family, one set of port numbers."""

    address_type: str
    ports: bytes  # JSON


class Controller:
    def __init__(self, store: Store) -> None:
        self.store = store
        self._pause = 0
        self._dirty: Set[Key] = set()
        self._pods: Dict[Key, Object] = {}
        self._services: Dict[Key, Object] = {}
        self._zones: Dict[str, str] = {}
        store.hooks.append(self._on_event)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, nothing is reconciled; what piled up is done at the end."""
        with self.store.lock:
            self._pause += 1
        try:
            yield
        finally:
            with self.store.lock:
                self._pause -= 1
                self._reconcile_dirty()

    # -- what changed ----------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        plural = event.resource.plural
        if plural not in ("pods", "services", "nodes"):
            return
        entry = event.entry or event.prev
        assert entry is not None
        if entry.raw:
            return
        obj = entry.object()
        key = (entry.namespace, entry.name)
        if plural == "nodes":
            self._zones[entry.name] = entry.labels.get(ZONE, "")
            self._dirty.update(self._services)
        elif plural == "services":
            self._dirty.add(key)
            _set(self._services, key, obj if event.entry else None)
        else:
            self._mark_services_of(self._pods.get(key))
            _set(self._pods, key, obj if event.entry else None)
            self._mark_services_of(obj)
        self._reconcile_dirty()

    def _mark_services_of(self, pod: Optional[Object]) -> None:
        if pod is None:
            return
        meta = pod["metadata"]
        for key, service in self._services.items():
            selector = (service.get("spec") or {}).get("selector")
            if key[0] == meta["namespace"] and selector and matches(selector, meta.get("labels") or {}):
                self._dirty.add(key)

    def _reconcile_dirty(self) -> None:
        while self._dirty and not self._pause:
            key = self._dirty.pop()
            service = self._services.get(key)
            if service is None:
                self._remove(key)
            elif service["spec"].get("selector") and service["spec"].get("type") != "ExternalName":
                pods = [
                    pod for pod_key, pod in sorted(self._pods.items())
                    if pod_key[0] == key[0] and matches(service["spec"]["selector"], pod["metadata"].get("labels") or {})
                ]
                self._write_slices(key, service, pods)
                self._write_endpoints(key, service, pods)

    def _own_slices(self, key: Key) -> List[Object]:
        return [
            entry.object() for entry in self.store.snapshot("endpointslices")[2]
            if not entry.raw and entry.namespace == key[0] and entry.labels.get(SERVICE_NAME) == key[1]
            and entry.labels.get(MANAGED_BY) == CONTROLLER
        ]

    def _remove(self, key: Key) -> None:
        for old in self._own_slices(key):
            self.store.delete("endpointslices", old["metadata"]["name"], key[0])
        self.store.delete("endpoints", key[1], key[0])

    # -- EndpointSlices --------------------------------------------------------------------------

    def _write_slices(self, key: Key, service: Object, pods: List[Object]) -> None:
        existing = self._own_slices(key)
        for family in service["spec"].get("ipFamilies") or ["IPv4"]:
            wanted: Dict[Group, Dict[bytes, Object]] = {}
            for pod in pods:
                endpoint = self._endpoint(service, pod, family)
                if endpoint is not None:
                    group = Group(family, dumps(_ports(service, pod)))
                    wanted.setdefault(group, {})[dumps(endpoint["targetRef"])] = endpoint
            self._write_family(key, service, family, wanted, [s for s in existing if s["addressType"] == family])

    def _write_family(
        self, key: Key, service: Object, family: str, wanted: Dict[Group, Dict[bytes, Object]], existing: List[Object]
    ) -> None:
        """Creates, then updates, then deletes, in the order of the real reconciler."""
        creates: List[Tuple[Group, List[Object]]] = []
        updates: List[Tuple[str, Group, List[Object]]] = []
        unused = list(existing)
        for group, endpoints in wanted.items():
            rest = dict(endpoints)
            kept: List[Tuple[Object, List[Object]]] = []
            for old in [s for s in existing if Group(family, dumps(s["ports"] or [])) == group]:
                here = [dumps(e.get("targetRef")) for e in old["endpoints"] or ()]
                remaining = [rest.pop(ref) for ref in here if ref in rest]
                if remaining:
                    unused.remove(old)
                    kept.append((old, remaining))
            fill = list(rest.values())
            for old, remaining in kept:
                room = MAX_ENDPOINTS - len(remaining)
                remaining += fill[:room]
                fill = fill[room:]
                updates.append((old["metadata"]["name"], group, remaining))
            creates += [(group, fill[i : i + MAX_ENDPOINTS]) for i in range(0, len(fill), MAX_ENDPOINTS)]
        if not wanted:
            creates.append((Group(family, dumps([])), []))  # the placeholder
        while unused and creates:  # a slice that would go is used again under its name
            updates.append((unused.pop(0)["metadata"]["name"], *creates.pop()))
        for group, endpoints_ in creates:
            self._put_slice(key, service, key[1] + "-" + defaults.suffix(), group, endpoints_)
        for name, group, endpoints_ in updates:
            self._put_slice(key, service, name, group, endpoints_)
        for old in unused:
            self.store.delete("endpointslices", old["metadata"]["name"], key[0])

    def _put_slice(self, key: Key, service: Object, name: str, group: Group, endpoints: List[Object]) -> None:
        meta = service["metadata"]
        labels = dict(meta.get("labels") or {})
        labels.pop(HEADLESS, None)  # reserved: only what the Service is counts (setEndpointSliceLabels())
        if service["spec"].get("clusterIP") in (None, "", "None"):
            labels[HEADLESS] = ""
        labels.update({SERVICE_NAME: key[1], MANAGED_BY: CONTROLLER})
        old = self.store.get("endpointslices", name, key[0])
        metadata: Object = {"name": name, "namespace": key[0], "generateName": key[1] + "-", "generation": 1,
                            "labels": labels, "ownerReferences": [_owner(service)]}
        obj: Object = {"metadata": metadata, "addressType": group.address_type, "endpoints": endpoints,
                       "ports": json.loads(group.ports)}
        defaults.prepare("endpointslices", obj, str)
        defaults.validate("endpointslices", obj)
        if old is not None:
            was = old.object()
            if all(was.get(f) == obj[f] for f in ("endpoints", "ports")) and was["metadata"].get("labels") == labels:
                return
            metadata["generation"] = was["metadata"].get("generation", 0) + 1
        metadata["annotations"] = {CHANGED_AT: _now()}
        self.store.put("endpointslices", obj)

    def _endpoint(self, service: Object, pod: Object, family: str) -> Optional[Object]:
        ip = next((ip for ip in _ips(pod) if (":" in ip) == (family == "IPv6")), None)
        if ip is None or _finished(pod):
            return None
        meta, spec = pod["metadata"], pod.get("spec") or {}
        serving = _pod_ready(pod)
        terminating = "deletionTimestamp" in meta
        ready = bool(service["spec"].get("publishNotReadyAddresses")) or (serving and not terminating)
        endpoint: Object = {
            "addresses": [ip],
            "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        }
        if _publishes_hostname(service, pod):
            endpoint["hostname"] = spec["hostname"]
        endpoint["targetRef"] = _reference(pod)
        if spec.get("nodeName"):
            endpoint["nodeName"] = spec["nodeName"]
            zone = self._zones.get(spec["nodeName"])
            if zone:
                endpoint["zone"] = zone
        return endpoint

    # -- Endpoints -------------------------------------------------------------------------------

    def _write_endpoints(self, key: Key, service: Object, pods: List[Object]) -> None:
        """The deprecated object: the primary family, ready and not ready apart."""
        family = (service["spec"].get("ipFamilies") or ["IPv4"])[0]
        publish = bool(service["spec"].get("publishNotReadyAddresses"))
        subsets: Dict[bytes, Object] = {}
        for pod in pods:
            ip = next((ip for ip in _ips(pod) if (":" in ip) == (family == "IPv6")), None)
            terminating = "deletionTimestamp" in pod["metadata"]
            if ip is None or _finished(pod) or (terminating and not publish):
                continue
            address: Object = {"ip": ip}
            if _publishes_hostname(service, pod):
                address["hostname"] = pod["spec"]["hostname"]
            if pod["spec"].get("nodeName"):
                address["nodeName"] = pod["spec"]["nodeName"]
            address["targetRef"] = _reference(pod)
            ports = dumps([{k: v for k, v in p.items() if k != "name" or v} for p in _ports(service, pod)])
            which = "addresses" if publish or _pod_ready(pod) else "notReadyAddresses"
            subsets.setdefault(ports, {}).setdefault(which, []).append(address)
        labels = {**(service["metadata"].get("labels") or {}), ENDPOINTS_MANAGED_BY: "endpoint-controller"}
        obj: Object = {"metadata": {"name": key[1], "namespace": key[0], "labels": labels}}
        if subsets:
            obj["subsets"] = [
                {**addresses, "ports": json.loads(ports)} for ports, addresses in sorted(subsets.items())
            ]
        defaults.validate("endpoints", obj)
        self.store.put("endpoints", obj)


def _set(cache: Dict[Key, Object], key: Key, obj: Optional[Object]) -> None:
    if obj is None:
        cache.pop(key, None)
    else:
        cache[key] = obj


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _ips(pod: Object) -> List[str]:
    status = pod.get("status") or {}
    listed = [item["ip"] for item in status.get("podIPs") or ()]
    return listed or ([status["podIP"]] if status.get("podIP") else [])


def _finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _pod_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _publishes_hostname(service: Object, pod: Object) -> bool:
    spec = pod.get("spec") or {}
    return bool(spec.get("hostname")) and spec.get("subdomain") == service["metadata"]["name"]


def _reference(pod: Object) -> Object:
    meta = pod["metadata"]
    return {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta.get("uid", "")}


def _owner(service: Object) -> Object:
    meta = service["metadata"]
    return {"apiVersion": "v1", "kind": "Service", "name": meta["name"], "uid": meta.get("uid", ""),
            "controller": True, "blockOwnerDeletion": True}


def _ports(service: Object, pod: Object) -> List[Object]:
    """The Service's ports with the numbers of this pod; a named port that it lacks is left out."""
    found = []
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol", "TCP")
        target = port.get("targetPort") or port["port"]
        number = target if isinstance(target, int) else _named_port(pod, target, protocol)
        if number is None:
            continue
        item: Object = {"name": port.get("name", ""), "protocol": protocol, "port": number}
        if port.get("appProtocol"):
            item["appProtocol"] = port["appProtocol"]
        found.append(item)
    return found


def _named_port(pod: Object, name: str, protocol: str) -> Any:
    for container in (pod.get("spec") or {}).get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") == name and port.get("protocol", "TCP") == protocol:
                return port["containerPort"]
    return None
