# SPDX-License-Identifier: Apache-2.0
"""tests/preload/test_dns.py on musl, whose resolver has rules of its own."""
from pathlib import Path
from typing import Iterator

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.kube.cluster import Cluster
from tests.preload.dns_world import CLUSTERS, SERVICES, SETUPS, World, populate, wrong_answers
from tests.preload.test_dns import FROM_THE_TABLE, addresses, put_slices

pytestmark = pytest.mark.clusters(*CLUSTERS)


@pytest.fixture
def world(cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path) -> Iterator[World]:
    made = World(cluster, run_shim, build.directory / "tests" / "musl", tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("services", SERVICES)
@pytest.mark.parametrize("setup", SETUPS)
def test_the_resolvers_answers(world: World, setup: str, services: str) -> None:
    populate(world.cluster)
    expect(wrong_answers(world, setup, services), {})


@pytest.mark.parametrize("setup", SETUPS)
def test_what_is_answered_without_dns(world: World, setup: str) -> None:
    populate(world.cluster)
    names = FROM_THE_TABLE["kubelet"] + ["web.", "web.dev.", "absent", "github.com.", "kafka-9.kafka"]
    found = world.look_up(setup, names, "*/*")
    expect([name for name in names if found[name]], FROM_THE_TABLE[setup])


@pytest.mark.parametrize("count", [1, 2, 65, 100, 300])
def test_pods_of_a_headless_service(world: World, count: int) -> None:
    """Several are DNS's, of which musl takes what its buffers hold: its lists cannot be joined. Without DNS it is one."""
    world.cluster.create_service("many", cluster_ip="None", selector={})
    endpoints = addresses(count, ready=True)
    put_slices(world.cluster, "many", [{"endpoints": endpoints[i : i + 100]} for i in range(0, count, 100)])
    alone = world.look_up("kubelet", ["many"], "many")["many"]
    expect((len(alone), set(alone) - {one["addresses"][0] for one in endpoints}), (1, set()))
    world.serve()
    plain = world.look_up("kubelet", ["many"], None)["many"]
    assert min(count, 28) <= len(plain) <= count, plain
    ours = world.look_up("kubelet", ["many"], "many")["many"]
    # Which ones these are where not all fit is CoreDNS's: its slices come in any order.
    expect((len(ours), set(ours) - {one["addresses"][0] for one in endpoints}), (len(plain), set()))
