# SPDX-License-Identifier: Apache-2.0
"""Go programs on other C libraries and on arm64: balanced on each glibc; on musl, whose loader does not run our constructor in a
program that Go's own linker made, as without."""
import json
from collections import Counter
from pathlib import Path
from typing import Dict

import pytest

from tests.e2e.common import stand_in
from tests.harness import ShimRunner, counts, expect
from tests.kube.double_cluster import DoubleCluster
from tests.libcs.places import Place
from tests.preload.common import web
from tests.programs.gobuilds import built

pytestmark = pytest.mark.clusters("double")


def test_connections(place: Place, cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path) -> None:
    service, pods = web(cluster)
    stand_in(cluster, service)
    program = built("arm64" if place.name == "arm64" else "musl" if place.name == "musl" else "pie")
    env: Dict[str, str] = cluster.env("web", WAIT="web-")
    # The built file is in the cache, which is not in the root of the place.
    copy = tmp_path / "godial"
    copy.write_bytes(program.read_bytes())
    copy.chmod(0o755)

    result = place.run(run_shim, [place.file(copy), "dial", f"{service.vip}:80", counts(30, 900), 4], env)

    expect((result.returncode, result.stderr), (0, ""), result)
    told = json.loads(result.stdout)
    expect(told["Failures"], {}, result)
    if place.name == "musl":
        expect((told["Answers"], "Go program" in result.log), ({"vip": counts(30, 900)}, False), result)
        return
    place_log = [line for line in result.log.splitlines() if "Go program" in line]
    expect(len(place_log), 1, result)
    assert "are balanced" in place_log[0], result
    expect(Counter(told["Answers"]), Counter({pod.name: counts(10, 300) for pod in pods}), result)
