# SPDX-License-Identifier: Apache-2.0
"""What of a non-blocking connection is the program's, and no other pod's: data that TCP_FASTOPEN_CONNECT has taken, the failure of the last
endpoint, what SO_ERROR says to who asks."""
from collections import Counter
from contextlib import contextmanager
from typing import Iterator

import pytest

from tests.e2e.common import hold_table, stand_in
from tests.failover.common import Firewall, sysctl
from tests.failover.dead_pods import far, forgetful
from tests.harness import Build, ShimRunner, expect
from tests.kube import namespace as netns
from tests.kube.cluster import Cluster, Service
from tests.preload.common import web

pytestmark = pytest.mark.clusters("double")

CLIENTS_AND_ALL_LISTENERS = 0x403  # of net.ipv4.tcp_fastopen


@contextmanager
def no_way_to(service: Service) -> Iterator[None]:
    """connect() to the Service's own address says EHOSTUNREACH at once."""
    netns.ip("route", "add", "unreachable", f"{service.vip}/32")
    try:
        yield
    finally:
        netns.ip("route", "del", "unreachable", f"{service.vip}/32")


def test_data_that_were_sent_early_are_not_lost(cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall) -> None:
    """Of two pods one has given its cookie. Both are silent by then: the other one is given up, and connect() to this one says 0
    before it dials. What the program writes is the kernel's from then on: it goes on to nobody else, where it would be missing."""
    with sysctl("tcp_fastopen", CLIENTS_AND_ALL_LISTENERS):
        service, pods = web(cluster, pods=2)
        stand_in(cluster, service)
        hold_table(run_shim, cluster)
        env = cluster.env("web", K8SLB_CONNECT_TIMEOUT="100")
        firewall.drop(pods[0])
        warm = run_shim([build.programs / "fast_open", service.vip, service.port, 8, 5000], env=env)
        expect("web-1 sent" in warm.stdout, True, warm)
        firewall.drop(pods[1])
        with forgetful(build):
            result = run_shim([build.programs / "fast_open", service.vip, service.port, 6, 800], env=env)

    # 2: SYN_SENT, with the data. 1 would be a connection that nobody has said anything on.
    told = Counter(line.split()[0] for line in result.stdout.splitlines())
    expect(set(told) <= {"state=2", "vip"} and told["state=2"] > 0, True, result)
    expect("state=2\n" in result.stdout, True, result)  # the first try was given up, and the second said 0


@pytest.mark.parametrize("how", ["error", "write", "read", "connect"])
def test_the_last_failure_is_the_programs(cluster: Cluster, run_shim: ShimRunner, build: Build, how: str) -> None:
    """Pods refuse late, and there is no way to the Service's own address, which connect() itself says: then the refusal is what the kernel
    tells, whatever the program asks."""
    with far(cluster, dead=3) as there, no_way_to(there.service):
        hold_table(run_shim, cluster)
        result = run_shim([build.programs / "owed", there.service.vip, there.service.port, how], env=cluster.env("web"))

    expect((result.returncode, result.stdout), (0, "error hang-up ECONNREFUSED\n"), result)


@pytest.mark.parametrize("how", ["error", "connect", "write", "read"])
def test_an_errno_that_is_owed_is_kept(cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall, how: str) -> None:
    """Pods are silent: there is nothing that the kernel could tell at once. Who does not ask gets an error all the same, not EPIPE and its signal."""
    service, pods = web(cluster)
    hold_table(run_shim, cluster)
    firewall.drop(*pods)
    with no_way_to(service):
        env = cluster.env("web", K8SLB_CONNECT_TIMEOUT="100")
        result = run_shim([build.programs / "owed", service.vip, service.port, how], env=env)

    asked = how in ("error", "connect")
    expect((result.returncode, result.stdout), (0, f"error hang-up {'EHOSTUNREACH' if asked else 'ECONNRESET'}\n"), result)
