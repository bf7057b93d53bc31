# SPDX-License-Identifier: Apache-2.0
"""The demo shows what it promises, within a minute, and its exit code tells when it does not."""
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Tuple

from tests.harness import Build, expect

ROOT = Path(__file__).resolve().parent.parent.parent


def run_demo(directory: Path) -> Tuple[int, str, float]:
    env = {**os.environ, "BUILD": str(directory), "http_proxy": "http://127.0.0.1:1"}
    started = time.monotonic()
    result = subprocess.run(
        [ROOT / "scripts/demo"],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )
    return result.returncode, result.stdout, time.monotonic() - started


def test_the_demo(build: Build) -> None:
    returncode, output, seconds = run_demo(build.directory)

    expect(returncode, 0, output)
    assert seconds < 60, output
    for pod in ("web-0", "web-1", "web-2"):
        assert re.search(rf"^   {pod} .* 100$", output, re.MULTILINE), output
    assert re.search(r"^   web-1 +deleted ", output, re.MULTILINE), output
    assert re.search(r"^   web-3 +new ", output, re.MULTILINE), output
    assert re.search(r"^OK: \d+ requests balanced, none failed\.$", output, re.MULTILINE), output
    assert "\033" not in output


def test_the_demo_fails_when_nothing_is_balanced(tmp_path: Path) -> None:
    (tmp_path / "libk8slb.so").touch()  # the loader complains and goes on without it

    returncode, output, _seconds = run_demo(tmp_path)

    expect(returncode, 1, output)
    assert "FAILED: " in output, output
