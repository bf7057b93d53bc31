# SPDX-License-Identifier: Apache-2.0
"""A pod that was dead comes back: after its ejection (5 to 10 s, lib/pick/health.h) the writer's thread tries it, and then all do."""
from collections import Counter
from pathlib import Path
from typing import List

import pytest

from tests.failover.common import TIMEOUT_MS, Firewall, client, connections, nonblocking, refuse, revive
from tests.harness import ShimRunner, expect, wait_until
from tests.kube.cluster import Cluster, Pod, Service
from tests.preload.common import python, web

pytestmark = pytest.mark.clusters("double")

EJECTION_S = (5.0, 10.0)
# The clients ask ten times a second, and programs take a while to start.
PAUSES_S = 2.0
# Connections of the client whose pod stays dead: it lives longer than its suspicion, a probe and an ejection.
CONNECTIONS = 140
ROUNDS = 5
SERVICES = "web blogs news"


def expect_even(run_shim: ShimRunner, cluster: Cluster, service: Service, pods: List[Pod], *logs: object) -> None:
    """Whoever comes now finds all pods good."""
    result = run_shim(client(ROUNDS * len(pods), service.name, service.port), env=cluster.env(SERVICES))
    told = Counter(one.result for one in connections(result))
    expect(told, Counter({pod.name: ROUNDS for pod in pods}), result, *logs)


@pytest.mark.own_table
def test_no_connection_has_to_try_it(cluster: Cluster, run_shim: ShimRunner, firewall: Firewall) -> None:
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
    # At the start, and once more where the thread did not come to try the suspect in time; not when the ejection is over.
    expect(len([one for one in told if one.ms > TIMEOUT_MS * 0.9]) in (1, 2), True, result)
    expect(result.log.count(f"endpoint {dead.ip}:{dead.port} was avoided, and is tried: Connection timed out") >= 2, True, result)


def test_the_pod_sees_no_connection_of_ours(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster)
    env = cluster.env("web")
    refuse(pods[0])
    waiting = run_shim.start(client("--until", pods[0].name, 200, "web", 80), env=env)
    wait_until("the pod's ejection", lambda: waiting.result().stdout.count("web-") >= 6, waiting.result)
    accepted = pods[0].connections()
    revive(pods[0])
    result = waiting.wait()
    expect(result.log.count("is tried: it is there"), 1, result)
    expect((connections(result)[-1].result, pods[0].connections() - accepted), (pods[0].name, 1), result)


# Of the same user and with the same table, in a network namespace of its own where the pod is another one, and comes back
# when the file is there.
ELSEWHERE = """
import os, socket, subprocess, sys, threading, time
pods, vip, ready = sys.argv[1:-2], sys.argv[-2], sys.argv[-1]
for pod in pods:
    subprocess.run(["ip", "address", "add", pod, "dev", "lo"], check=True)
def listen(pod):
    listener = socket.create_server((pod, 8080))
    def serve():
        while True:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(pod.encode())
    threading.Thread(target=serve, daemon=True).start()
listen(pods[1])
for _ in range(500):  # one try each time the ejection is over and the thread of the other namespace does not come first
    with socket.create_connection((vip, 80)) as connection:
        told = connection.recv(100).decode()
    print(told, flush=True)
    if told == pods[0]:
        break
    if os.path.exists(ready):
        os.remove(ready)
        listen(pods[0])
    time.sleep(0.1)
"""


def test_in_another_network_namespace(cluster: Cluster, run_shim: ShimRunner, firewall: Firewall, tmp_path: Path) -> None:
    """What the writer's thread can reach says nothing there: the connections of that namespace try for themselves."""
    service, pods = web(cluster, pods=2)
    env = cluster.env("web")
    firewall.drop(pods[0])
    ready = tmp_path / "ready"
    here = run_shim.start(client("--until", "nobody", 1000, "web", 80), env=env)
    wait_until("a table", lambda: here.result().stdout, here.result)
    command = ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "-", *python(ELSEWHERE, *(pod.ip for pod in pods), service.vip, ready)]
    there = run_shim.start(command, env=env)
    wait_until("its own pod", lambda: there.result().stdout.count(pods[1].ip) >= 6, there.result, here.result)
    ready.touch()
    result = there.wait()
    expect((result.returncode, result.stderr, result.stdout.split()[-1]), (0, "", pods[0].ip), result, here.result)
    expect("is tried" in result.log, False, result)
