# SPDX-License-Identifier: Apache-2.0
"""Signals and cancellation of a wait that is cut into stretches: it ends as without the library, whenever they come, and signals are closed
and open as without it. A pod is silent, so each try is due after a short time, and ends a stretch."""
from typing import List

import pytest

from tests.e2e.common import hold_table
from tests.failover.common import Firewall
from tests.harness import Build, ShimRunner, counts, expect
from tests.kube.cluster import Cluster, Service
from tests.preload.common import web

pytestmark = [pytest.mark.clusters("double"), pytest.mark.unsanitized("another library stands behind ours")]

# Of each hook one with make test.
WAYS = counts(
    ["poll", "ppoll_chk", "select", "epoll_wait", "epoll_pwait2"],
    ["poll", "poll_chk", "ppoll", "ppoll_chk", "select", "pselect", "epoll_wait", "epoll_pwait", "epoll_pwait2"],
)
LONG_AFTER_MS = 330  # some tries later
SETTINGS = {"K8SLB_CONNECT_TIMEOUT": "100", "K8SLB_EVENTS": "on"}


def interrupted(build: Build, way: str, end: str, service: Service, *more: object) -> List[object]:
    return [build.programs / "interrupted", way, end, service.vip, service.port, *more]


@pytest.mark.parametrize("end", ["return", "jump", "longjmp", "cancel"])
@pytest.mark.parametrize("way", WAYS)
def test_it_ends_as_without(cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall, way: str, end: str) -> None:
    """In the kernel's wait, and in the moment between two stretches."""
    service, pods = web(cluster)
    firewall.drop(*pods)
    env = cluster.env("web", **SETTINGS)
    hold_table(run_shim, cluster)
    preload = f"{build.preload()} {build.directory / 'tests/preload/late.so'}"

    bare = run_shim(interrupted(build, way, end, service, LONG_AFTER_MS), preload=False)
    waits = run_shim(interrupted(build, way, end, service, LONG_AFTER_MS), env=env)
    late = {"LATE": "cancel" if end == "cancel" else "signal", "LD_PRELOAD": preload}
    between = run_shim(interrupted(build, way, end, service), env={**env, **late}, timeout=20)

    expect((waits.returncode, waits.stdout), (0, bare.stdout), waits, bare)
    expect((between.returncode, between.stdout), (0, bare.stdout), between, bare)


@pytest.mark.parametrize("way", WAYS)
def test_no_signal_of_many_is_missed(cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall, way: str) -> None:
    service, pods = web(cluster)
    hold_table(run_shim, cluster)
    firewall.drop(*pods)
    env = cluster.env("web", **SETTINGS)

    result = run_shim(interrupted(build, way, "storm", service), env=env)

    expect((result.returncode, result.stdout), (0, "3000 of 3000\n"), result)
