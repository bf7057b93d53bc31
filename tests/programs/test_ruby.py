# SPDX-License-Identifier: Apache-2.0
"""ruby: sockets, Net::HTTP with and without keeping its connection, threads; connects without blocking."""
import pytest

from tests.programs.common import World

pytestmark = pytest.mark.clusters("double")

SOCKETS = """
require "socket"
host, port = ARGV
30.times { TCPSocket.open(host, port.to_i) { |socket| socket.puts "WHO"; puts socket.gets } }
"""
HTTP = """
require "net/http"
host, port = ARGV
30.times { puts Net::HTTP.get(host, "/", port.to_i) }
Net::HTTP.start(host, port.to_i) { |http| 10.times { puts http.get("/").body } }
"""
THREADS = """
require "socket"
host, port = ARGV
asking = 6.times.map do
  Thread.new { 5.times.map { Socket.tcp(host, port, connect_timeout: 5) { |socket| socket.puts "WHO"; socket.gets } } }
end
puts asking.flat_map(&:value)
"""


@pytest.mark.parametrize("by", ["vip", "name"])
@pytest.mark.parametrize("program, connections", [(SOCKETS, 30), (HTTP, 31), (THREADS, 30)], ids=["sockets", "http", "threads"])
def test_ruby(world: World, program: str, connections: int, by: str) -> None:
    web = world.web()
    world.both(["ruby", "-e", program, getattr(web, by), web.port], {web: connections})
