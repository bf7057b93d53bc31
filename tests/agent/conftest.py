# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the agent's tests."""
import os
import socket
import tempfile
from pathlib import Path
from typing import Iterator

import pytest

from tests.agent.common import MESSAGE, Agents
from tests.e2e.common import stand_in
from tests.harness import Build, expect
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import web


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


@pytest.fixture
def vip(cluster: DoubleCluster) -> str:
    service, _pods = web(cluster)
    stand_in(cluster, service)
    return str(service.vip)


@pytest.fixture
def image(cluster: DoubleCluster, vip: str, agents: Agents, place: Path) -> bytes:
    """A real table."""
    agents.run(cluster, place / "real")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(str(place / "real"))
        message, fds, _flags, _address = socket.recv_fds(client, 100, 4)
    expect((message, len(fds)), (MESSAGE, 1))
    try:
        return os.pread(fds[0], os.fstat(fds[0]).st_size, 0)
    finally:
        os.close(fds[0])
