# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the agent's tests."""
import tempfile
from pathlib import Path
from typing import Iterator

import pytest

from tests.agent.common import Agents
from tests.harness import Build


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user may search, and that only the agent's may write to."""
    with tempfile.TemporaryDirectory(prefix="k8slb-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


@pytest.fixture
def table(place: Path) -> Path:
    return place / "table"


@pytest.fixture
def agents(build: Build, place: Path, tmp_path: Path) -> Iterator[Agents]:
    """They end before the place goes, in which they make files."""
    result = Agents(build, tmp_path)
    try:
        yield result
    finally:
        result.close()
