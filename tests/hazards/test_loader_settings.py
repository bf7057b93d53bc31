# SPDX-License-Identifier: Apache-2.0
"""Hazard: the loader works otherwise than usual: everything bound at start, audit libraries in it, its own debug output.

A naive shim that needs a symbol which this libc lacks dies under LD_BIND_NOW only, and one that counts namespaces or maps meets
those of the audit library. Ours is bound at start everywhere.
"""
from pathlib import Path
from typing import Dict

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.hazards.isolation import by_point, evenly, expect_clean, library, target
from tests.kube.cluster import Cluster

pytestmark = pytest.mark.clusters("double")


def settings(build: Build, directory: Path, which: str) -> Dict[str, str]:
    return {
        "bind-now": {"LD_BIND_NOW": "1"},
        "bind-not": {"LD_BIND_NOT": "1"},
        "audit": {"LD_AUDIT": str(library(build, "audit"))},
        "audit-and-bind-now": {"LD_AUDIT": str(library(build, "audit")), "LD_BIND_NOW": "1"},
        "debug": {"LD_DEBUG": "all", "LD_DEBUG_OUTPUT": str(directory / "loader")},
    }[which]


@pytest.mark.parametrize("which", ["bind-now", "bind-not", "audit", "audit-and-bind-now", "debug"])
def test_the_loader(cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path, which: str) -> None:
    web = target(cluster)
    env = settings(build, tmp_path, which)
    command = [build.programs / "lifetime", *web.arguments, "init,thread,main,atexit"]

    bare = run_shim(command, env=env, preload=False)
    result = run_shim(command, env=cluster.env("web", **env))

    expect_clean(bare)
    expect_clean(result)
    answers, without = by_point(result), by_point(bare)
    expect(answers.keys(), without.keys(), result)
    expect((answers["thread"], answers["main"]), (evenly(web.pods), evenly(web.pods)), result)
    if which.startswith("audit"):
        # The audit library saw both objects, and told at its end how often it was asked about connect().
        assert answers["audited"]["connect"] >= 1, result
