# SPDX-License-Identifier: Apache-2.0
"""Programs that read an agent's table: of any user, without a thread and without the API server."""
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.agent.common import STRANGER, Agents, reader_env
from tests.e2e.common import stand_in
from tests.harness import ShimRunner, expect, wait_until
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import client, python, tally, web

pytestmark = pytest.mark.clusters("double")


def evenly(pods: int, each: int, name: str = "web") -> "Counter[str]":
    return Counter({f"{name}-{i}": each for i in range(pods)})


@pytest.mark.parametrize("user", ["same", "stranger"])
def test_balanced(cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path, user: str) -> None:
    service, _pods = web(cluster)
    agent = agents.run(cluster, table)
    wait_until("both watches", lambda: cluster.server.open_watches() == 2, cluster.logs)
    asked = cluster.server.counts()
    command = client(str(service.vip), service.port, 30)
    if user == "stranger":
        command = STRANGER + command

    result = run_shim(command, env=reader_env(table, K8SLB_LOG=None))

    expect((result.returncode, tally(result.stdout)), (0, evenly(3, 10)), result, agent.log())
    expect(cluster.server.counts(), asked, cluster.logs())


@pytest.mark.clusters("real")
def test_balanced_by_the_real_api_server(cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path) -> None:
    service, pods = web(cluster)
    agent = agents.run(cluster, table, "--services", "web")

    result = run_shim(client(str(service.vip), service.port, 30), env=reader_env(table))
    expect((result.returncode, tally(result.stdout)), (0, evenly(3, 10)), result, agent.log())

    cluster.delete_pod(pods[0])
    cluster.wait_endpoints(service, 2)
    wait_until(
        "the pod that is gone gets nothing",
        lambda: "web-0" not in run_shim(client(str(service.vip), service.port, 4), env=reader_env(table)).stdout, agent.log,
    )


THREADS = """
import os, socket, sys
def threads():
    return [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
def files():
    return sorted(os.listdir("/proc/self/fd"), key=int)
before = files()
for _ in range(3):
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
        connection.sendall(b"WHO\\n")
        connection.recv(100)
print(len(threads()), files() == before)
"""


@pytest.mark.parametrize("state", ["agent", "no agent"])
def test_no_thread_and_no_descriptor(
    cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path, state: str
) -> None:
    service, _pods = web(cluster)
    vip = stand_in(cluster, service)
    if state == "agent":
        agents.run(cluster, table)
        wait_until("both watches", lambda: cluster.server.open_watches() == 2, cluster.logs)
    asked = cluster.server.counts()

    result = run_shim(python(THREADS, service.vip, service.port), env={**reader_env(table), **cluster.env("web")})

    expect((result.returncode, result.stdout), (0, "1 True\n"), result)
    expect(vip.connections(), 0 if state == "agent" else 3, result)
    expect(cluster.server.counts(), asked, cluster.logs())


def test_the_name_of_a_service(cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path) -> None:
    service, _pods = web(cluster)
    agents.run(cluster, table)

    result = run_shim(client("web", service.port, 6), env=reader_env(table))

    expect((result.returncode, tally(result.stdout)), (0, evenly(3, 2)), result)


@pytest.mark.parametrize(
    "services, balanced",
    [
        ("web", {"web"}),
        ("*/*", {"web", "shop"}),
        ("*", {"web", "shop"}),
        ("default/shop", {"shop"}),
        ("web:80", {"web"}),
        ("web:http", {"web"}),
        ("web:81 shop:https", set()),
        ("other/web other/*", set()),
    ],
)
def test_only_what_the_reader_asks_for(
    cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path, services: str, balanced: "set[str]"
) -> None:
    asked = {name: web(cluster, 2, name)[0] for name in ("web", "shop")}
    for name, service in asked.items():
        cluster.add_pod(f"vip-of-{name}", {}, ip=service.vip, port=service.port)
    agent = agents.run(cluster, table)

    for name, service in asked.items():
        result = run_shim(client(str(service.vip), service.port, 4), env=reader_env(table, services))
        wanted = evenly(2, 2, name) if name in balanced else Counter({f"vip-of-{name}": 4})
        expect(tally(result.stdout), wanted, name, result, agent.log())


def test_a_service_without_endpoints_is_the_kernels(
    cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path
) -> None:
    service = cluster.create_service("web")
    stand_in(cluster, service)
    agent = agents.run(cluster, table)
    for services in ("web", "shop"):
        result = run_shim(client(str(service.vip), service.port), env=reader_env(table, services))
        expect(result.stdout, "vip\n", services, result, agent.log())


def test_a_forked_child_reads_on(cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path) -> None:
    service, _pods = web(cluster)
    agents.run(cluster, table)
    code = """
import os, socket, sys
def ask():
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
        connection.sendall(b"WHO\\n")
        print(connection.makefile().readline().strip(), flush=True)
ask()
if os.fork() == 0:
    for _ in range(5):
        ask()
    os._exit(0)
os.wait()
"""
    result = run_shim(python(code, service.vip, service.port), env=reader_env(table))

    expect((result.returncode, tally(result.stdout)), (0, evenly(3, 2)), result)


def test_each_process_is_served_once(
    cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path
) -> None:
    service, _pods = web(cluster)
    agent = agents.run(cluster, table, "--listen", "127.0.0.1:0")

    for _ in range(3):
        run_shim([sys.executable, "-c", "pass"], env=reader_env(table))
    result = run_shim(client(str(service.vip), service.port, 50), env=reader_env(table))

    expect(sum(tally(result.stdout).values()), 50, result)
    expect(agent.metrics()["k8slb_readers_served_total"], 1.0, result)
