# SPDX-License-Identifier: Apache-2.0
"""Beside a real kube-proxy: where the shim knows nothing, the kernel's rules serve the VIP as if it were not there."""
import pytest

from tests.e2e.common import Follower, names, three
from tests.e2e.test_programs import LOOPS
from tests.harness import Build, ShimRunner, expect, wait_until
from tests.kube.real_cluster import RealCluster
from tests.preload.common import client, tally

pytestmark = pytest.mark.clusters("real")

NOBODY = "https://10.9.9.9:1"  # refuses connections


def test_programs_are_served_with_and_without_the_shim(cluster: RealCluster, run_shim: ShimRunner, build: Build) -> None:
    service, pods = three(cluster)
    vip = str(service.vip)
    cluster.start_proxy("nftables")
    probe = client(vip, service.port)
    wait_until(
        "kube-proxy's rule for the VIP",
        lambda: run_shim(probe, preload=False).stdout.strip() in names(pods), cluster.logs)

    settings = {
        "without the shim": (False, {}),
        "API server unreachable": (True, cluster.env("web", K8SLB_API=NOBODY)),
        "token refused": (True, cluster.env("web", K8SLB_TOKEN_FILE=str(cluster.ca_file))),
        "another Service configured": (True, cluster.env("other")),
        "nothing configured": (True, {}),
    }
    for what, (preload, env) in settings.items():
        for program in ("curl", "python", "c", "v4-mapped", "node"):
            result = run_shim(LOOPS[program](vip, service.port, build), env=env, preload=preload)
            found = tally(result.stdout)
            expect(set(found), names(pods), what, result, cluster.logs())  # at random: all of them with certainty
            expect((sum(found.values()), result.returncode), (300, 0), what, result)
    # And the same Service balanced by the shim beside it.
    result = run_shim(LOOPS["python"](vip, service.port, build), env=cluster.env("web"))
    expect(set(tally(result.stdout).values()), {100}, result)


def test_the_api_servers_own_vip_serves_the_shim(cluster: RealCluster, run_shim: ShimRunner) -> None:
    """As in a Pod: the API server is reached through kube-proxy, also while its own Service is balanced."""
    service, pods = three(cluster)
    cluster.start_proxy("nftables")
    follower = Follower(run_shim, service, cluster.env("*/*", K8SLB_API="https://10.96.0.1:443"))
    follower.wait_results(names(pods))
    cluster.delete_pod(pods[0])
    follower.wait("only the others", lambda lines: {line.result for line in lines[-12:]} == names(pods[1:]))
    expect(follower.results_by_table(), names(pods), cluster.logs(), follower)
