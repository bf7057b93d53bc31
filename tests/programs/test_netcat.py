# SPDX-License-Identifier: Apache-2.0
"""The two netcats: OpenBSD's (getaddrinfo, non-blocking) and the traditional one (gethostbyname, blocking)."""
import pytest

from tests.harness import counts, expect
from tests.programs.common import World

pytestmark = pytest.mark.clusters("double")

COUNT = counts(12, 60)
# A process for each connection: its first pod is its own choice, so that shares are even in the long run only.
ASK = 'for i in $(seq "$3"); do printf "WHO\\nQUIT\\n" | {command} "$1" "$2" || exit; done'


@pytest.mark.parametrize("by", ["vip", "name"])
@pytest.mark.parametrize("command", ["nc.openbsd -N -w 5", "nc.traditional -w 5"])
def test_one_connection_for_each_process(world: World, command: str, by: str) -> None:
    web = world.web()
    words = ["sh", "-c", ASK.format(command=command), "sh", getattr(web, by), web.port, COUNT]
    world.both(words, {web: COUNT}, uneven=COUNT - 1)


@pytest.mark.parametrize("options", ["-v -w 5", "-v -z"])
@pytest.mark.parametrize("command", ["nc.openbsd -N", "nc.traditional -n"])
def test_it_tells_the_address_that_it_was_given(world: World, command: str, options: str) -> None:
    web = world.web()
    _plain, shim = world.both([*command.split(), *options.split(), web.vip, web.port], {web: 1}, stdin="WHO\nQUIT\n")
    expect(web.vip in shim.result.stderr, True, shim.result)


@pytest.mark.parametrize("command", ["nc.openbsd -v -w 1", "nc.traditional -n -v -w 1"])
def test_a_refused_connection(world: World, command: str) -> None:
    web = world.web()
    world.both([*command.split(), "127.0.0.1", "9"], {web: 0}, returncode=1)
