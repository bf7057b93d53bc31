# SPDX-License-Identifier: Apache-2.0
"""Tools of libmemcached, which connects without blocking, at real servers. Each pod has values of its own."""
import socket
from pathlib import Path
from typing import List

import pytest

from tests.harness import expect
from tests.kube.cluster import Pod
from tests.programs.common import Backend, World, without

pytestmark = pytest.mark.clusters("double")

PORT = 11211
SIZE = 100_000  # of a value that is more than one packet


def memcached(world: World) -> Backend:
    """Three servers; the key "pod" tells them apart, "same" does not."""

    def command(pod: Pod, _directory: Path) -> List[str]:
        return ["memcached", "-u", "root", "-l", pod.ip, "-p", str(pod.port), "-U", "0", "-t", "1", "-m", "8"]

    backend = world.serve("memcached", PORT, command)
    for pod in backend.pods:
        for key, value in (("pod", pod.name), ("same", "everywhere")):
            answer = ask(pod, f"set {key} 0 0 {len(value)}\r\n{value}\r\n")
            expect(answer, "STORED\r\n")
    return backend


def ask(pod: Pod, request: str) -> str:
    with socket.create_connection(pod.endpoint, 5) as connection:
        connection.sendall(request.encode())
        return connection.recv(4096).decode()


@pytest.mark.parametrize("by", ["vip", "name"])
def test_read_and_write(world: World, by: str) -> None:
    backend = memcached(world)
    servers = f"--servers={getattr(backend, by)}:{PORT}"
    world.both(["memcping", servers], {backend: 1})
    world.both(["memccat", servers, "pod", "same", "pod"], {backend: 1})
    world.both(["memccat", "--binary", servers, "same"], {backend: 1})
    world.both(["memccat", servers, "nowhere"], {backend: 1}, same=without(r"0x\w+"), returncode=1)

    def copy(directory: Path) -> List[str]:
        (directory / "value").write_text("v" * SIZE)
        return ["memccp", servers, "value"]

    world.both(copy, {backend: 1})
    # Each of the two runs has written to one pod, perhaps both to the same one.
    copies = sum(ask(pod, "get value\r\n").startswith(f"VALUE value 0 {SIZE}\r\n") for pod in backend.pods)
    expect(copies in (1, 2), True, copies)


def test_threads_in_parallel(world: World) -> None:
    backend = memcached(world)
    command = ["memcslap", f"--servers={backend.vip}:{PORT}", "--concurrency=29", "--execute-number=10", "--test=set"]
    # One more connection empties the server first.
    world.both([*command, "--flush"], {backend: 30}, same=without(r"\d+\.\d+"))
    world.both(command, {backend: 29}, same=without(r"\d+\.\d+"))
