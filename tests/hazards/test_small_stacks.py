# SPDX-License-Identifier: Apache-2.0
"""Hazard: the thread that calls us has next to no stack: PTHREAD_STACK_MIN, 16 KiB here, as servers with many threads set.

A naive shim formats, reads files into large arrays or parses in its hook, and runs over the guard page. Ours takes no more in
connect() than fits there, the first call that starts the engine included, and in a lookup no more than libc's own takes.
"""
from contextlib import closing
from typing import Any

import pytest

from tests.e2e.common import hold_table
from tests.failover.common import Firewall
from tests.harness import Build, ShimRunner, expect
from tests.hazards.isolation import Target, expect_clean, target
from tests.kube.cluster import Cluster

pytestmark = pytest.mark.clusters("double")

LOOKUPS = ["getaddrinfo", "gethostbyname_r"]
CALLS = ["connect", "elsewhere", "getpeername", *LOOKUPS]
MOST_OF_A_WAIT = 2048
KIB = 16  # PTHREAD_STACK_MIN of x86-64


NAMES = ["web", "web.default.svc.cluster.local"]  # the second reads resolv.conf as well


def measure(run_shim: ShimRunner, build: Build, web: Target, call: str, name: str, **options: Any) -> int:
    """The bytes of stack at the call's deepest, without those that the thread itself takes."""
    depths = []
    for one in (call, "nothing"):
        result = run_shim([build.programs / "stack_depth", *web.arguments, name, one], **options)
        expect_clean(result)
        depth, answer = result.stdout.splitlines()
        assert one == "nothing" or answer.startswith(("pod ", "address ")), result
        depths.append(int(depth.split()[1]))
    return depths[0] - depths[1]


@pytest.mark.parametrize("turn", ["", "again-"], ids=["first", "again"])
def test_how_much_it_takes(cluster: Cluster, run_shim: ShimRunner, build: Build, turn: str) -> None:
    web = target(cluster)
    # Bound at start: else the loader's own lookup, which saves all registers, hides what the calls take.
    bind_now = {"LD_BIND_NOW": "1"}
    # The yardstick: libc's own lookup, of a name that is not in its files and then not in DNS.
    lookup = measure(run_shim, build, web, turn + "getaddrinfo", "nobody.example.", env=bind_now, preload=False)
    told = [f"libc's getaddrinfo() takes {lookup} bytes"]
    for call in CALLS:
        for name in NAMES if call in LOOKUPS else NAMES[:1]:
            ours = measure(run_shim, build, web, turn + call, name, env={**cluster.env("web"), **bind_now})
            told.append(f"{call} of {name}: {ours}")
            assert ours <= (lookup if call in LOOKUPS else lookup // 2), "\n".join(told)
    print("\n" + "\n".join(told))


@pytest.mark.unsanitized("its frames are larger")
@pytest.mark.parametrize("call", ["poll", "select", "epoll_wait"])
def test_how_much_a_wait_takes_that_sends_a_connection_on(cluster: Cluster, run_shim: ShimRunner, build: Build, call: str) -> None:
    """Pods are silent: the wait gives each up in turn. Beyond what libc's own takes."""
    web = target(cluster)
    hold_table(run_shim, cluster)
    bind_now = {"LD_BIND_NOW": "1"}
    with closing(Firewall()) as firewall:
        firewall.drop(*web.pods)
        bare = measure(run_shim, build, web, call, "-", env=bind_now, preload=False)
        ours = measure(run_shim, build, web, call, "-", env={**cluster.env("web", K8SLB_CONNECT_TIMEOUT="50"), **bind_now})

    print(f"{call}: {ours} bytes, without {bare}")
    assert ours - bare <= MOST_OF_A_WAIT, f"{call}: {ours}, without {bare}"


@pytest.mark.parametrize("turn", ["", "again-"], ids=["first", "again"])
@pytest.mark.parametrize("call", CALLS)
def test_in_the_smallest_stack(cluster: Cluster, run_shim: ShimRunner, build: Build, call: str, turn: str) -> None:
    web = target(cluster)
    for name in NAMES if call in LOOKUPS else NAMES[:1]:
        result = run_shim([build.programs / "stack_depth", *web.arguments, name, turn + call, KIB], env=cluster.env("web"))

        expect_clean(result)
        if call.startswith("get"):
            expect(result.stdout, f"address {web.service.vip}\n", result)
        elif call == "connect":
            assert result.stdout.strip() in {f"pod {pod}" for pod in web.names}, result
        else:
            expect(result.stdout, "pod errno 111\n", result)
