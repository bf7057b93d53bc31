# SPDX-License-Identifier: Apache-2.0
"""A number that one thread gives away while another one is in the middle of sending its socket to the next pod: the next socket that
gets the number is not touched. The pods are silent, and each connect() of the library to the next one takes its time (surprising.c)."""
import pytest

from tests.e2e.common import hold_table
from tests.failover.common import Firewall
from tests.failover.dead_pods import taken_for_libcs
from tests.harness import Build, ShimRunner, expect
from tests.kube.cluster import Cluster
from tests.preload.common import web

pytestmark = pytest.mark.clusters("double")

TRY_MS = 100
IN_THE_MIDDLE_MS = 145  # of the next dial, which begins when the try is over and takes 80 ms


@pytest.mark.unsanitized("another library stands behind ours")
@pytest.mark.parametrize("way", ["close", "dup2", "dup3", "close_range", "closefrom"])
def test_a_number_is_kept_while_something_is_done_to_it(
    cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall, way: str
) -> None:
    service, pods = web(cluster)
    hold_table(run_shim, cluster)
    firewall.drop(*pods)
    preload = f"{build.preload()} {taken_for_libcs(build)}"
    env = cluster.env("web", K8SLB_CONNECT_TIMEOUT=str(TRY_MS), SURPRISE="slow", LD_PRELOAD=preload)

    result = run_shim([build.programs / "closing", way, service.vip, service.port, IN_THE_MIDDLE_MS], env=env)

    expect((result.returncode, result.stdout), (0, "fresh\n"), result)


@pytest.mark.parametrize("way", ["dup2_of_nothing", "dup3_flags", "vfork", "fork"])
def test_what_closes_nothing_lets_it_go_on(cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall, way: str) -> None:
    service, pods = web(cluster)
    hold_table(run_shim, cluster)
    firewall.drop(*pods[1:])

    for _ in range(3):
        result = run_shim([build.programs / "closing", way, service.vip, service.port, 0], env=cluster.env("web"))

        expect((result.returncode, result.stdout), (0, "web-0\n"), result)
