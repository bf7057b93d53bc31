# SPDX-License-Identifier: Apache-2.0
"""getpeername() tells the address that the program asked for."""
import re
import socket
import struct

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.kube.cluster import Cluster
from tests.preload.common import client, python, web

DOUBLE = pytest.mark.clusters("double")


def test_the_peer_is_the_vip(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster)

    result = run_shim(client(service.vip or "", service.port, 6, "-p"), env=cluster.env("web"))

    expect(sorted(result.stdout.split("\n")[:-1]), sorted(f"{pod.name} {service.vip} 80" for pod in pods * 2), result)


@DOUBLE
def test_every_way_to_ask(cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
    service, _pods = web(cluster)
    assert service.vip
    vip = f"0 errno 77 length 16 {service.vip}:80"
    raw = struct.pack("!HH4s8x", 0, 80, socket.inet_aton(service.vip))
    raw = struct.pack("=H", socket.AF_INET) + raw[2:]

    result = run_shim([build.programs / "probe_peer", service.vip, service.port], env=cluster.env("web"))

    lines = dict(line.split(": ", 1) for line in result.stdout.split("\n")[:-1])
    expect(lines["not connected"], "-1 errno 107 length 16 0.0.0.0:0", result)
    for what in ("connected", "duplicate", "child"):
        expect((what, lines[what]), (what, vip), result)
    for room in (0, 4, 8, 12, 16, 20):
        kept = min(room, 16)
        expect(lines[f"room {room}"], f"0 length 16 bytes {raw[:kept].hex()}{'ee' * (20 - kept)}", result)
    expect(lines["negative length"], "-1 errno 22", result)
    expect(lines["no buffer"], "-1", result)
    if "san.so" not in build.preload():
        expect(lines["bad fd"], "-1 errno 9", result)
        expect(lines["bad pointers, not connected"], "-1 errno 107", result)
    assert re.match(r"-1 errno 107 ", lines["disconnected"]), result
    expect(result.returncode, 0, result)


@DOUBLE
def test_an_endpoint_dialled_directly_is_shown_as_it_is(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster, pods=1)
    code = (
        "import socket, sys\n"
        "for host, port in ((sys.argv[1], 80), (sys.argv[2], 8080), (sys.argv[1], 80)):\n"
        "    print(*socket.create_connection((host, port)).getpeername())\n"
    )

    result = run_shim(python(code, service.vip, pods[0].ip), env=cluster.env("web"))

    expect(result.stdout, f"{service.vip} 80\n{pods[0].ip} 8080\n{service.vip} 80\n", result)


@DOUBLE
def test_many_sockets_at_once(cluster: Cluster, run_shim: ShimRunner) -> None:
    """An event loop connects to the same Service over and over and asks for the peer when each connection is there."""
    service, _pods = web(cluster)
    code = (
        "import select, socket, sys\n"
        "socket.create_connection((sys.argv[1], 80)).close()\n"  # waits for the table
        "sockets = [socket.socket() for _ in range(64)]\n"
        "for s in sockets:\n"
        "    s.setblocking(False)\n"
        "    s.connect_ex((sys.argv[1], 80))\n"
        "for s in sockets:\n"
        "    select.select([], [s], [], 5)\n"
        "print(*sorted({s.getpeername() for s in sockets}))\n"
    )

    result = run_shim(python(code, service.vip), env=cluster.env("web"))

    expect((result.stdout, result.stderr), (f"('{service.vip}', 80)\n", ""), result)
