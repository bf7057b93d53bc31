# SPDX-License-Identifier: Apache-2.0
"""docs/tutorial.md: its blocks are run as they stand, in one shell, by somebody with a kubeconfig and k8slb in PATH."""
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.laptop import Laptop
from tests.e2e.common import three
from tests.harness import Build, expect

PAGE = Path(__file__).resolve().parents[2] / "docs/tutorial.md"


@pytest.mark.clusters("real")
def test_the_tutorial(cluster: Any, build: Build, tmp_path: Path) -> None:
    _service, pods = three(cluster)
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8, blocks
    laptop = Laptop(cluster, tmp_path)
    env = laptop.env(laptop.token_file())
    env["PATH"] = f"{build.directory}:{env['PATH']}"
    script = "set -eu\n" + "".join(f"echo '## {number}'\n{block}" for number, block in enumerate(blocks))
    result = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240
    )
    expect(result.returncode, 0, result)
    told = re.split(r"^## \d+\n", result.stdout, flags=re.MULTILINE)[1:]
    expect(told[0].splitlines()[0], "Nothing is wrong.", result)
    expect(told[1].count("used  10.244."), 3, result)
    expect(sorted(told[2].split()), sorted([pod.name for pod in pods] * 3), result)
    assert f"LD_PRELOAD={build.shim}" in told[3], result
    assert told[4].startswith("K8SLB027: there is no Service default/wep\n") and told[4].endswith("ends with status 1\n"), result
    expect(told[5], "not started: 125\nnot started: 125\n", result)
    assert "k8slb is statically linked" in result.stderr and 'K8SLB_POLICY="best": expected' in result.stderr, result
    expect(sorted(told[6].split()[-3:]), sorted(pod.name for pod in pods), result)
    assert told[6].count(" good ") == 3, result
    expect(told[8].split()[-6:], ["versions.txt", "settings.txt", "log.txt", "maps.txt", "explain.txt", "doctor.txt"], result)
