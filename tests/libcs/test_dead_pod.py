# SPDX-License-Identifier: Apache-2.0
"""A pod that does not answer costs nobody more than a try, on every C library: where the watchdog may have its own descriptors, and
behind the filter of containers, where it shares the program's or the kernel bounds the try."""
import pytest

from tests.failover.common import KERNEL_MS, WAYS, Firewall, Way, firewall  # noqa: F401  # a fixture
from tests.harness import Build, ShimRunner, expect
from tests.kube.double_cluster import DoubleCluster
from tests.libcs.places import PATIENCE, Place
from tests.preload.common import web

pytestmark = pytest.mark.clusters("double")

COUNT = 6
# The program itself, one of its threads and one of its children ask; each may come first to the dead pod, twice.
LONGEST_S = 3 * 2 * KERNEL_MS / 1000


@pytest.mark.parametrize("way", [WAYS[0], WAYS[1]], ids=["own table", "container"])
def test_a_pod_that_does_not_answer(
    place: Place, cluster: DoubleCluster, run_shim: ShimRunner, build: Build, firewall: Firewall, way: Way  # noqa: F811
) -> None:
    service, pods = web(cluster)
    command = place.guest(str(service.vip), service.port, COUNT)
    env = cluster.env("web", **PATIENCE)
    good = place.run(run_shim, command, env, under=way.command(build, ()))
    firewall.drop(pods[0])

    result = place.run(run_shim, command, env, under=way.command(build, ()))

    answered = [line.split()[1] for line in result.stdout.splitlines()]
    expect((result.returncode, len(answered), set(answered), result.stderr), (0, 3 * COUNT, {"web-1", "web-2"}, ""), result, good)
    expect(result.seconds < 2 * good.seconds + LONGEST_S, True, result, good)
