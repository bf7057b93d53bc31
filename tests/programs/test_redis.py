# SPDX-License-Identifier: Apache-2.0
"""redis-cli, whose hiredis calls connect() again to hear how the first call ended, and a redis-server that replicates from
a master behind a VIP."""
import signal
from typing import List, Tuple

import pytest

from tests.harness import ShimProcess, expect, wait_until
from tests.kube.cluster import Pod
from tests.programs.common import MODES, Backend, World, files_of, files_of_tree, without

pytestmark = pytest.mark.clusters("double")

PORT = 6379
LOCAL = "16379"  # of the replica
PLAIN = ["--save", "", "--appendonly", "no", "--protected-mode", "no", "--repl-diskless-sync-delay", "0"]


def server(*options: str) -> List[str]:
    return ["redis-server", *PLAIN, *options]


def redis(world: World, pods: int = 3) -> Backend:
    """Real servers; the key "pod" tells them apart."""
    backend = world.serve("redis", PORT, lambda pod, _directory: server("--bind", pod.ip), pods)
    for pod in backend.pods:
        ask(world, pod, "set", "pod", pod.name)
    return backend


def ask(world: World, pod: Pod, *command: str, stdin: str = "") -> str:
    """By redis-cli without the shim, at the pod's own address."""
    result = world.run_shim(["redis-cli", "-h", pod.ip, *command], preload=False, stdin=stdin)
    expect((result.returncode, result.stderr), (0, ""), result)
    return result.stdout.strip()


@pytest.mark.parametrize("by", ["vip", "name"])
def test_commands(world: World, by: str) -> None:
    backend = redis(world)
    host = getattr(backend, by)
    # The first connection is of the command line, the others are made by the commands.
    session = f"get pod\nping\nstrlen pod\nconnect {host} {PORT}\n" * 30
    world.both(["redis-cli", "-h", host], {backend: 31}, stdin=session)
    world.both(["redis-cli", "-h", host, "-r", "30", "get", "pod"], {backend: 1})
    world.both(["redis-cli", "-h", host, "get", "pod"], {backend: 1})
    world.both(["redis-cli", "-h", host, "-e", "hget", "pod", "field"], {backend: 1}, returncode=1)


def test_pipe_mode(world: World) -> None:
    backend = redis(world)
    commands = "".join(f"SET key:{number} {'x' * 100}\r\n" for number in range(2000))
    _plain, shim = world.both(["redis-cli", "-h", backend.vip, "--pipe"], {backend: 1}, stdin=commands)
    expect("errors: 0, replies: 2000" in shim.result.stdout, True, shim.result)
    # All of a run went to one pod.
    sizes = {ask(world, pod, "dbsize") for pod in backend.pods}
    expect(sizes, {"1", "2001"})


def test_benchmark_in_parallel(world: World) -> None:
    backend = redis(world)
    command = ["redis-benchmark", "-h", backend.vip, "-c", "29", "-n", "500", "-t", "get", "--threads", "2", "--csv"]
    # One more connection asks for the server's settings.
    world.both(command, {backend: 30}, same=without(r'"[\d.]+"', r"WARNING.*\n"))


def test_publish_and_subscribe(world: World) -> None:
    backend = redis(world)
    news = "".join(f"publish news number-{i}\n" for i in range(30))
    told = []
    for preload in MODES:
        with world.mode(preload), world.counting({backend: 1}, caught=preload):
            subscriber = world.start(["redis-cli", "-h", backend.vip, "subscribe", "news"], preload)
            subscriber.wait_output("subscribe\nnews\n1\n")
        files = files_of_tree(subscriber.pid)
        # Only the pod that it is connected to has a subscriber.
        heard = sorted(ask(world, pod, stdin=news).split() for pod in backend.pods)
        expect(heard, [["0"] * 30, ["0"] * 30, ["1"] * 30], subscriber.result(), world.cluster.logs())
        subscriber.wait_output("number-29\n")
        subscriber.stop(signal.SIGTERM)
        result = subscriber.result()
        told.append((result.stdout, result.stderr, result.returncode, files))
    expect(told[1], told[0])


def copied(world: World, replica: ShimProcess, pod: Pod) -> None:
    """Wait until the replica holds what this master does."""

    def look() -> bool:
        told = world.run_shim(["redis-cli", "-p", LOCAL, "get", "pod"], preload=False)
        return told.stdout.strip() == pod.name

    wait_until(f"a copy of {pod.name}", look, replica.result, pause=0.05)


def replica_of(world: World, backend: Backend, by: str, preload: bool) -> ShimProcess:
    options = ["--bind", "127.0.0.1", "--port", LOCAL, "--replicaof", getattr(backend, by), str(PORT)]
    return world.start(server(*options), preload, cwd=world.new_directory("replica"))


def sockets_and_files(replica: ShimProcess) -> Tuple[int, int]:
    """How many sockets it has, and files with a copy of the master's data; it closes those in the background."""
    kinds = list(files_of(replica.pid).values())
    return kinds.count("socket"), sum(".rdb" in kind for kind in kinds)


@pytest.mark.parametrize("by", ["vip", "name"])
def test_a_replica(world: World, by: str) -> None:
    backend = redis(world, pods=1)
    files = []
    for preload in MODES:
        with world.mode(preload), world.counting({backend: 1}, caught=preload):
            replica = replica_of(world, backend, by, preload)
            copied(world, replica, backend.pods[0])
            wait_until("nothing but the listener and the master", lambda: sockets_and_files(replica) == (2, 0))
            # Not by their numbers: that of the connection to the master depends on who else is connected just then.
            files.append(sorted(files_of(replica.pid).values()))
            stopped = world.run_shim(["redis-cli", "-p", LOCAL, "shutdown", "nosave"], preload=False)
        result = replica.wait()
        expect((stopped.returncode, result.returncode, result.stderr), (0, 0, ""), result)
    expect(files[1], files[0])


def test_a_replica_follows_the_master_to_its_next_pod(world: World) -> None:
    backend = redis(world, pods=1)
    cluster, before = world.cluster, backend.pods[0]
    replica = replica_of(world, backend, "vip", preload=True)
    copied(world, replica, before)

    after = cluster.add_pod("redis-next", before.labels, port=PORT, ready=False, listen=False)
    world.start(server("--bind", after.ip), preload=False, cwd=world.new_directory(after.name), listening=after.endpoint)
    ask(world, after, "set", "pod", after.name)
    cluster.set_ready(after, True)
    cluster.delete_pod(before)
    cluster.wait_endpoints(backend.service, {after.endpoint})
    ask(world, before, "shutdown", "nosave")

    copied(world, replica, after)
    role = world.run_shim(["redis-cli", "-p", LOCAL, "role"], preload=False).stdout.split()
    # The replica goes on telling the address that it was given.
    expect(role[:4], ["slave", backend.vip, str(PORT), "connected"], replica.result())
    expect(world.traffic(backend).vip, 0, replica.result())
