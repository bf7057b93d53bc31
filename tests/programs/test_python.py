# SPDX-License-Identifier: Apache-2.0
"""Python: pools of requests and urllib3, asyncio, multiprocessing in its three ways to start a process."""
import sys
from pathlib import Path

import pytest

from tests.harness import expect
from tests.programs.common import World, same_lines
from tests.programs.servers import nginx_pod

pytestmark = pytest.mark.clusters("double")

CLIENTS = Path(__file__).with_name("clients")


@pytest.mark.parametrize("by", ["vip", "name"])
@pytest.mark.parametrize(
    "mode, count, connections, uneven",
    [("one-session", 30, 1, 1), ("closing", 30, 30, 1), ("threads", 10, 4, 1), ("child", 12, 36, 2)],
    ids=["one-session", "closing", "threads", "child"],
)
def test_requests(world: World, mode: str, count: int, connections: int, uneven: int, by: str) -> None:
    web = world.web()
    command = [sys.executable, CLIENTS / "http_pool.py", mode, getattr(web, by), web.port, count]
    world.both(command, {web: connections}, uneven=uneven, same=same_lines)


def test_retries(world: World) -> None:
    web = world.serve("web", 80, nginx_pod("location / { return 503; }"))
    world.both([sys.executable, CLIENTS / "http_pool.py", "retries", web.vip, web.port, 6], {web: 24})


@pytest.mark.parametrize("by", ["vip", "name"])
def test_asyncio(world: World, by: str) -> None:
    web = world.web()
    command = [sys.executable, CLIENTS / "asyncio_streams.py", getattr(web, by), web.port, 30]
    _plain, shim = world.both(command, {web: 61}, uneven=2, same=same_lines)
    expect(shim.result.stdout.count(f"('{web.vip}', 80)"), 60, shim.result)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing(world: World, method: str) -> None:
    """Parent and workers go round each by itself, however the work falls to them."""
    web = world.web()
    command = [sys.executable, CLIENTS / "pools.py", method, web.vip, web.port, 9]
    world.both(command, {web: 45}, uneven=4)
