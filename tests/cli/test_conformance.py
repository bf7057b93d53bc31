# SPDX-License-Identifier: Apache-2.0
"""Random dumps: `k8slb explain` uses exactly the endpoints that kube-proxy's own code uses.

The other side is the command conform of the control plane program (tests/kube/controlplane/conform.go): kube-proxy's
change trackers and CategorizeEndpoints, fed with the same dump.
"""
import ipaddress
import json
import random
import subprocess
from typing import Dict, Iterator, List, Set, Tuple

import pytest

from tests.cli.common import UNUSED_REASONS, USED_REASONS, Object, explain
from tests.cli.dumps import PLACES, Dumps
from tests.harness import Build, counts
from tests.kube.process import go_program

Key = Tuple[str, str, str, str, str]


class KubeProxy:
    """kube-proxy's code, answering one case after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [go_program("controlplane"), "conform"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def ask(self, dump: Object, node: str, zone: str) -> Dict[Key, Object]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"dump": dump, "node": node, "zone": zone}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"conform ended with status {self._process.wait()}"
        return {(p["namespace"], p["service"], p["name"], p["protocol"], p["family"]): p for p in json.loads(line)}

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def kube_proxy() -> Iterator[KubeProxy]:
    proxy = KubeProxy()
    try:
        yield proxy
    finally:
        proxy.close()


def key_of(element: Object) -> Key:
    port = element["port"]
    return element["namespace"], element["service"], port["name"], port["protocol"], element["family"]


def address_of(one: Object) -> str:
    address = f"[{one['address']}]" if ":" in one["address"] else one["address"]
    return f"{address}:{one['port']}"


def as_kube_proxy(answer: List[Object]) -> Dict[Key, Object]:
    """What explain said of Services with a VIP, in the form of conform."""
    return {
        key_of(element): {
            "namespace": element["namespace"],
            "service": element["service"],
            "name": element["port"]["name"],
            "protocol": element["port"]["protocol"],
            "family": element["family"],
            "vip": element["vip"],
            "number": element["port"]["number"],
            "affinity": (element["affinity"] or {"timeoutSeconds": 0})["timeoutSeconds"],
            "endpoints": sorted(address_of(one) for one in element["endpoints"]),
            "used": sorted(address_of(one) for one in element["endpoints"] if one["used"]),
        }
        for element in answer
        if element["vip"] is not None
    }


def explain_at(build: Build, dump: Object, node: str, zone: str) -> List[Object]:
    # An empty --zone: none is to be inferred.
    return explain(build, dump, "--node", node, "--zone", zone)


def check_form(answer: List[Object]) -> None:
    """Every endpoint once, in order, with a reason that goes with its use; the elements in order, each once."""
    order = [(element["namespace"], element["service"]) for element in answer]
    assert order == sorted(order)
    keys = [key_of(element) for element in answer]
    assert len(keys) == len(set(keys))
    for element in answer:
        assert list(element) == ["namespace", "service", "port", "family", "vip", "affinity", "topology", "endpoints"]
        assert list(element["port"]) == ["name", "number", "protocol"]
        assert element["topology"] in ("none", "zone", "node")
        places = [(_bytes_of(one["address"]), one["port"]) for one in element["endpoints"]]
        assert places == sorted(set(places))
        for one in element["endpoints"]:
            assert list(one) == ["address", "port", "pod", "node", "zone", "used", "reason"]
            assert one["reason"] in (USED_REASONS if one["used"] else UNUSED_REASONS)


def _bytes_of(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def seeds() -> range:
    return range(counts(quick=8, full=100))


@pytest.mark.parametrize("seed", seeds())
def test_kube_proxy_would_use_the_same(build: Build, kube_proxy: KubeProxy, seed: int) -> None:
    dumps = Dumps(seed)
    for number in range(50):
        dump = dumps.dump()
        for node, zone in (PLACES[number % len(PLACES)], PLACES[(number + 1) % len(PLACES)]):
            answer = explain_at(build, dump, node, zone)
            expected, got = kube_proxy.ask(dump, node, zone), as_kube_proxy(answer)
            for key in expected.keys() | got.keys():
                assert got.get(key) == expected.get(key), f"seed {seed}, dump {number}, at {node!r} {zone!r}:\n{json.dumps(dump)}"
            check_form(answer)


def test_the_order_of_items_changes_nothing(build: Build) -> None:
    dumps = Dumps(4711)
    for number in range(counts(quick=40, full=1000)):
        dump = dumps.dump()
        node, zone = PLACES[number % len(PLACES)]
        first = explain_at(build, dump, node, zone)
        shuffled = list(dump["items"])
        random.Random(number).shuffle(shuffled)
        assert explain_at(build, {**dump, "items": shuffled}, node, zone) == first


def test_the_dumps_show_every_reason(build: Build) -> None:
    """Otherwise the comparison above would compare less than it seems."""
    seen: Set[str] = set()
    topologies: Set[str] = set()
    dumps = Dumps(1)
    for number in range(60):
        node, zone = PLACES[number % len(PLACES)]
        for element in explain_at(build, dumps.dump(), node, zone):
            seen |= {one["reason"] for one in element["endpoints"]}
            topologies.add(element["topology"])
    assert seen == USED_REASONS | UNUSED_REASONS
    assert topologies == {"none", "zone", "node"}
