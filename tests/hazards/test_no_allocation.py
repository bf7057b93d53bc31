# SPDX-License-Identifier: Apache-2.0
"""Hazard: a hook that asks malloc() for memory.

connect() may come from inside of the program's own malloc(), from a signal handler that interrupted it, and from a child
that was forked while another thread held its lock: a naive shim, with its copy of the address or a line for its log on the
heap, recurses or waits for ever. Our connect() and getpeername() work on the stack, whether the address is a Service's or
not; a lookup that is not ours allocates what libc's allocates.
"""
from pathlib import Path
from typing import Dict

import pytest

from tests.agent.common import reader_env
from tests.e2e.common import stand_in
from tests.harness import Build, Result, ShimRunner, expect
from tests.kube.cluster import Cluster
from tests.preload.common import web

pytestmark = [
    pytest.mark.clusters("double"),
    pytest.mark.unsanitized("the sanitizer brings an allocator of its own"),
]

CONNECTIONS = ("connect and getpeername, Service", "connect and getpeername, elsewhere")


def counted(result: Result) -> Dict[str, int]:
    expect((result.returncode, result.stderr), (0, ""), result)
    lines = (line.rsplit(": ", 1) for line in result.stdout.splitlines() if line)
    return {what: int(count) for what, count in lines}


@pytest.mark.parametrize("policy", ["round_robin", "random"])
@pytest.mark.parametrize("affinity", ["None", "ClientIP"])
def test_a_balanced_connection_allocates_nothing(
    cluster: Cluster, run_shim: ShimRunner, build: Build, policy: str, affinity: str
) -> None:
    service, pods = web(cluster, sessionAffinity=affinity)

    # The program connects twice, and only the second time is counted: the first one starts the thread.
    result = run_shim(
        [build.programs / "hook_allocations", service.vip, 80, "localhost"], env=cluster.env("web", K8SLB_POLICY=policy)
    )

    expect({what: counted(result)[what] for what in CONNECTIONS}, dict.fromkeys(CONNECTIONS, 0), result)
    expect(sum(pod.connections() for pod in pods), 2, result)


def test_the_first_look_for_an_agent_allocates_nothing(
    cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path
) -> None:
    """The calling thread writes the log then. strerror() allocates, in a program with a language dozens of times."""
    service, _pods = web(cluster)
    stand_in(cluster, service)
    program = [build.programs / "hook_allocations", service.vip, 80, "127.0.0.1"]

    found = run_shim(program, env=reader_env(tmp_path / "table", LC_ALL="C.UTF-8"))
    bare = run_shim(program, env={"LC_ALL": "C.UTF-8"}, preload=False)

    expect(counted(found), counted(bare), found, bare)
    assert "no table of an agent" in found.log, found


def test_a_lookup_that_is_not_ours_allocates_what_libcs_does(cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
    service, _pods = web(cluster)
    program = build.programs / "hook_allocations"
    bare = counted(run_shim([program, "127.0.0.1", 1, "localhost"], preload=False))
    lookups = {what: count for what, count in bare.items() if what.startswith("get")}
    expect(len(lookups), 4, bare)

    result = run_shim([program, service.vip, 80, "localhost"], env=cluster.env("web"))

    expect({what: counted(result)[what] for what in lookups}, lookups, result)
