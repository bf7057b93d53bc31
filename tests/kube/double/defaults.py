# SPDX-License-Identifier: Apache-2.0
"""What the API server adds to, normalises in and refuses of an object that is written."""
from __future__ import annotations

import ipaddress
import random
from typing import Any, Callable, Dict, Optional

from .errors import invalid

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # apimachinery's: no vowels, no look-alikes


def suffix() -> str:
    """The five characters of generateName."""
    return "".join(random.choice(ALPHABET) for _ in range(5))


class Allocator:
    """Hands out cluster IPs; `base` is the first 16 bits, as "10.96"."""

    def __init__(self, base: str = "10.96", base6: str = "fd00:96::") -> None:
        self.base, self.base6 = base, base6
        self._next = 1 << 8  # x.y.1.0 and on: the low ones are left to tests that fix an address

    def cluster_ip(self, family: str = "IPv4") -> str:
        self._next += 1
        if family == "IPv6":
            return "%s%x" % (self.base6, self._next)
        return "%s.%d.%d" % (self.base, self._next >> 8, self._next & 255)


def address_error(address: Any, family: str) -> Optional[str]:
    """Why a real API server refuses an endpoint address, None when it does not."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "must be a valid %s address" % family
    if family in ("IPv4", "IPv6") and "IPv%d" % ip.version != family:
        return "must be an %s address" % family
    if ip.is_unspecified:
        return "may not be unspecified (%s)" % address
    if ip.is_loopback:
        return "may not be in the loopback range (127.0.0.0/8, ::1/128)"
    if ip.is_link_local:
        return "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
    if ip in ipaddress.ip_network("224.0.0.0/24" if ip.version == 4 else "ff02::/16"):
        return "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
    return None


def prepare(plural: str, obj: Dict[str, Any], allocate: Callable[[str], str]) -> None:
    """Fills in defaults in place."""
    if plural == "endpointslices":
        obj["endpoints"] = obj.get("endpoints") or None  # Go writes an empty list as null
        obj["ports"] = obj.get("ports") or None
        for port in obj["ports"] or ():
            port.setdefault("name", "")
            port.setdefault("protocol", "TCP")
    elif plural == "services":
        _service(obj.setdefault("spec", {}), allocate)
        obj.setdefault("status", {"loadBalancer": {}})
    elif plural == "pods":
        _pod(obj)
    elif plural == "endpoints":
        for subset in obj.get("subsets") or ():
            for port in subset.get("ports") or ():
                port.setdefault("protocol", "TCP")
    elif plural == "namespaces":
        obj.setdefault("spec", {"finalizers": ["kubernetes"]})
        obj.setdefault("status", {"phase": "Active"})


def _service(spec: Dict[str, Any], allocate: Callable[[str], str]) -> None:
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    kind = spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if kind == "ExternalName":
        return
    if spec["sessionAffinity"] == "ClientIP":
        spec.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}})
    ips = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    families = spec.get("ipFamilies") or ["IPv6" if ":" in ip else "IPv4" for ip in ips if ip != "None"] or ["IPv4"]
    if len(families) == 1 and spec.get("ipFamilyPolicy", "SingleStack") != "SingleStack":
        families = [families[0], "IPv4" if families[0] == "IPv6" else "IPv6"]
    if ips != ["None"]:
        ips = ips + [allocate(family) for family in families[len(ips) :]]
    spec.update({"clusterIP": ips[0], "clusterIPs": ips, "ipFamilies": families})
    spec.setdefault("ipFamilyPolicy", "SingleStack" if len(families) == 1 else "RequireDualStack")
    spec.setdefault("internalTrafficPolicy", "Cluster")


def _pod(obj: Dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("terminationGracePeriodSeconds", 30)
    for container in spec.get("containers") or ():
        for port in container.get("ports") or ():
            port.setdefault("protocol", "TCP")
    obj.setdefault("status", {"phase": "Pending"})


def validate(plural: str, obj: Dict[str, Any]) -> None:
    """The checks of endpoint addresses that decide which test data can exist at all."""
    name = (obj.get("metadata") or {}).get("name", "")
    if plural == "endpointslices":
        family = obj.get("addressType", "")
        if family not in ("IPv4", "IPv6", "FQDN"):
            raise invalid("EndpointSlice", "discovery.k8s.io", name, "addressType: Required value")
        for index, endpoint in enumerate(obj.get("endpoints") or ()):
            for number, address in enumerate(endpoint.get("addresses") or ()):
                why = None if family == "FQDN" else address_error(address, family)
                if why:
                    where = 'endpoints[%d].addresses[%d]: Invalid value: "%s": ' % (index, number, address)
                    raise invalid("EndpointSlice", "discovery.k8s.io", name, where + why)
    elif plural == "endpoints":
        for index, subset in enumerate(obj.get("subsets") or ()):
            for number, address in enumerate(subset.get("addresses") or ()):
                why = address_error(address.get("ip"), "")
                if why:
                    where = 'subsets[%d].addresses[%d].ip: Invalid value: "%s": ' % (index, number, address.get("ip"))
                    raise invalid("Endpoints", "", name, where + why)
