# SPDX-License-Identifier: Apache-2.0
"""The fixture of the tests of real programs."""
from pathlib import Path
from typing import Iterator

import pytest

from tests.harness import Build, ShimRunner
from tests.kube.cluster import Cluster
from tests.programs.common import World


@pytest.fixture
def world(cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path) -> Iterator[World]:
    """A cluster with a stand-in for kube-proxy; see common.py."""
    result = World(cluster, run_shim, build, tmp_path)
    try:
        yield result
    finally:
        result.close()
