# SPDX-License-Identifier: Apache-2.0
"""What a program reaches by a name with the library is what it reaches without, or better where DNS has nothing: beside a DNS
server that answers as the Kubernetes DNS specification says, for each way a resolver may be set up. On musl: tests/libcs."""
import socket
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence

import pytest

from tests.harness import Build, ShimRunner, expect, wait_until
from tests.kube.cluster import Cluster
from tests.preload.dns_world import CLUSTERS, SERVICES, SETUPS, World, headless, leave_to_another_proxy, populate, readiness, wrong_answers

pytestmark = pytest.mark.clusters(*CLUSTERS)

INET, INET6, UNSPEC = socket.AF_INET, socket.AF_INET6, socket.AF_UNSPEC
V4MAPPED, ALL = 8, 0x10
DEFAULT = "default.svc.cluster.local"


@pytest.fixture
def world(cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path) -> Iterator[World]:
    made = World(cluster, run_shim, build.programs, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("services", SERVICES)
@pytest.mark.parametrize("setup", SETUPS)
def test_the_resolvers_answers(world: World, setup: str, services: str) -> None:
    populate(world.cluster)
    expect(wrong_answers(world, setup, services), {})


FULL = ["web.dev.svc.cluster.local", "Web.Dev.SVC.cluster.local.", "kafka-0.kafka.default.svc.cluster.local"]
FROM_THE_TABLE: Dict[str, List[str]] = {
    "kubelet": ["web", "web.dev", "web.dev.svc", "kafka", "kafka-0.kafka", "kafka-0.kafka.default", *FULL],
    "ndots-1": ["web", "kafka", *FULL],
    "policy-Default": FULL,
    "cloud-first": FULL,
    "no-file": FULL,
}


@pytest.mark.parametrize("setup", SETUPS)
def test_what_is_answered_without_dns(world: World, setup: str) -> None:
    populate(world.cluster)
    names = FROM_THE_TABLE["kubelet"] + ["web.", "web.dev.", "absent", "github.com.", "kafka-9.kafka", "10-244-5-1.db.shop"]
    found = world.look_up(setup, names, "*/*")
    expect([name for name in names if found[name]], FROM_THE_TABLE[setup])


def test_always_is_as_in_a_pod(world: World) -> None:
    """Outside of a cluster DNS knows none of its names, so the table has the last word of what there is."""
    populate(world.cluster)
    names = FROM_THE_TABLE["kubelet"] + ["web.default", "web.", "web.dev.", "absent", "github.com.", "kafka-9.kafka"]
    for services in ("*/*", "web dev/web kafka"):
        found = world.look_up("policy-Default", names, services, K8SLB_NAMES="always")
        expect([name for name in names if found[name]], FROM_THE_TABLE["kubelet"] + ["web.default"], services)
    # An absolute name and one of the world are still the resolver's.
    world.serve()
    expect(world.look_up("policy-Default", ["web.", "github.com"], "web", K8SLB_NAMES="always"), {"web.": ["192.0.2.4"], "github.com": ["192.0.2.1"]})


def test_a_pod_comes_before_a_service_of_another_namespace(world: World) -> None:
    """kafka-0.kafka: the search list asks for pod kafka-0 of Service kafka here first, and only then for kafka/kafka-0."""
    populate(world.cluster)
    records = world.serve()
    assert world.dns
    for services in SERVICES.values():
        found = world.look_up("kubelet", ["kafka-0.kafka"], services)
        expect(set(found["kafka-0.kafka"]), records[f"kafka-0.kafka.{DEFAULT}"], services)
    expect(world.dns.asked, [])


@pytest.mark.parametrize(
    "hosts, asked",
    [("files dns", False), ("files myhostname dns", False), ("dns [!UNAVAIL=return] files", False),
     ("files mdns4_minimal [NOTFOUND=return] dns", True), ("resolve [!UNAVAIL=return] files dns", True)],
)
def test_modules_before_dns(world: World, hosts: str, asked: bool) -> None:
    populate(world.cluster)
    world.serve()
    assert world.dns
    world.nsswitch = f"hosts: {hosts}\n"
    expect(bool(world.look_up("kubelet", ["web", FULL[0]], "*/*")["web"]), True)
    expect(bool(world.dns.asked), asked)


@pytest.mark.parametrize(
    "env, answered",
    [({"LOCALDOMAIN": "corp.example"}, []), ({"LOCALDOMAIN": f"dev.svc.cluster.local {DEFAULT}"}, ["web"]), ({"RES_OPTIONS": "ndots:1"}, ["web"]),
     ({"RES_OPTIONS": "ndots:0"}, []), ({"RES_OPTIONS": "attempts:1 ndots:2"}, ["web", "web.dev"]), ({"HOSTALIASES": "/nowhere"}, ["web.dev"])],
)
def test_the_resolvers_environment(world: World, env: Dict[str, str], answered: List[str]) -> None:
    populate(world.cluster)
    found = world.look_up("kubelet", ["web", "web.dev"], "*/*", **env)
    expect([name for name in found if found[name]], answered)


@pytest.mark.parametrize("services", ["*/*", "dev/* default/*"])
def test_a_service_that_is_left_alone_ends_the_search(world: World, services: str) -> None:
    """It is not in the table with an address, but its name is taken: the next domain is not asked, as DNS would not be."""
    names = ["proxied", "headless", "alias"]
    world.cluster.create_namespace("dev")
    for namespace in ("dev", "default"):
        here = namespace == "dev"
        world.cluster.create_service("proxied", namespace)
        headless(world.cluster, "headless", 1, namespace)
        if here:
            world.cluster.create_service("alias", namespace, type="ExternalName", externalName="www.example.com", ports=[], selector={})
            leave_to_another_proxy(world.cluster, "proxied", namespace)
            leave_to_another_proxy(world.cluster, "headless", namespace)
        else:
            world.cluster.create_service("alias", namespace)
    wait_until("two pods", lambda: readiness(world.cluster) == [True, True], world.cluster.logs)
    settings = {"LOCALDOMAIN": f"dev.svc.cluster.local {DEFAULT}"}
    expect(world.look_up("kubelet", names, services, **settings), {name: [] for name in names})
    world.serve()
    plain = world.look_up("kubelet", names, None, **settings)
    expect(bool(plain["proxied"] and plain["headless"]), True, plain)
    expect(world.look_up("kubelet", names, services, **settings), plain)


def test_resolv_conf_is_read_again_when_it_changes(world: World) -> None:
    populate(world.cluster)
    world.serve()
    texts = [SETUPS["kubelet"], SETUPS["policy-Default"], SETUPS["kubelet"]]
    found = world.look_up_while_it_changes("web.dev", [text or "" for text in texts], "*/*")
    expect([bool(set(addresses) - {"192.0.2.2"}) for addresses in found], [True, False, True], found)


# ---- Headless Services ----


def put_slices(cluster: Cluster, name: str, parts: Sequence[Dict[str, Any]]) -> None:
    """One EndpointSlice for each part, as a controller of somebody's own may write them."""
    for number, part in enumerate(parts):
        labels = {"kubernetes.io/service-name": name, "service.kubernetes.io/headless": ""}
        body = {"metadata": {"name": f"{name}-{number}", "labels": labels}, "addressType": "IPv4", "ports": None, **part}
        status, answer = cluster.request("POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", body)
        assert status < 300, answer


def addresses(count: int, block: int = 100, **conditions: bool) -> List[Dict[str, Any]]:
    return [{"addresses": [f"10.244.{block + i // 200}.{i % 200 + 1}"], "conditions": conditions} for i in range(count)]


def same_as_dns(world: World, name: str, count: int, family: int = INET) -> List[str]:
    """The answer, which is DNS's set and was made without it."""
    records = world.serve()
    assert world.dns
    plain = world.look_up("kubelet", [name], None, family)[name]
    expect(set(plain), records[f"{name}.{DEFAULT}"])
    # Another server: where the answer did not fit, libc goes on by TCP, and the first one counts the second datagram when it likes.
    world.serve()
    ours = world.look_up("kubelet", [name], "*", family)[name]
    expect((len(ours), set(ours)), (count, set(plain)))
    expect(world.dns.asked, [])
    return ours


@pytest.mark.parametrize("count", [1, 33, 65, 100, 300])
def test_all_pods_of_a_headless_service(world: World, count: int) -> None:
    world.cluster.create_service("many", cluster_ip="None", selector={})
    endpoints = addresses(count, ready=True)
    port = {"name": "http", "port": 8080, "protocol": "TCP"}
    put_slices(world.cluster, "many", [{"endpoints": endpoints[i : i + 100], "ports": [port]} for i in range(0, count, 100)])

    same_as_dns(world, "many", count)


def test_ports_do_not_count(world: World) -> None:
    """None, another name, other numbers, another protocol: DNS knows no ports, and the answer has the caller's."""
    ports = [{"name": "a", "port": 80, "targetPort": 8080}, {"name": "b", "port": 8080, "targetPort": 9090}]
    world.cluster.create_service("crossed", cluster_ip="None", selector={}, ports=ports)
    crossed = [{"name": "a", "port": 8080}, {"name": "b", "port": 9090}]
    parts = [None, [], [{"name": "x", "port": 6666}], [{"name": "a", "port": 8081}], [{"name": "b", "port": 53, "protocol": "UDP"}], crossed]
    put_slices(world.cluster, "crossed", [{"endpoints": addresses(2, 100 + i), "ports": part} for i, part in enumerate(parts)])

    same_as_dns(world, "crossed", 12)


def test_readiness_decides(world: World) -> None:
    world.cluster.create_service("mixed", cluster_ip="None", selector={})
    parts = [
        addresses(2, 100, ready=True),
        addresses(2, 101, ready=False, serving=True),
        addresses(2, 102),
        addresses(2, 103, ready=False, serving=True, terminating=True),
        addresses(2, 104, ready=True, serving=True, terminating=True),  # publishNotReadyAddresses
    ]
    put_slices(world.cluster, "mixed", [{"endpoints": part} for part in parts])

    same_as_dns(world, "mixed", 6)


def test_both_families_in_libcs_order(world: World) -> None:
    world.cluster.create_service("both", cluster_ip="None", selector={}, ipFamilyPolicy="RequireDualStack", ipFamilies=["IPv4", "IPv6"])
    sixes = [{"addresses": [f"fd00:244::9:{i}"], "conditions": {}} for i in range(1, 41)]
    put_slices(world.cluster, "both", [{"endpoints": addresses(40)}, {"endpoints": sixes, "addressType": "IPv6"}])

    ours = same_as_dns(world, "both", 80, UNSPEC)
    plain = world.look_up("kubelet", ["both"], None, UNSPEC)["both"]
    expect([":" in address for address in ours], [":" in address for address in plain])


def test_mapped_addresses_beside_ipv6(world: World) -> None:
    service = world.cluster.create_service("web", ipFamilyPolicy="RequireDualStack", ipFamilies=["IPv4", "IPv6"])
    world.cluster.add_pod("web-0", {"app": "web"}, ip=("10.244.7.1", "fd00:244::7:1"), listen=False)
    world.serve()
    v4, v6 = service.vips
    for flags, expected in ((0, [v6]), (V4MAPPED, [v6]), (V4MAPPED | ALL, [v6, f"::ffff:{v4}"])):
        plain = world.look_up("kubelet", ["web"], None, INET6, flags)["web"]
        expect(plain, expected, flags)
        expect(world.look_up("kubelet", ["web"], "web", INET6, flags)["web"], plain, flags)
    expect(world.look_up("kubelet", ["web"], "web", UNSPEC)["web"], world.look_up("kubelet", ["web"], None, UNSPEC)["web"])
