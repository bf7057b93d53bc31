# SPDX-License-Identifier: Apache-2.0
"""With K8SLB_EVENTS=off a non-blocking connect() has one pod; what became of it is learned without taking anything from the program.

Whether it was learned is asked with K8SLB_ATTEMPTS=1, by a second process: who then comes to a pod that is dead and not known as
that sees it.
"""
import socket
import threading
from collections import Counter
from typing import List

import pytest

from tests.failover.common import KERNEL_MS, SLACK_MS, TIMEOUT_MS, Firewall, client, connections, nonblocking, refuse
from tests.harness import Result, ShimRunner, expect
from tests.kube.cluster import Cluster, Pod, Service
from tests.preload.common import web

pytestmark = pytest.mark.clusters("double")

ROUNDS = 10


def expect_shares(run_shim: ShimRunner, cluster: Cluster, service: Service, pods: List[Pod], *logs: object) -> None:
    """A process that sees each failure comes to these pods only, and to each of them as often."""
    count = ROUNDS * len(pods)
    result = run_shim(client(count, service.name, service.port), env=cluster.env("web", K8SLB_ATTEMPTS="1"))

    told = connections(result)
    expect(Counter(one.result for one in told), Counter({pod.name: ROUNDS for pod in pods}), result, *logs)
    expect([one for one in told if one.ms > TIMEOUT_MS * 0.9], [], result, *logs)


def expect_told(result: Result, output: str) -> None:
    expect((result.returncode, result.stdout, result.stderr), (0, output, ""), result)


def test_without_an_answer_for_longer_than_a_try(cluster: Cluster, run_shim: ShimRunner, firewall: Firewall) -> None:
    service, pods = web(cluster)
    firewall.drop(pods[0])

    result = run_shim(nonblocking("stuck", service), env=cluster.env("web", K8SLB_EVENTS="off"))

    expect_told(result, "stuck 1\n")
    expect_shares(run_shim, cluster, service, pods[1:], result)


@pytest.mark.parametrize(
    "name, output",
    [("read_later", "0 0 ECONNREFUSED\n"), ("asked_again", "0 0 ECONNREFUSED\n"), ("forked", "0 0 0 ECONNREFUSED\n")],
)
def test_refused(cluster: Cluster, run_shim: ShimRunner, name: str, output: str) -> None:
    service, pods = web(cluster)
    refuse(pods[1])

    result = run_shim(nonblocking(name, service), env=cluster.env("web", K8SLB_EVENTS="off"))

    expect_told(result, output)
    expect_shares(run_shim, cluster, service, [pods[0], pods[2]], result)


def test_a_failure_of_an_earlier_connection_elsewhere(cluster: Cluster, run_shim: ShimRunner) -> None:
    """The kernel tells it to the next connect(), whose pod was not even asked."""
    service, pods = web(cluster)

    result = run_shim(nonblocking("failed_elsewhere", service, pods[0].ip, 9), env=cluster.env("web", K8SLB_EVENTS="off"))

    expect_told(result, "ECONNREFUSED ECONNREFUSED ECONNREFUSED\n")
    expect_shares(run_shim, cluster, service, pods, result)


def test_taken_back_by_the_program(cluster: Cluster, run_shim: ShimRunner, firewall: Firewall) -> None:
    service, pods = web(cluster)
    firewall.drop(*pods)

    result = run_shim(nonblocking("taken_back", service), env=cluster.env("web", K8SLB_EVENTS="off"))

    expect_told(result, "0 0 0\n")
    firewall.allow_all()
    expect_shares(run_shim, cluster, service, pods, result)


def reset_one(listener: socket.socket) -> None:
    connection, _peer = listener.accept()
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def test_connected_and_reset_later(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster)
    refuse(*pods)
    listeners = [socket.create_server(pod.endpoint) for pod in pods]
    threads = [threading.Thread(target=reset_one, args=(listener,), daemon=True) for listener in listeners]
    for thread in threads:
        thread.start()

    result = run_shim(nonblocking("reset_later", service), env=cluster.env("web", K8SLB_EVENTS="off"))

    expect_told(result, "reset\n" * 3)
    for listener in listeners:
        listener.close()
    for pod in pods:
        pod.listeners[0].start()
    expect_shares(run_shim, cluster, service, pods, result)


def test_an_event_loop_stops_waiting(cluster: Cluster, run_shim: ShimRunner, firewall: Firewall) -> None:
    service, pods = web(cluster)
    firewall.drop(pods[2])

    result = run_shim(nonblocking("event_loop", service), env=cluster.env("web", K8SLB_EVENTS="off"))

    lines = [line.split() for line in result.stdout.splitlines()]
    expect((len(lines), result.stderr), (60, ""), result)
    # Once the first one has waited for a second, nobody is sent there any more.
    late = [line for line in lines if float(line[0]) > (KERNEL_MS + 3 * SLACK_MS) / 1000]
    expect({line[2] for line in late}, {"web-0", "web-1"}, result)
    lost = [line for line in lines if line[2] == "TimeoutError"]
    expect(0 < len(lost) <= len(lines) / 3, True, result)
    expect_shares(run_shim, cluster, service, pods[:2], result)
