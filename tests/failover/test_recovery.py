# SPDX-License-Identifier: Apache-2.0
"""A pod that was dead comes back: after its ejection (5 to 10 s, lib/pick/health.h) one connection tries it, and then all do."""
from collections import Counter
from typing import List

import pytest

from tests.failover.common import TIMEOUT_MS, Firewall, client, connections, nonblocking, refuse, revive, sysctl
from tests.harness import ShimRunner, expect, wait_until
from tests.kube.cluster import Cluster, Pod, Service
from tests.preload.common import python, web

pytestmark = pytest.mark.clusters("double")

EJECTION_S = (5.0, 10.0)
# The clients ask ten times a second, and programs take a while to start.
PAUSES_S = 2.0
# Connections of the client whose pod stays dead: it lives longer than the first ejection, and shorter than the first two.
CONNECTIONS = 105
ROUNDS = 5
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
asked = []
if sys.argv[2] == "until failed":
    next(told for told in until_failed() if told == "ECONNREFUSED")
print(*[ask() for _ in range(int(sys.argv[3]))])
"""
SERVICES = "web blogs news"


def expect_even(run_shim: ShimRunner, cluster: Cluster, service: Service, pods: List[Pod], *logs: object) -> None:
    """Whoever comes now finds all pods good."""
    result = run_shim(client(ROUNDS * len(pods), service.name, service.port), env=cluster.env(SERVICES))
    told = Counter(one.result for one in connections(result))
    expect(told, Counter({pod.name: ROUNDS for pod in pods}), result, *logs)


def test_one_connection_tries_it(cluster: Cluster, run_shim: ShimRunner, firewall: Firewall) -> None:
    """At the same time, each with a Service of its own: a blocking program, a non-blocking one, and one whose pod stays dead."""
    services = {name: web(cluster, name=name) for name in SERVICES.split()}
    env = cluster.env(SERVICES)
    dead = services["news"][1][0]
    firewall.drop(dead)
    waiting = run_shim.start(client("--until", dead.name, CONNECTIONS, "news", 80), env=env)
    for name in ("web", "blogs"):
        service, pods = services[name]
        refuse(pods[0])
        run_shim(nonblocking("asked_again", service), env=env)
        revive(pods[0])

    commands = {
        "web": client("--until", "web-0", 200, "web", 80),
        "blogs": nonblocking("until", services["blogs"][0], "blogs-0"),
    }
    running = {name: run_shim.start(command, env=env) for name, command in commands.items()}
    while running:
        name = wait_until("the end of one", lambda: next((n for n, p in running.items() if p.process.poll() is not None), ""))
        result = running.pop(name).result()
        # Its own outcome is known at once. The non-blocking program has asked for its peer, no more, before it ended.
        expect_even(run_shim, cluster, *services[name], result)
        expect((result.returncode, result.stderr), (0, ""), result)
        expect(EJECTION_S[0] - PAUSES_S <= result.seconds <= EJECTION_S[1] + PAUSES_S, True, result)
        if name == "web":
            expect({one.result for one in connections(result)}, {"web-0", "web-1", "web-2"}, result)

    result = waiting.wait()
    told = connections(result)
    expect((len(told), {one.result for one in told}), (CONNECTIONS, {"news-1", "news-2"}), result)
    # At the start, once more when it is no longer suspected, which ejects it, and, if it lives so long, when that is over.
    expect(len([one for one in told if one.ms > TIMEOUT_MS * 0.9]) in (2, 3), True, result)


def test_a_connect_that_sends_nothing_is_no_success(cluster: Cluster, run_shim: ShimRunner) -> None:
    """TCP_FASTOPEN_CONNECT, where the kernel has a cookie of the pod: connect() succeeds, and the pod is as dead as before."""
    env = cluster.env("web")

    def fast_open(way: str, count: int) -> List[str]:
        result = run_shim(python(FAST_OPEN, service.vip, way, count), env=env)
        expect((result.returncode, result.stderr), (0, ""), result)
        return result.stdout.split()

    with sysctl("tcp_fastopen", 0x403):  # clients, and each listener from now on
        service, pods = web(cluster)
        expect(set(fast_open("now", 9)), {"web-0", "web-1", "web-2"})  # cookies
        refuse(pods[0])
        result = run_shim(client(3, service.name, service.port), env=env)
        expect({one.result for one in connections(result)}, {"web-1", "web-2"}, result)
        # Within a second of the connection that tried it.
        told = Counter(fast_open("until failed", 30))
        expect(told["ECONNREFUSED"] <= 1, True, told)
