# SPDX-License-Identifier: Apache-2.0
"""Agents that end, hang and come back under programs that run: no connection fails, and the table is found again."""
import re
import signal
from collections import Counter
from pathlib import Path
from typing import List

import pytest

from tests.agent.common import Agents, reader_env
from tests.e2e.common import stand_in
from tests.harness import ShimProcess, ShimRunner, counts, expect, wait_until
from tests.kube.cluster import Service
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import python, tally, web

pytestmark = pytest.mark.clusters("double")

# Connects every few milliseconds until the file is there; one line for each: the pod, or the error.
LOOP = """
import errno, os, socket, sys, time
while not os.path.exists(sys.argv[3]):
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as connection:
            connection.sendall(b"WHO\\n")
            print(connection.makefile().readline().strip(), flush=True)
    except OSError as error:
        print(errno.errorcode.get(error.errno, str(error)), flush=True)
    time.sleep(0.005)
"""
PODS = {"web-0", "web-1", "web-2"}


class Loop:
    def __init__(self, run_shim: ShimRunner, service: Service, table: Path, services: str = "web") -> None:
        self._end = table.parent / "end"
        code = python(LOOP, service.vip, service.port, self._end)
        self.process: ShimProcess = run_shim.start(code, env=reader_env(table, services))
        self.mark()
        wait_until("connections", lambda: len(self.since_mark()) > 3, self.process.result)

    def lines(self) -> List[str]:
        return self.process.result().stdout.split("\n")[:-1]

    def mark(self) -> None:
        self._seen = len(self.lines())

    def since_mark(self) -> List[str]:
        return self.lines()[self._seen:]

    def wait_mapped(self, pod: str) -> None:
        wait_until(f"a connection to {pod}", lambda: pod in self.since_mark(), self.process.result)

    def tables(self) -> int:
        """Memory of agents that it holds."""
        maps = Path(f"/proc/{self.process.pid}/maps").read_text()
        return len(re.findall(r"memfd:k8slb-table", maps))

    def end(self) -> "Counter[str]":
        self._end.touch()
        return tally(self.process.wait().stdout)


def lists(cluster: DoubleCluster) -> int:
    """Without those for one item, which only ask for the server's version."""
    return len([record for record in cluster.server.requests(verb="list") if record.query.get("limit") != "1"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_under_load(
    cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path, number: "signal.Signals"
) -> None:
    """Each connection goes to a pod, or between two agents to kube-proxy, and each agent lists once."""
    service, _pods = web(cluster)
    stand_in(cluster, service)
    agent = agents.run(cluster, table)
    listed = lists(cluster)
    loop = Loop(run_shim, service, table)
    rounds = counts(3, 20)
    for round_ in range(rounds):
        expect(agent.end(number), 0 if number == signal.SIGTERM else -number, agent.log())
        loop.mark()
        wait_until("it goes on", lambda: len(loop.since_mark()) > 20, loop.process.result)
        agent = agents.run(cluster, table)
        # The new table reaches the program, and not only new ones.
        pod = cluster.add_pod(f"new-{round_}", {"app": "web"})
        loop.wait_mapped(pod.name)
        assert loop.tables() <= 2, loop.tables()

    seen = loop.end()
    assert all(re.fullmatch(r"web-\d|new-\d+|vip", name) for name in seen), seen
    expect(lists(cluster), listed * (1 + rounds), cluster.logs(), agent.log())


def test_an_agent_that_hangs(cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path) -> None:
    """Nobody knows what its table is worth until it goes on."""
    service, _pods = web(cluster, 2)
    stand_in(cluster, service)
    agent = agents.run(cluster, table)
    loop = Loop(run_shim, service, table)

    agent.process.send_signal(signal.SIGSTOP)
    loop.process.wait_log("no table of an agent at .*: no answer")
    loop.mark()
    wait_until("connections", lambda: len(loop.since_mark()) > 20, loop.process.result)
    expect(set(loop.since_mark()), {"vip"}, loop.process.result())
    cluster.add_pod("new-0", {"app": "web"})
    agent.process.send_signal(signal.SIGCONT)
    loop.wait_mapped("new-0")

    expect(set(loop.end()), {"web-0", "web-1", "new-0", "vip"}, agent.log(), loop.process.result())


def test_what_the_reader_does_not_ask_for_is_left_alone_without_the_agent(
    cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path
) -> None:
    """A call that looks for the agent, and finds none, knows as much of the old table as the others."""
    service, _pods = web(cluster)
    stand_in(cluster, service)
    agent = agents.run(cluster, table)
    loop = Loop(run_shim, service, table, "shop")
    agent.end(signal.SIGKILL)

    wait_until("the agent is looked for", lambda: "no table of an agent" in loop.process.result().log)
    loop.mark()
    wait_until("more", lambda: len(loop.since_mark()) > 200)

    expect(set(loop.end()), {"vip"}, agent.log())


def test_started_before_its_agent(cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path) -> None:
    service, _pods = web(cluster)
    stand_in(cluster, service)
    loop = Loop(run_shim, service, table)
    expect(set(loop.since_mark()), {"vip"}, loop.process.result())
    agents.run(cluster, table)

    for pod in ("web-0", "web-1", "web-2"):
        loop.wait_mapped(pod)
    assert "no table of an agent" in loop.process.result().log, loop.process.result()
    loop.mark()
    wait_until("more", lambda: len(loop.since_mark()) > 10)
    assert "vip" not in loop.since_mark(), loop.since_mark()


def test_a_table_that_is_outgrown(cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path) -> None:
    """Programs move to the larger one at once: the change that made it grow is the first thing they see."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    agent = agents.run(cluster, table, "--listen", "127.0.0.1:0")
    loop = Loop(run_shim, service, table)
    served = agent.metrics()["k8slb_readers_served_total"]
    bulk = [
        {
            "metadata": {"name": f"bulk-{i}", "namespace": "default", "labels": {"kubernetes.io/service-name": "bulk"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [f"10.{200 + i}.{n // 250}.{n % 250 + 1}"], "conditions": {"ready": True}}
                          for n in range(1000)],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }
        for i in range(10)
    ]
    cluster.create_service("bulk", selector={})
    cluster.server.load("endpointslices", bulk)
    wait_until("a larger table", lambda: agent.metrics()["k8slb_table_endpoints"] > 10000, agent.log)
    cluster.delete_pod(pods[0])
    loop.mark()
    wait_until("the pod is gone", lambda: len(loop.since_mark()) > 20 and "web-0" not in loop.since_mark()[-10:],
               loop.process.result)

    moves = agent.metrics()["k8slb_readers_served_total"] - served
    assert 1 <= moves <= 6, (moves, agent.log())
    expect(set(loop.end()), {"web-0", "web-1", "web-2"}, agent.log())


def test_a_restart_without_the_api_server(
    cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path
) -> None:
    """Programs that run and those that start are kube-proxy's until the new agent has a table."""
    service, _pods = web(cluster)
    stand_in(cluster, service)
    agent = agents.run(cluster, table)
    before = Loop(run_shim, service, table)
    cluster.stop_api()
    agent.end(signal.SIGKILL)

    agent = agents.start(cluster, table, env={"K8SLB_RETRY_DELAY": "1"})
    agent.wait_log("Could not connect to server")
    wait_until("nobody believes it", lambda: set(before.lines()[-20:]) == {"vip"}, before.process.result)
    after = Loop(run_shim, service, table)
    expect(set(after.lines()), {"vip"}, agent.log())

    cluster.start_api()
    for loop in (before, after):
        loop.mark()
    for pod in PODS:
        after.wait_mapped(pod)
    seen = before.end()
    expect((set(seen) - PODS, set(after.end()) - PODS), ({"vip"}, {"vip"}), agent.log())


def test_the_table_goes_out_of_date(cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path) -> None:
    """By the reader's own K8SLB_MAX_AGE, whatever the agent's is: addresses may be other pods' by now."""
    cluster.server.set(bookmark_interval=0.3, leases=True)
    service, _pods = web(cluster)
    stand_in(cluster, service)
    agents.run(cluster, table)
    code = python(LOOP, service.vip, service.port, table.parent / "end")
    process = run_shim.start(code, env=reader_env(table, K8SLB_MAX_AGE="2"))
    other = run_shim.start(code, env=reader_env(table))
    process.wait_output("web-0")
    cluster.server.set(bookmark_interval=0)

    wait_until("left to kube-proxy", lambda: process.result().stdout.endswith("vip\n"), process.result)
    expect(set(tally(other.result().stdout)), PODS, other.result())
    (table.parent / "end").touch()
