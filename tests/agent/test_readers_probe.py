# SPDX-License-Identifier: Apache-2.0
"""Where no thread of ours can try a pod that was dead, one connection does: that of a program that reads an agent's table."""
from collections import Counter
from pathlib import Path
from typing import List

import pytest

from tests.agent.common import Agents, reader_env
from tests.failover.common import client, connections, refuse, revive, sysctl
from tests.harness import ShimRunner, expect, wait_until
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import python, web

pytestmark = pytest.mark.clusters("double")

# Asks by TCP_FASTOPEN_CONNECT until a connection fails, and then so many times more.
FAST_OPEN = """
import errno, socket, sys, time
def ask():
    with socket.socket() as s:
        s.setsockopt(socket.IPPROTO_TCP, 30, 1)
        try:
            s.connect((sys.argv[1], 80))
            s.sendall(b"WHO\\n")
            return s.recv(100).decode().strip()
        except OSError as error:
            return errno.errorcode[error.errno]
def until_failed():
    for _ in range(200):
        yield ask()
        time.sleep(0.1)
if sys.argv[2] == "until failed":
    next(told for told in until_failed() if told == "ECONNREFUSED")
print(*[ask() for _ in range(int(sys.argv[3]))])
"""


def test_one_connection_tries_it(cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path) -> None:
    service, pods = web(cluster)
    agent = agents.run(cluster, table)
    refuse(pods[0])
    waiting = run_shim.start(client("--until", pods[0].name, 200, service.vip, service.port), env=reader_env(table))
    wait_until("the pod's ejection", lambda: waiting.result().stdout.count("web-") >= 6, waiting.result)
    revive(pods[0])
    result = waiting.wait()
    expect((result.returncode, connections(result)[-1].result), (0, pods[0].name), result, agent.log())


def test_a_connect_that_sends_nothing_is_no_success(cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path) -> None:
    """TCP_FASTOPEN_CONNECT, where the kernel has a cookie of the pod: connect() succeeds, and the pod is as dead as before."""
    env = reader_env(table)

    def fast_open(way: str, count: int) -> List[str]:
        result = run_shim(python(FAST_OPEN, service.vip, way, count), env=env)
        expect((result.returncode, result.stderr), (0, ""), result)
        return result.stdout.split()

    with sysctl("tcp_fastopen", 0x403):  # clients, and each listener from now on
        service, pods = web(cluster)
        agents.run(cluster, table)
        expect(set(fast_open("now", 9)), {"web-0", "web-1", "web-2"})  # cookies
        refuse(pods[0])
        result = run_shim(client(3, service.name, service.port), env=env)
        expect({one.result for one in connections(result)}, {"web-1", "web-2"}, result)
        # Within a second of the connection that tried it.
        told = Counter(fast_open("until failed", 30))
        expect(told["ECONNREFUSED"] <= 1, True, told)
