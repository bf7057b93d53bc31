# SPDX-License-Identifier: Apache-2.0
"""Signals that come while a thread waits and its connection goes on to another pod: what they do to the wait is what they do to one
that nobody has cut. Two of three pods refuse, and late, so that a refusal comes while the program waits."""
from typing import Dict

import pytest

from tests.e2e.common import hold_table
from tests.failover.dead_pods import far, forgetful, taken_for_libcs
from tests.failover.test_storms import figures
from tests.harness import Build, ShimRunner, counts, expect
from tests.kube.cluster import Cluster

pytestmark = pytest.mark.clusters("double")

MASKED = ["ppoll", "pselect", "epoll_pwait", "epoll_pwait2"]
WAYS = ["poll", "ppoll_bare", "select", "epoll_wait", *MASKED]
COUNT = counts(12, 300)
STORM = counts(15, 500)
PERIOD_US = 100


def test_one_while_it_goes_on(cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
    """It comes during the connect() to the next pod: each wait says EINTR, as it would have done without."""
    preload = f"{build.preload()} {taken_for_libcs(build)}"
    with far(cluster, dead=2) as there:
        hold_table(run_shim, cluster)
        with forgetful(build):
            for way in WAYS:
                words = [build.programs / "signalled", way, there.service.vip, there.service.port, COUNT, 0, "plain"]
                result = run_shim(words, env=cluster.env("web", LD_PRELOAD=preload, SURPRISE="signal"))
                told = figures(result)
                expect((told["connected"], told["lost"], told["masks"]), (COUNT, 0, 0), way, result)
                expect((told["EINTR"] >= COUNT // 3, told["EINTR"]), (True, told["handlers"]), way, result)


@pytest.mark.unsanitized("too slow for a signal every 100 us")
@pytest.mark.parametrize("flags", counts(["restart"], ["plain", "restart"]))
def test_one_every_moment(cluster: Cluster, run_shim: ShimRunner, build: Build, flags: str) -> None:
    """As without: a wait in which a handler ran says EINTR. Without a mask a handler may run in the moment before a wait begins, or right
    after it, here as there; with one that cannot be."""
    with far(cluster, dead=2) as there:
        hold_table(run_shim, cluster)

        def told(way: str, preload: bool) -> Dict[str, int]:
            target = (there.service.vip, there.service.port) if preload else (there.pods[2].ip, there.pods[2].port)
            words = [build.programs / "signalled", way, *target, STORM, PERIOD_US, flags]
            result = run_shim(words, env=cluster.env("web"), preload=preload, timeout=300)
            found = figures(result)
            print(way, "with" if preload else "without", found)
            expect((found["connected"], found["failed"], found["masks"]), (STORM, 0, 0), way, result)
            return found

        with forgetful(build):
            for way in WAYS:
                shim, plain = told(way, True), told(way, False)
                expect(shim["EINTR"] > 0, True, way, shim)
                if way in MASKED:
                    expect((shim["lost"], shim["EINTR"]), (0, shim["handlers"]), way, shim)
                else:
                    share = 0.02 + 2 * plain["lost"] / plain["waits"]
                    expect(shim["lost"] <= share * shim["waits"], True, way, shim, plain)


@pytest.mark.unsanitized("another library stands behind ours")
def test_a_library_of_coroutines_stands_behind(cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
    """Its poll() runs other coroutines, which are the program: with the program's mask, and in the call that the program made."""
    preload = f"{build.preload()} {build.directory / 'tests/preload/coroutines.so'}"
    with far(cluster, dead=2) as there:
        hold_table(run_shim, cluster)
        with forgetful(build):
            for way in ("poll", "select", "epoll_wait"):
                words = [build.programs / "signalled", way, there.service.vip, there.service.port, COUNT, 0, "plain"]
                result = run_shim(words, env=cluster.env("web", LD_PRELOAD=preload))
                expect((result.returncode, set(result.stderr.splitlines())), (0, set()), way, result)
