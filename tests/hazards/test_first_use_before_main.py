# SPDX-License-Identifier: Apache-2.0
"""Hazard: the first connection comes before main(): from .preinit_array, .init_array, or the constructor of a library that is
initialised before the shim.

A naive shim finds its pointers to libc still NULL, or its settings unread, or reads them from an environment that libc has
not got yet and stays out for good. Ours looks up what one call needs when the call comes, and its settings as soon as there
is an environment.
"""
import pytest

from tests.harness import Build, ShimRunner, expect
from tests.hazards.isolation import by_point, evenly, expect_clean, library, preload_beside, target
from tests.kube.cluster import Cluster

pytestmark = pytest.mark.clusters("double")

BEFORE_MAIN = ["preinit", "init", "preinit,init"]


@pytest.mark.parametrize("points", BEFORE_MAIN)
@pytest.mark.parametrize("bind", ["lazily", "now"])
def test_a_program(cluster: Cluster, run_shim: ShimRunner, build: Build, points: str, bind: str) -> None:
    web = target(cluster)
    command = [build.programs / "lifetime", *web.arguments, f"{points},main"]
    env = {"LD_BIND_NOW": "1"} if bind == "now" else {}

    bare = run_shim(command, env=env, preload=False)
    result = run_shim(command, env=cluster.env("web", **env))

    expect_clean(bare)
    expect_clean(result)
    answers = by_point(result)
    expect(set(answers), set(by_point(bare)), result)
    # That of main() is a round of its own, whoever was first.
    expect(answers.pop("main"), evenly(web.pods), result)
    for point, pods in answers.items():
        assert set(pods) <= {*web.names, "vip"}, (point, pods, result)


@pytest.mark.parametrize("first", [True, False], ids=["loaded-before-us", "loaded-behind-us"])
def test_a_library(cluster: Cluster, run_shim: ShimRunner, build: Build, first: bool) -> None:
    web = target(cluster)
    # The loader initialises the last one first.
    preload = preload_beside(build, library(build, "dialing_library"), first=first)
    env = cluster.env("web", LD_PRELOAD=preload, DIAL_AT=":".join(web.arguments))

    result = run_shim([build.programs / "lifetime", *web.arguments, "main"], env=env)

    expect_clean(result)
    answers = by_point(result)
    expect(answers["main"], evenly(web.pods), result)
    for point in ("constructor", "destructor"):
        expect(len(answers[point]), 1, result)
        assert set(answers[point]) <= set(web.names), (point, answers, result)
