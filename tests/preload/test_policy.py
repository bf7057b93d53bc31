# SPDX-License-Identifier: Apache-2.0
"""K8SLB_POLICY, as the pods see it."""
from typing import Dict

import pytest

from tests.harness import ShimRunner, expect
from tests.kube.cluster import Cluster
from tests.preload.common import client, tally, web

COUNT = 60


def test_random_reaches_all_and_takes_no_turns(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster)

    result = run_shim(client(service.vip or "", 80, COUNT), env=cluster.env("web", K8SLB_POLICY="random"))

    answers = result.stdout.split()
    expect((len(answers), set(answers)), (COUNT, {pod.name for pod in pods}), result)
    # Turns would never be the same pod twice in a row; drawn, that is missing once in 10^10 runs.
    assert any(one == following for one, following in zip(answers, answers[1:])), result


@pytest.mark.parametrize("settings", [{}, {"K8SLB_POLICY": "round_robin"}], ids=["default", "round_robin"])
def test_turns_are_even(cluster: Cluster, run_shim: ShimRunner, settings: Dict[str, str]) -> None:
    service, pods = web(cluster)

    result = run_shim(client(service.vip or "", 80, COUNT), env=cluster.env("web", **settings))

    expect(dict(tally(result.stdout)), {pod.name: COUNT // 3 for pod in pods}, result)
