# SPDX-License-Identifier: Apache-2.0
"""socat: as a client of IPv4 and IPv6, and as a relay that forks a child for each connection."""
import signal
import socket

import pytest

from tests.harness import counts, expect, wait_until
from tests.programs.common import MODES, World, expect_alike, files_of_tree, tree

pytestmark = pytest.mark.clusters("double")

COUNT = counts(12, 60)
CLIENT = 'for i in $(seq "$2"); do printf "WHO\\nQUIT\\n" | socat -t 5 - "$1" || exit; done'
RELAY = ("127.0.0.1", 18201)


@pytest.mark.parametrize("form", ["TCP:{vip}:80", "TCP4:{name}:80", "TCP:{name}:80,connect-timeout=5", "TCP:{vip}:80,nonblock"])
def test_client(world: World, form: str) -> None:
    web = world.web()
    address = form.format(vip=web.vip, name=web.name)
    world.both(["sh", "-c", CLIENT, "sh", address, COUNT], {web: COUNT}, uneven=COUNT - 1)


@pytest.mark.parametrize("by", ["vip", "name"])
def test_client_ipv6(world: World, by: str) -> None:
    ips = [f"fd00:244::8:{number}" for number in range(1, 4)]
    web = world.web(ips=ips, ipFamilyPolicy="SingleStack", ipFamilies=["IPv6"])
    address = f"TCP6:[{web.vip}]:80" if by == "vip" else f"TCP6:{web.name}:80"
    world.both(["sh", "-c", CLIENT, "sh", address, COUNT], {web: COUNT}, uneven=COUNT - 1)


def ask(relay: "tuple[str, int]") -> str:
    with socket.create_connection(relay, 5) as connection:
        connection.sendall(b"WHO\n")
        return connection.makefile().readline().strip()


def test_a_relay_that_forks(world: World) -> None:
    """The relay itself never connects: each child does, once, in the time of one connection."""
    web = world.web()
    seen = []
    for preload in MODES:
        command = ["socat", f"TCP-LISTEN:{RELAY[1]},bind={RELAY[0]},fork,reuseaddr", f"TCP:{web.vip}:{web.port}"]
        with world.mode(preload):
            relay = world.start(command, preload)
            # Not by a connection: the relay would answer it with one of its own.
            wait_until("the relay", is_listening, relay.result)
            with world.counting({web: COUNT}, caught=preload, uneven=COUNT - 1, shown=relay.result):
                pods = [ask(RELAY) for _ in range(COUNT)]
            expect(set(pods) <= web.pod_names, True, pods)
            with socket.create_connection(RELAY, 5) as connection:
                connection.sendall(b"WHO\n")
                connection.recv(100)
                wait_until("no other child", lambda: len(tree(relay.pid)) == 2)
                files = files_of_tree(relay.pid)
            wait_until("no child", lambda: len(tree(relay.pid)) == 1)
            relay.stop(signal.SIGTERM)
        result = relay.result()
        seen.append((files, result.returncode, result.stdout, result.stderr))
    expect_alike(seen)


def is_listening() -> bool:
    with open("/proc/net/tcp") as table:
        return any(f":{RELAY[1]:04X} " in line and " 0A " in line for line in table)
