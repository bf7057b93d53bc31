# SPDX-License-Identifier: Apache-2.0
"""node: libuv's non-blocking connects and resolver threads, an OpenSSL of its own inside, processes and threads."""
from pathlib import Path

import pytest

from tests.harness import expect
from tests.programs.common import World, same_lines
from tests.programs.servers import Certificate, serve_https

pytestmark = pytest.mark.clusters("double")

REQUESTS = Path(__file__).with_name("clients") / "requests.js"


@pytest.mark.parametrize("by", ["vip", "name"])
@pytest.mark.parametrize(
    "mode, count, connections, uneven",
    [
        ("http", 30, 30, 1),
        ("net", 30, 30, 1),
        ("keep-alive", 30, 2, 1),
        ("parallel", 30, 30, 1),
        ("cluster", 9, 36, 3),
        ("threads", 10, 30, 1),
    ],
    ids=["http", "net", "keep-alive", "parallel", "cluster", "threads"],
)
def test_http(world: World, mode: str, count: int, connections: int, uneven: int, by: str) -> None:
    web = world.web()
    command = ["node", REQUESTS, mode, getattr(web, by), web.port, count]
    world.both(command, {web: connections}, uneven=uneven, same=same_lines)


@pytest.mark.parametrize("by", ["vip", "name"])
@pytest.mark.parametrize("mode, connections", [("https", 12), ("https-keep-alive", 1)], ids=["https", "keep-alive"])
def test_https(world: World, mode: str, connections: int, by: str) -> None:
    """Its OpenSSL and the TLS inside of the shim do not meet."""
    certificate = Certificate.make(world.directory)
    secure = serve_https(world, certificate)
    command = ["node", REQUESTS, mode, getattr(secure, by), secure.port, 12, certificate.file]
    _plain, shim = world.both(command, {secure: connections})
    expect(len(set(shim.result.stdout.split())), min(connections, 3), shim.result)


def test_a_refused_connection(world: World) -> None:
    web = world.web()
    _plain, shim = world.both(["node", REQUESTS, "http", "127.0.0.1", 9, 1], {web: 0}, returncode=1)
    expect(shim.result.stdout, "ECONNREFUSED\n", shim.result)
