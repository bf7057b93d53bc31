# SPDX-License-Identifier: Apache-2.0
"""Java: sockets that are IPv6 with v4-mapped addresses, HttpURLConnection, HttpClient, non-blocking channels of a Selector."""
from pathlib import Path
from typing import Any, List, Set

import pytest

from tests.programs.common import Files, World, same_lines
from tests.programs.servers import check_call

pytestmark = pytest.mark.clusters("double")

SOURCE = Path(__file__).with_name("clients") / "Clients.java"


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("classes")
    check_call(["javac", "-nowarn", "-d", directory, SOURCE])
    return directory


def java(classes: Path) -> List[Any]:
    # As in a container of one CPU: the machine's own threads are not what is looked at.
    return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classes, "Clients"]


@pytest.mark.parametrize("by", ["vip", "name"])
@pytest.mark.parametrize("client", ["url", "selector"])
def test_sockets(world: World, classes: Path, client: str, by: str) -> None:
    web = world.web()
    world.both([*java(classes), client, getattr(web, by), web.port, 30], {web: 30}, same=same_lines)


@pytest.mark.parametrize("client, by", [("http", "vip"), ("parallel", "name")])
def test_http_client(world: World, classes: Path, client: str, by: str) -> None:
    """Clients that are not used any more are closed by the garbage collector, some day."""
    web = world.web()
    command = [*java(classes), client, getattr(web, by), web.port, 15]
    world.both(command, {web: 15}, same=same_lines, same_files=only_files)


def only_files(files: Files) -> Set[str]:
    return {kind for kind in files.values() if kind.startswith("/")}
