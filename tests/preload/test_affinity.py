# SPDX-License-Identifier: Apache-2.0
"""sessionAffinity ClientIP: all processes of a Pod are one client of a Service port."""
from typing import Any, Iterator, List

import pytest

from tests.harness import Result, ShimRunner, expect, wait_until
from tests.pick_memory import remove_segments
from tests.preload.common import client, python, tally, web

AFFINITY = {"sessionAffinity": "ClientIP"}


@pytest.fixture(autouse=True)
def no_hints() -> Iterator[None]:
    """What an earlier test's processes told each other would decide for this one."""
    remove_segments()
    yield
    remove_segments()


def pods_of(result: Result) -> List[str]:
    expect(result.returncode, 0, result)
    return sorted(tally(result.stdout))


def test_one_process_stays_on_one_pod(cluster: Any, run_shim: ShimRunner) -> None:
    service, pods = web(cluster, **AFFINITY)
    result = run_shim(client(service.vip, 80, 50), env=cluster.env("web"))
    expect(len(pods_of(result)), 1, result)


def test_many_processes_stay_on_one_pod(cluster: Any, run_shim: ShimRunner) -> None:
    service, _ = web(cluster, pods=5, **AFFINITY)
    seen = {pod for _ in range(10) for pod in pods_of(run_shim(client(service.vip, 80, 2), env=cluster.env("web")))}
    expect(len(seen), 1, seen)


@pytest.mark.clusters("double")
def test_a_new_pod_moves_nobody(cluster: Any, run_shim: ShimRunner) -> None:
    service, _ = web(cluster, pods=2, **AFFINITY)
    first = pods_of(run_shim(client(service.vip, 80), env=cluster.env("web")))
    for i in range(2, 12):
        cluster.add_pod(f"web-{i}", {"app": "web"})
    cluster.wait_endpoints(service, 12)
    expect(pods_of(run_shim(client(service.vip, 80, 5), env=cluster.env("web"))), first)


def test_affinity_ends_with_its_pod(cluster: Any, run_shim: ShimRunner) -> None:
    service, pods = web(cluster, **AFFINITY)
    (first,) = pods_of(run_shim(client(service.vip, 80, 5), env=cluster.env("web")))
    cluster.delete_pod(next(pod for pod in pods if pod.name == first))
    cluster.wait_endpoints(service, 2)

    def moved() -> bool:
        return first not in pods_of(run_shim(client(service.vip, 80, 5), env=cluster.env("web")))

    # A process that starts within a second of the one before may show the table that it left, and
    # hears of the deletion between two of its connections.
    wait_until("another pod", moved)


@pytest.mark.clusters("double")
def test_a_lookup_that_answers_endpoints_stays_too(cluster: Any, run_shim: ShimRunner) -> None:
    _service, pods = web(cluster, pods=5, **AFFINITY)
    code = (
        "import socket\n"
        "for _ in range(6):\n"
        "    found = socket.getaddrinfo('web', 80, socket.AF_INET, socket.SOCK_STREAM)\n"
        "    print(found[0][4][0], len(found))\n"
    )
    seen = set()
    for _ in range(2):
        result = run_shim(python(code), env=cluster.env("web", K8SLB_RESOLVE="endpoint"))
        expect(len(result.stdout.splitlines()), 6, result)
        seen.update(result.stdout.splitlines())
    expect(len(seen), 1, seen)
    assert seen <= {f"{pod.ip} 5" for pod in pods}, seen
