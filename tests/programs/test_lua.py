# SPDX-License-Identifier: Apache-2.0
"""lua with LuaSocket, which connects without blocking: sockets, socket.http, socket.dns."""
from pathlib import Path
from typing import Any, Callable, List

import pytest

from tests.programs.common import World

pytestmark = pytest.mark.clusters("double")

SOCKETS = """
local socket = require("socket")
for _ = 1, 30 do
    local connection = assert(socket.connect(arg[1], arg[2]))
    connection:send("WHO\\n")
    print((connection:receive()))
    connection:close()
end
"""
HTTP = """
local http = require("socket.http")
for _ = 1, 30 do
    local body, status = http.request("http://" .. arg[1] .. ":" .. arg[2] .. "/")
    print(status, body)
end
"""
LOOKUPS = """
local socket = require("socket")
for _ = 1, 30 do
    local address, found = socket.dns.toip(arg[1])
    print(address, found.name, #found.ip, socket.dns.getaddrinfo(arg[1])[1].addr)
    assert(socket.connect(address, arg[2])):close()
end
"""


def script(text: str, *arguments: Any) -> Callable[[Path], List[Any]]:
    def command(directory: Path) -> List[Any]:
        (directory / "program.lua").write_text(text)
        return ["lua", "program.lua", *arguments]

    return command


@pytest.mark.parametrize(
    "program, by",
    # toip() of an address asks for its name, which only a DNS server would know.
    [(SOCKETS, "vip"), (SOCKETS, "name"), (HTTP, "vip"), (HTTP, "name"), (LOOKUPS, "name")],
    ids=["sockets-vip", "sockets-name", "http-vip", "http-name", "lookups-name"],
)
def test_lua(world: World, program: str, by: str) -> None:
    web = world.web()
    world.both(script(program, getattr(web, by), web.port), {web: 30})
