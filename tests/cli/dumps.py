# SPDX-License-Identifier: Apache-2.0
"""Random Services and EndpointSlices as an API server could tell them, of every kind that a rule of kube-proxy looks at.

Where kube-proxy's own answer would depend on the order of a map (one address in two slices with different content), the
later slice loses the address: there is no right answer to compare with.
"""
import random
from typing import Any, Dict, List, Optional, Set, Tuple

from tests.cli.common import Object, document

NODES = ("n1", "n2", "n3")
ZONES = ("z1", "z2")
PROTOCOLS = ("TCP", "TCP", "TCP", "UDP", "SCTP")
# (node, zone): where kube-proxy runs.
PLACES: Tuple[Tuple[str, str], ...] = (("", ""), ("n1", "z1"), ("n2", "z2"), ("n3", ""), ("", "z1"), ("other", "other"))


class Dumps:
    """A source of dumps; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._address = 0

    def _chance(self, one_in: int) -> bool:
        return self._random.randrange(one_in) == 0

    def dump(self) -> Object:
        items: List[Object] = []
        for number in range(self._random.randint(1, 6)):
            made = self._service(f"svc-{number}", self._random.choice(("a", "b")))
            items.append(made)
            items += self._slices(made)
        self._random.shuffle(items)
        _make_defined(items)
        return document(*items)

    # ---- Services

    def _service(self, name: str, namespace: str) -> Object:
        families = self._random.choice((["IPv4"], ["IPv4"], ["IPv6"], ["IPv4", "IPv6"], ["IPv6", "IPv4"]))
        spec: Object = {"type": "ClusterIP", "ports": self._service_ports(), "sessionAffinity": "None"}
        kind = self._random.randrange(12)
        if kind == 0:
            spec.update(type="ExternalName", externalName="example.org")
            if self._chance(2):
                spec.update(clusterIP="")
        elif kind == 1:
            spec.update(clusterIP="None", clusterIPs=["None"], ipFamilies=families)
        else:
            ips = [self._vip(family) for family in families]
            spec.update(clusterIP=ips[0], clusterIPs=ips, ipFamilies=families)
            if self._chance(12):  # before dual stack
                del spec["ipFamilies"]
        spec["internalTrafficPolicy"] = self._random.choice(("Cluster", "Cluster", "Local", None))
        if spec["internalTrafficPolicy"] is None:
            del spec["internalTrafficPolicy"]
        if self._chance(4):
            spec.update(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": self._random.randint(1, 86400)}})
        if self._chance(5):
            spec["trafficDistribution"] = self._random.choice(("PreferClose", "PreferSameZone", "PreferSameNode"))
        if self._chance(8):
            spec["publishNotReadyAddresses"] = True
        if kind in (2, 3):
            self._make_external(spec)
        labels = {"service.kubernetes.io/service-proxy-name": self._random.choice(("other", ""))} if self._chance(12) else {}
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace, "labels": labels, "resourceVersion": "1", "uid": name},
            "spec": spec,
            "status": {"loadBalancer": self._ingress() if kind == 3 else {}},
        }

    def _make_external(self, spec: Object) -> None:
        """Reachable from outside: what that changes is not for connections to the clusterIP."""
        spec["type"] = "NodePort"
        for port in spec["ports"]:
            port["nodePort"] = self._random.randint(30000, 32767)
        spec["externalTrafficPolicy"] = self._random.choice(("Cluster", "Local"))
        if self._chance(2):
            spec["externalIPs"] = ["192.0.2.7"]

    def _ingress(self) -> Object:
        return {"ingress": [{"ip": "192.0.2.9", "ipMode": "VIP"}]}

    def _service_ports(self) -> List[Object]:
        count = self._random.choice((1, 1, 2, 3))
        if count == 1 and self._chance(2):
            ports: List[Object] = [{"port": 80, "protocol": self._random.choice(PROTOCOLS)}]
            if self._chance(2):
                ports[0]["name"] = ""
            return ports
        names = self._random.sample(("http", "https", "dns", "dns-tcp", "a"), count)
        return [
            {"name": name, "port": 53 if "dns" in name else 1000 + number, "protocol": "UDP" if name == "dns" else self._random.choice(PROTOCOLS)}
            for number, name in enumerate(names)
        ]

    def _vip(self, family: str) -> str:
        self._address += 1
        high, low = divmod(self._address, 250)
        return f"10.96.{high % 250}.{low + 1}" if family == "IPv4" else f"fd00:96::{self._address:x}"

    # ---- EndpointSlices

    def _slices(self, made: Object) -> List[Object]:
        families = made["spec"].get("ipFamilies") or ["IPv4"]
        hints = self._random.choice(("none", "none", "zones", "nodes", "both", "mixed"))
        return [
            self._slice(made, number, self._random.choice([*families, *families, *families, "IPv4", "IPv6", "FQDN"]), hints)
            for number in range(self._random.choice((0, 1, 1, 2, 3, 4)))
        ]

    def _slice(self, made: Object, number: int, address_type: str, hints: str) -> Object:
        name = made["metadata"]["name"]
        labels = {"kubernetes.io/service-name": name}
        odd = self._random.randrange(24)
        if odd == 0:
            labels = {}
        elif odd == 1:
            labels = {"kubernetes.io/service-name": ""}
        elif odd == 2:
            labels = {"kubernetes.io/service-name": "nobody"}
        elif odd == 3 or made["spec"].get("clusterIP") == "None":
            labels["service.kubernetes.io/headless"] = ""
        endpoints: Any = [self._endpoint(address_type, hints) for _ in range(self._random.choice((0, 1, 2, 3, 5, 8)))]
        if not endpoints and self._chance(2):
            endpoints = None
        return {
            "addressType": address_type,
            "apiVersion": "discovery.k8s.io/v1",
            "endpoints": endpoints,
            "kind": "EndpointSlice",
            "metadata": {"name": f"{name}-{number}", "namespace": made["metadata"]["namespace"], "labels": labels, "resourceVersion": "2"},
            "ports": self._slice_ports(made["spec"]["ports"]),
        }

    def _slice_ports(self, wanted: List[Object]) -> Optional[List[Object]]:
        if self._chance(16):
            return None if self._chance(2) else []
        ports: List[Object] = []
        for port in wanted:
            if self._chance(8):
                continue
            made = {"name": port.get("name", ""), "port": self._random.choice((8080, 8080, 8081, 9090)), "protocol": port["protocol"]}
            odd = self._random.randrange(16)
            if odd == 0:
                made["port"] = None
            elif odd == 1:
                del made["port"]
            elif odd == 2:
                made["name"] = None
            elif odd == 3:
                del made["name"]
            elif odd == 4:
                made["protocol"] = self._random.choice(PROTOCOLS)
            ports.append(made)
        if self._chance(6):
            ports.append({"name": "more", "port": 7, "protocol": "TCP"})
        return ports

    def _endpoint(self, address_type: str, hints: str) -> Object:
        made: Object = {"addresses": self._addresses(address_type), "conditions": self._conditions()}
        if self._chance(10):
            del made["conditions"]
        if not self._chance(5):
            made["nodeName"] = self._random.choice(NODES)
        if not self._chance(5):
            made["zone"] = self._random.choice(ZONES)
        if not self._chance(4):
            made["targetRef"] = {"kind": "Pod", "namespace": "a", "name": f"pod-{self._random.randrange(50)}", "uid": "u"}
        found = self._hints(hints)
        if found is not None:
            made["hints"] = found
        return made

    def _addresses(self, address_type: str) -> List[str]:
        """Few, so that they come twice."""
        number = self._random.randint(1, 12)
        if address_type == "FQDN":
            return ["host.example.org"]
        if address_type == "IPv4":
            first = f"10.244.0.{number}" if not self._chance(20) else f"10.244.00.{number:03}"
            more = [f"10.245.0.{number}"]
        else:
            first = f"fd00:244::{number:x}" if not self._chance(8) else f"FD00:244:0:0:0::{number:X}"
            more = [f"fd00:245::{number:x}"]
        return [first] + (more if self._chance(8) else [])

    def _conditions(self) -> Object:
        usual = self._random.randrange(10)
        if usual < 4:
            return {"ready": True, "serving": True, "terminating": False}
        if usual < 6:
            return {"ready": False, "serving": False, "terminating": False}
        if usual < 8:
            return {"ready": False, "serving": self._chance(2), "terminating": True}
        conditions: Dict[str, Any] = {}
        for name in ("ready", "serving", "terminating"):
            value = self._random.choice((True, False, None, "absent"))
            if value != "absent":
                conditions[name] = value
        return conditions

    def _hints(self, mode: str) -> Optional[Object]:
        if mode == "none":
            return None if not self._chance(8) else self._random.choice(({}, {"forZones": None}, {"forZones": [], "forNodes": []}))
        if mode == "mixed" or self._chance(12):
            mode = self._random.choice(("none", "zones", "nodes", "both"))
        hints: Object = {}
        if mode in ("zones", "both"):
            hints["forZones"] = [{"name": name} for name in self._random.sample(ZONES, self._random.choice((1, 1, 2)))]
        if mode in ("nodes", "both"):
            hints["forNodes"] = [{"name": name} for name in self._random.sample(NODES, self._random.choice((1, 1, 2)))]
        return hints or None


def _make_defined(items: List[Object]) -> None:
    while True:
        unclear = _first_unclear(items)
        if unclear is None:
            return
        found, key = unclear
        found["endpoints"] = [one for one in found["endpoints"] if _key(one) != key]


def _first_unclear(items: List[Object]) -> Optional[Tuple[Object, str]]:
    """A slice and an address in it for which kube-proxy's answer depends on the order of slices."""
    groups: Dict[Tuple[Any, ...], List[Object]] = {}
    for item in items:
        if item["kind"] == "EndpointSlice":
            meta = item["metadata"]
            groups.setdefault((meta["namespace"], meta["labels"].get("kubernetes.io/service-name"), item["addressType"]), []).append(item)
    for group in groups.values():
        for key in {_key(one) for item in group for one in item["endpoints"] or ()}:
            having = [item for item in group if any(_key(one) == key for one in item["endpoints"] or ())]
            # By ports it would be more exact: two slices with no port in common never meet.
            if not _is_clear([[one for one in item["endpoints"] if _key(one) == key] for item in having]):
                return having[-1], key
    return None


def _is_clear(by_slice: List[List[Object]]) -> bool:
    staying = [[_content(one) for one in ones if not _terminates(one)] for ones in by_slice]
    lasts: Set[str] = {ones[-1] for ones in staying if ones}
    if lasts:
        return len(lasts) == 1
    return len({_content(ones[0]) for ones in by_slice}) == 1


def _terminates(one: Object) -> bool:
    return (one.get("conditions") or {}).get("terminating") is True


def _content(one: Object) -> str:
    """All that a decision may rest on."""
    return repr([one.get(name) for name in ("conditions", "nodeName", "hints")])


def _key(one: Object) -> str:
    """The address in one spelling."""
    first: str = one["addresses"][0]
    if ":" in first:
        return first.lower().rpartition(":")[2]
    return ".".join(str(int(part)) for part in first.split(".")) if first[0].isdigit() else first
