# SPDX-License-Identifier: Apache-2.0
"""Hazard: the program is process 1 of its container, which all orphans become children of.

A naive shim that forks a helper makes a child that the program does not know: SIGCHLD, a stranger's number from wait(), a
zombie; and its exit() would end the container.
Defence: a thread, never a process; no signal reaches or leaves it.
"""
import sys
from collections import Counter

import pytest

from tests.harness import ShimRunner, expect
from tests.hazards.lifecycle import SERVERS, server, three_and_vip
from tests.kube.double_cluster import DoubleCluster

pytestmark = pytest.mark.clusters("double")

# A small init: 5 children, each leaving an orphan behind; every wait() and SIGCHLD is told, and what is left at the end.
# The handler only counts, and signals may merge, so the number of them is told as "some".
INIT = """
import os, signal, socket, sys
seen = []
signal.signal(signal.SIGCHLD, lambda *_: seen.append(1))
def ask():
    with socket.create_connection((sys.argv[1], 80)) as s:
        s.sendall(b"WHO\\n")
        return s.recv(100).decode().strip()
answers = [ask() for _ in range(6)]
print("signals before the first child", len(seen))
known = {}
for number in range(5):
    pid = os.fork()
    if pid == 0:
        if os.fork() == 0:
            os._exit(50 + number)
        os._exit(10 + number)
    known[pid] = number
ended = []
while True:
    try:
        pid, status = os.wait()
    except ChildProcessError:
        break
    ended.append((known.get(pid, "orphan"), os.WEXITSTATUS(status)))
print("pid", os.getpid(), "ended", sorted(ended, key=str), "signals", "some" if seen else "none")
answers += [ask() for _ in range(6)]
states = {}
for name in filter(str.isdigit, os.listdir("/proc")):
    states[int(name)] = open(f"/proc/{name}/stat").read().rpartition(")")[2].split()[0]
print("processes", sorted(states), "zombies", [pid for pid, state in states.items() if state == "Z"])
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no child")
print("answers", *answers, file=sys.stderr)
sys.exit(3)
"""


@pytest.mark.parametrize("behaviour", SERVERS)
def test_process_1_sees_its_own_children_only(cluster: DoubleCluster, run_shim: ShimRunner, behaviour: str) -> None:
    service, pods = three_and_vip(cluster)
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", INIT, service.vip]

    plain = run_shim(command, preload=False)
    with server(cluster, behaviour, K8SLB_SYNC_TIMEOUT="2000" if behaviour == "normal" else "50") as env:
        result = run_shim(command, env=env)

    expect(plain.returncode, 3, plain)
    expect((result.returncode, result.stdout), (plain.returncode, plain.stdout), result, plain)
    balanced = {pod.name: 4 for pod in pods} if behaviour == "normal" else {"vip": 12}
    expect(Counter(result.stderr.split()[1:]), Counter(balanced), result)
