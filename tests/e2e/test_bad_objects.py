# SPDX-License-Identifier: Apache-2.0
"""Objects that no API server should send: the log says what is wrong, what was good stays, the program is unharmed."""
import copy
import json
from collections import Counter
from typing import Any, Callable, Dict, List, Tuple

import pytest

from tests.e2e.common import Follower, expect_followed, names, stand_in, three
from tests.harness import ShimRunner, expect
from tests.kube.cluster import Pod, Service
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import client, tally

pytestmark = pytest.mark.clusters("double")

LABELS = {"kubernetes.io/service-name": "web"}
GOOD: Dict[str, Any] = {
    "metadata": {"name": "bad", "namespace": "default", "labels": LABELS, "resourceVersion": "1"},
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["10.244.250.1"], "conditions": {"ready": True}}],
    "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
}


def three_and_wrong(cluster: DoubleCluster) -> Tuple[Service, List[Pod]]:
    """Three pods of "web", and what answers at the address that the bad slices name: "wrong"."""
    cluster.add_pod("wrong", {"app": "wrong"}, ip="10.244.250.1")
    service, pods = three(cluster)
    stand_in(cluster, service)
    return service, pods


def changed(path: str, value: Any) -> bytes:
    """GOOD with another value at a path like "ports.0.port"."""
    slice_ = copy.deepcopy(GOOD)
    place: Any = slice_
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        place = place[step]
    place[last] = value
    return json.dumps(slice_).encode()


# Fields that matter, with values of a wrong type or range: only the one object, or a part of it, is lost.
WRONG: Dict[str, List[Any]] = {
    "metadata": ["x", 5, [], None],
    "metadata.name": [5, "", "n" * 300, "a/b", "../x", None],
    "metadata.namespace": [5, "N" * 300, "a b"],
    "metadata.labels": ["x", [], 7],
    "addressType": ["IPv5", "FQDN", 4, None, {}],
    "endpoints": ["x", {}, 5, [5], ["x"], [[]]],
    "endpoints.0.addresses": ["10.244.250.1", {}, [5], [None], [[]]],
    "endpoints.0.addresses.0": ["10.244.0.256", "", "::1", "localhost", "1" * 300, "10.244.250.1/24"],
    "endpoints.0.conditions": ["x", [], 5],
    "endpoints.0.conditions.ready": ["yes", 1, {}],
    "ports": ["x", {}, 5, [5], ["x"]],
    "ports.0.port": [0, 65536, -1, 80.5, 1e99, "80", {}, 4294967376],
    "ports.0.name": [5, {}, "n" * 300],
    "ports.0.protocol": ["tcp", 5, "X" * 300],
}
OBJECTS: Dict[str, bytes] = {
    f"{path}={json.dumps(value)[:30]}": changed(path, value) for path, values in WRONG.items() for value in values
}
OBJECTS.update({
    "duplicate-keys": b'{"metadata":{"name":"bad","name":"worse","namespace":"default","resourceVersion":"1"},'
    b'"addressType":"IPv4","endpoints":[],"endpoints":[{"addresses":["x"]}],"ports":[],"ports":5}',
    "lone-surrogate": changed("metadata.name", "bad").replace(b'"bad"', b'"b\\ud800d"'),
    "invalid-utf8": changed("metadata.name", "bad").replace(b'"bad"', b'"b\xff\xfe\xc0\x80d"'),
    "huge-number": changed("ports.0.port", 1).replace(b'"port": 1', b'"port": ' + b"9" * 5000),
    "empty": b"{}",
    "null": b"null",
    "a-list": b"[]",
    "a-string": b'"x"',
    "without-labels": json.dumps({**GOOD, "metadata": {"name": "bad", "namespace": "default", "resourceVersion": "1"}}).encode(),
})
# In a list they may stand for any object: then the whole list counts as not read.
NAMELESS = ("metadata=", "metadata.name", "metadata.namespace", "lone", "invalid", "empty", "null", "a-list", "a-string")
# These are right, or harmless enough that there is nothing to tell.
SILENT = {
    "duplicate-keys", "without-labels", "addressType=\"FQDN\"", "addressType=\"IPv5\"", "metadata.labels=\"x\"",
}
# A list that holds one of these is no list any more: nothing of it can be used.
BREAKING: Dict[str, bytes] = {
    "truncated": b'{"metadata":{"name":"bad"',
    "too-many-brackets": changed("metadata.name", "bad") + b"]}",
    "nul-byte": changed("metadata.name", "bad").replace(b"bad", b"b\x00d"),
    "newline-in-string": changed("metadata.name", "bad").replace(b"bad", b"b\nd"),
    "deep": changed("endpoints", "HERE").replace(b'"HERE"', b"[" * 200 + b"]" * 200),
    "not-json": b"<html>",
}


def test_a_bad_event_costs_only_itself(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    service, pods = three_and_wrong(cluster)
    follower = Follower(run_shim, service, cluster.env("web", K8SLB_RETRY_DELAY="1"), pause_ms=2)
    follower.wait_results(names(pods))
    cluster.server.wait(lambda: cluster.server.open_watches() == 2)
    silent: List[str] = []
    # An item's own version is of no use in a list, and an event's is what the watch goes on from.
    objects = {**OBJECTS, "metadata.resourceVersion=5": changed("metadata.resourceVersion", 5)}
    for number, (what, body) in enumerate(objects.items()):
        before = complaints(follower)
        # Each under its own name, where it names itself: the same line is not written twice.
        bad = f"bad-{number}"
        cluster.server.put_raw("endpointslices", body.replace(b'"bad"', b'"%s"' % bad.encode()), name=bad, labels=LABELS)
        # A good event behind the bad one: when it was followed, the bad one was read.
        added = cluster.add_pod("marker", {"app": "web"})
        follower.wait(f"the event after {what}", lambda lines: lines[-1].result == "marker")
        cluster.delete_pod(added)
        expect_followed(follower, names(pods))
        cluster.server.delete("endpointslices", bad)
        if complaints(follower) == before and what not in SILENT and not what.startswith(NAMELESS):
            silent.append(what)
    assert "metadata is not an object" in follower.log(), follower
    expect(follower.results_by_table(), names(pods) | {"marker"}, follower)
    expect(silent, [], "these were not told in the log", follower)


def complaints(follower: Follower) -> int:
    return sum(" error: " in line for line in follower.log().splitlines())


def test_bad_items_of_a_list_cost_only_themselves(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    service, pods = three_and_wrong(cluster)
    put: List[str] = []
    try:
        bodies = [body for what, body in OBJECTS.items() if not what.startswith(NAMELESS)]
        assert len(bodies) > 30, bodies
        for number, body in enumerate(bodies):
            put.append(f"bad-{number}")
            # Each under its own name, where it names itself at all.
            cluster.server.put_raw("endpointslices", body.replace(b'"bad"', b'"%s"' % put[-1].encode()), put[-1], labels=LABELS)
        result = run_shim(client(str(service.vip), service.port, 30), env=cluster.env("web"))
        expect(tally(result.stdout), Counter({pod.name: 10 for pod in pods}), result)
    finally:
        for name in put:
            cluster.server.delete("endpointslices", name)


@pytest.mark.parametrize("what", BREAKING)
@pytest.mark.parametrize("way", ["event", "list"])
def test_what_breaks_the_stream_leaves_the_table(cluster: DoubleCluster, run_shim: ShimRunner, way: str, what: str) -> None:
    service, pods = three_and_wrong(cluster)
    follower = Follower(run_shim, service, cluster.env("web", K8SLB_RETRY_DELAY="1"))
    follower.wait_results(names(pods))
    cluster.server.wait(lambda: cluster.server.open_watches() == 2)
    peak = follower.peak_kib()

    cluster.server.put_raw("endpointslices", BREAKING[what], name="bad", labels=LABELS)
    if way == "list":
        cluster.server.restart()
    added = cluster.add_pod("web-3", {"app": "web"})  # more bytes: only they show that an event was cut short
    follower.wait_log("error.*(JSON|garbled|large|deep|nest|cannot be used|limit)")
    assert follower.results_by_table() <= names([*pods, added]), follower
    grown = follower.peak_kib() - peak
    assert grown < 16 * 1024, f"{grown} KiB more\n{follower}"

    cluster.server.delete("endpointslices", "bad")
    cluster.delete_pod(pods[0])
    expect_followed(follower, names([*pods[1:], added]))
    expect(follower.results_by_table(), names([*pods, added]), follower)


def test_a_nameless_item_of_a_list_leaves_the_table(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    service, pods = three_and_wrong(cluster)
    follower = Follower(run_shim, service, cluster.env("web", K8SLB_RETRY_DELAY="1"))
    follower.wait_results(names(pods))
    cluster.server.refuse()
    cluster.server.put_raw("endpointslices", OBJECTS["metadata=5"], name="bad", labels=LABELS)
    cluster.server.restart()
    follower.wait_log("error.*metadata is not an object")
    cluster.server.delete("endpointslices", "bad")
    cluster.delete_pod(pods[0])
    expect_followed(follower, names(pods[1:]))
    expect(follower.results_by_table(), names(pods), follower)


# Each looks like a good value to a parser that does not look closely.
LOOKALIKES = {
    "nul-in-address": ("endpoints.0.addresses.0", "10.244.250.1\0.example"),
    "nul-in-name": ("metadata.name", "bad\0x"),
}


@pytest.mark.parametrize("what", LOOKALIKES)
def test_what_only_looks_good_is_not_used(cluster: DoubleCluster, run_shim: ShimRunner, what: str) -> None:
    service, pods = three_and_wrong(cluster)
    cluster.server.put_raw("endpointslices", changed(*LOOKALIKES[what]), name="bad", labels=LABELS)
    follower = Follower(run_shim, service, cluster.env("web"))
    try:
        follower.wait_log("error.*EndpointSlice")
        follower.watch(0.2, follower.began)
    finally:
        cluster.server.delete("endpointslices", "bad")
    assert "wrong" not in follower.results(), follower


@pytest.mark.parametrize("what", BREAKING)
def test_what_breaks_the_first_list_leaves_the_vip(cluster: DoubleCluster, run_shim: ShimRunner, what: str) -> None:
    service, pods = three_and_wrong(cluster)
    cluster.server.put_raw("endpointslices", BREAKING[what], name="bad", labels=LABELS)
    follower = Follower(run_shim, service, cluster.env("web", K8SLB_RETRY_DELAY="1"))
    follower.wait_log("error.*EndpointSlice")
    follower.wait_results({"vip"})
    expect(follower.results(), {"vip"}, follower)
    cluster.server.delete("endpointslices", "bad")
    expect_followed(follower, names(pods))


@pytest.mark.parametrize("way", ["event", "list"])
def test_an_object_that_is_too_large_costs_only_itself(cluster: DoubleCluster, run_shim: ShimRunner, way: str) -> None:
    service, pods = three_and_wrong(cluster)
    follower = Follower(run_shim, service, cluster.env("web", K8SLB_RETRY_DELAY="1"))
    follower.wait_results(names(pods))
    cluster.server.wait(lambda: cluster.server.open_watches() == 2)
    peak = follower.peak_kib()

    cluster.server.put_raw("endpointslices", changed("metadata.annotations", {"x": "y" * (10 << 20)}), name="bad", labels=LABELS)
    if way == "list":
        cluster.server.restart()
    added = cluster.add_pod("web-3", {"app": "web"})
    expect_followed(follower, names([*pods, added]))
    follower.wait_log("error.*an object of more than 4194304 bytes is left out")
    grown = follower.peak_kib() - peak
    cluster.server.delete("endpointslices", "bad")
    expect(follower.results_by_table(), names([*pods, added]), follower)
    assert grown < 16 * 1024, f"{grown} KiB more\n{follower}"


def test_a_large_object_is_no_bad_one(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    service, pods = three(cluster)
    cluster.server.put_raw("endpointslices", changed("metadata.annotations", {"x": "y" * (3 << 20)}).replace(
        b"10.244.250.1", pods[0].ip.encode()), name="bad", labels=LABELS)
    try:
        result = run_shim(client(str(service.vip), service.port, 30), env=cluster.env("web"))
    finally:
        cluster.server.delete("endpointslices", "bad")
    # web-0 is in two slices now, and still one endpoint.
    expect(tally(result.stdout), Counter({pod.name: 10 for pod in pods}), result)


SERVICES: Dict[str, Callable[[Dict[str, Any]], None]] = {
    "clusterIP-wrong-type": lambda s: s["spec"].update(clusterIP=5, clusterIPs="x"),
    "ports-wrong-type": lambda s: s["spec"].update(ports={"port": 80}),
    "spec-missing": lambda s: s.pop("spec"),
    "spec-wrong-type": lambda s: s.update(spec=[]),
}


@pytest.mark.parametrize("what", SERVICES)
def test_a_service_that_turns_bad_stays_what_it_was(cluster: DoubleCluster, run_shim: ShimRunner, what: str) -> None:
    service, pods = three_and_wrong(cluster)
    good = cluster.server.get("services", "web")
    assert good
    follower = Follower(run_shim, service, cluster.env("web", K8SLB_RETRY_DELAY="1"))
    follower.wait_results(names(pods))
    cluster.server.wait(lambda: cluster.server.open_watches() == 2)

    bad = copy.deepcopy(good)
    SERVICES[what](bad)
    cluster.server.put_raw("services", json.dumps(bad).encode(), name="web")
    follower.wait_log("error.*(Service|cannot be used)")
    cluster.server.restart()  # now the same in a list
    follower.wait_log("cannot be used, its last good state stays")
    cluster.delete_pod(pods[0])
    expect_followed(follower, names(pods[1:]))
    expect(follower.results_by_table(), names(pods), follower)


PARTS: Dict[str, Callable[[Dict[str, Any]], None]] = {
    "clusterIP-no-address": lambda s: s["spec"].update(clusterIP="10.96.0.256", clusterIPs=["10.96.0.256"]),
    "port-wrong-type": lambda s: s["spec"]["ports"][0].update(port="80"),
    "port-0": lambda s: s["spec"]["ports"][0].update(port=0),
    "port-65536": lambda s: s["spec"]["ports"][0].update(port=65536),
}


@pytest.mark.parametrize("what", PARTS)
def test_a_part_of_a_service_that_cannot_be_used_is_left_to_kube_proxy(
    cluster: DoubleCluster, run_shim: ShimRunner, what: str
) -> None:
    service, pods = three_and_wrong(cluster)
    good = cluster.server.get("services", "web")
    assert good
    follower = Follower(run_shim, service, cluster.env("web"))
    follower.wait_results(names(pods))

    bad = copy.deepcopy(good)
    PARTS[what](bad)
    cluster.server.put_raw("services", json.dumps(bad).encode(), name="web")
    expect_followed(follower, {"vip"})
    follower.wait_log("error.*default/web.*not usable")
    cluster.server.put_raw("services", json.dumps(good).encode(), name="web")
    expect_followed(follower, names(pods))
