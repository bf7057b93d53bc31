# SPDX-License-Identifier: Apache-2.0
"""What the tests of isolation share: a Service whose VIP answers too, and the judgement of lines "POINT POD"."""
from collections import Counter
from pathlib import Path
from typing import Dict, List, NamedTuple

from tests.e2e.common import stand_in
from tests.harness import Build, Result, expect
from tests.kube.cluster import Cluster, Pod, Service
from tests.preload.common import web

PODS = 3


class Target(NamedTuple):
    """A Service, its pods, and a listener at its VIP that answers "vip", as kube-proxy's way would."""

    service: Service
    pods: List[Pod]
    vip: Pod

    @property
    def arguments(self) -> List[str]:
        return [str(self.service.vip), str(self.service.port)]

    @property
    def names(self) -> List[str]:
        return [pod.name for pod in self.pods]


def target(cluster: Cluster) -> Target:
    service, pods = web(cluster, PODS)
    return Target(service, pods, stand_in(cluster, service))


def by_point(result: Result) -> Dict[str, "Counter[str]"]:
    """Lines "POINT POD" counted for each point."""
    found: Dict[str, Counter[str]] = {}
    for line in result.stdout.splitlines():
        point, _, pod = line.partition(" ")
        found.setdefault(point, Counter())[pod] += 1
    return found


def evenly(pods: List[Pod], each: int = 1) -> "Counter[str]":
    return Counter({pod.name: each for pod in pods})


def expect_clean(result: Result, *logs: object) -> None:
    """It ended by itself, successfully, and nobody complained."""
    expect((result.returncode, result.stderr), (0, ""), result, *logs)


def preload_beside(build: Build, *others: object, first: bool) -> str:
    """LD_PRELOAD of the shim and other libraries, those before it or behind it."""
    names = [str(other) for other in others]
    return " ".join([*names, build.preload()] if first else [build.preload(), *names])


def library(build: Build, name: str) -> Path:
    """A library of tests/hazards/preload."""
    return build.directory / "tests" / "preload" / f"{name}.so"


def system_library(name: str) -> str:
    """Where the system keeps this library."""
    found = sorted(Path("/usr/lib").glob(f"*-linux-gnu/{name}"))
    assert found, f"{name} is not installed"
    return str(found[0])
