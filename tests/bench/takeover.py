# SPDX-License-Identifier: Apache-2.0
"""Writers that end: what the next one asks the API server for, and what the programs of the Pod see of it.

Needs the namespaces of scripts/in-netns: the VIP is a stand-in for kube-proxy that answers "vip".
"""
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Sequence

from tests.e2e.common import Follower
from tests.harness import Build, ShimRunner, counts, wait_until
from tests.kube.cluster import Pod, Service
from tests.kube.double_cluster import DoubleCluster
from tests.kube.namespace import why_no_netns
from tests.shared import forget
from tests.shared_table.common import asked_of, target, wait_writer

from .freshness import percentile
from .ground import Ground
from .report import Report

TAKEOVERS = counts(10, 100)
SHORT_LIVED = counts(100, 1000)
PROGRAMS = 4  # that run at once
PODS = 4
PAUSE_MS = 5  # between two connections of one program
SLOW_LIST_S = 1.0

# Four workers at a time; each connects for a second and ends, and the parent, which never connects, forks the next one.
PREFORK = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from follow import ask
left = int(sys.argv[4])
def fork():
    if os.fork():
        return
    end = time.monotonic() + 0.5 + os.getpid() % 8 / 8
    while time.monotonic() < end:
        start = time.monotonic()
        result = ask(sys.argv[2], int(sys.argv[3]))
        os.write(1, f"{start:.6f} {time.monotonic() - start:.6f} {result}\\n".encode())
        time.sleep(0.005)
    os._exit(0)
for _ in range(4):
    fork()
while left:
    os.wait()
    left -= 1
    fork()
for _ in range(4):
    os.wait()
"""
CURLS = """i=0; while [ $i -lt $2 ]; do curl -s -m 10 -w '%{time_connect}\\n' "http://$1/" || echo error; echo; i=$((i + 1)); done"""


class Scene:
    """A cluster, one Service in it, and nothing left of programs that were before."""

    def __init__(self, build: Path, directory: Path) -> None:
        forget()
        self.cluster = DoubleCluster()
        self.runner = ShimRunner(Build(build), directory)
        self.service, self.pods = target(self.cluster, PODS)
        self.env = self.cluster.env("web", K8SLB_LOG="off")

    def close(self) -> None:
        self.runner.close()
        self.cluster.close()
        forget()

    def follower(self) -> Follower:
        return Follower(self.runner, self.service, self.env, PAUSE_MS)

    def quiet(self) -> None:
        """A writer has its watches."""
        wait_until("two watches", lambda: self.cluster.server.open_watches() == 2, self.cluster.logs)

    def asked(self, since: Dict[object, int]) -> "Counter[str]":
        """Requests by what they are for, without those that were made before."""
        found: "Counter[str]" = Counter()
        for (_resource, verb), count in (Counter(asked_of(self.cluster)) - Counter(since)).items():
            found[{"ask": "LIST of one", "list": "LIST", "watch": "WATCH"}[verb]] += count
        return found

    def sent(self, since: float) -> int:
        """Bytes of the lists that were answered."""
        return sum(record.bytes_sent for record in self.cluster.server.requests(verb="list") if record.time >= since)


@contextmanager
def scene(ground: Ground) -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(prefix="k8slb-bench-") as directory:
        one = Scene(ground.build, Path(directory))
        try:
            yield one
        finally:
            one.close()


def is_pod(result: str) -> bool:
    return result.startswith("web-")


def told(results: Sequence[str]) -> str:
    """Connections that no pod answered."""
    others = Counter(result for result in results if not is_pod(result))
    return f"{sum(others.values())} of {len(results)}" + (f" ({dict(others)})" if others else "")


def requests(asked: "Counter[str]", takeovers: int) -> str:
    kinds = [f"{kind} {asked[kind] / takeovers:.2f}" for kind in ("LIST", "LIST of one", "WATCH")]
    return ", ".join(kinds)


def seconds(values: List[float]) -> str:
    return f"p50 {percentile(values, 50):.3f}, p99 {percentile(values, 99):.3f}, max {max(values):.3f} s"


def add_shares(report: Report, what: str, asked: "Counter[str]", per: int, results: Sequence[str], sent: int) -> None:
    report.add(f"{what}: requests of each", requests(asked, per), **asked)
    report.add("    bytes of its lists", f"{sent / per:.0f}", sent=sent)
    report.add("    connections that no pod answered", told(results), results=dict(Counter(results)))


def swap(one: Scene, out: Pod, into: Pod) -> None:
    one.cluster.set_ready(into, True)
    one.cluster.set_ready(out, False)


def wait_swapped(follower: Follower, out: Pod, into: Pod, since: float) -> float:
    """How long after since its connections went to the one and no more to the other."""

    def settled(_unused: object = None) -> bool:
        last = [line.result for line in follower.lines(since)][-3 * PODS:]
        return len(last) == 3 * PODS and out.name not in last and into.name in last

    wait_until("a change", settled, follower.__str__, timeout=90)
    lines = follower.lines(since)
    return max([line.start for line in lines if line.result == out.name], default=since) - since


def run_ends(one: Scene, report: Report, what: str, number: int) -> None:
    """Each time the writer ends while a pod takes another one's place."""
    spare = one.cluster.add_pod("web-spare", {"app": "web"}, ready=False)
    followers: List[Follower] = [one.follower() for _ in range(PROGRAMS)]
    ended: List[Follower] = []
    for follower in followers:
        follower.wait_results({pod.name for pod in one.pods})
    before, began, changes = asked_of(one.cluster), time.monotonic(), []
    for _ in range(TAKEOVERS):
        one.quiet()
        writer = next(each for each in followers if each.process.pid == wait_writer())
        since = time.monotonic()
        os.kill(writer.process.pid, number)
        writer.process.process.wait()
        followers.remove(writer)
        ended.append(writer)
        out = one.pods.pop(0)
        swap(one, out, spare)
        one.pods.append(spare)
        spare = out
        changes.append(max(wait_swapped(each, out, one.pods[-1], since) for each in followers))
        followers.append(one.follower())
        followers[-1].wait("an answer", len, 60)
    # Not those that waited for the first table.
    results = [line.result for each in followers + ended for line in each.lines(began)]
    add_shares(report, what, one.asked(before), TAKEOVERS, results, one.sent(began))
    report.add("    last connection to a pod that had gone", seconds(changes), seconds=changes)


def run_prefork(one: Scene, report: Report) -> None:
    command = [sys.executable, "-c", PREFORK, Path(__file__).parents[1] / "e2e" / "programs"]
    began = time.monotonic()
    process = one.runner.start([*command, one.service.vip, one.service.port, TAKEOVERS], env=one.env)
    process.wait_output("web-")
    before = asked_of(one.cluster)
    result = process.wait(600)
    lines = [line.split() for line in result.stdout.splitlines()]
    results = [line[2] for line in lines]
    add_shares(report, f"a prefork server, {TAKEOVERS} workers recycled", one.asked(before), TAKEOVERS,
               results[[is_pod(name) for name in results].index(True):], one.sent(began))
    report.add("    the longest connections", seconds([float(line[1]) for line in lines]))


def run_curls(one: Scene, report: Report, what: str, slow: bool) -> None:
    first = one.follower()
    first.wait_results({pod.name for pod in one.pods})
    one.quiet()
    first.process.stop(signal.SIGTERM)
    if slow:
        one.cluster.server.fault("delay", verb="list", times=None, seconds=SLOW_LIST_S)
    before, began = asked_of(one.cluster), time.monotonic()
    result = one.runner(["sh", "-c", CURLS, "sh", one.service.vip, SHORT_LIVED], env=one.env, timeout=900)
    took = time.monotonic() - began
    # Each answered by the name of a pod, and the time that the connection took.
    lines = [line for line in result.stdout.splitlines() if line]
    names = [line for line in lines if not line[0].isdigit()]
    times = [float(line) for line in lines if line[0].isdigit()]
    asked = one.asked(before)
    report.add(f"{what}: requests of all", ", ".join(f"{kind} {count}" for kind, count in sorted(asked.items())), **asked)
    report.add("    connections that no pod answered", told(names), results=dict(Counter(names)))
    report.add("    a connection; all of them", f"{seconds(times)}; {took:.1f} s", seconds=times, took=took)


def run(ground: Ground, report: Report) -> None:
    reason = why_no_netns()
    if reason:
        raise RuntimeError(reason)
    with scene(ground) as one:
        run_ends(one, report, f"the writer killed, {TAKEOVERS} times", signal.SIGKILL)
    with scene(ground) as one:
        run_ends(one, report, f"the writer ends, {TAKEOVERS} times", signal.SIGTERM)
    with scene(ground) as one:
        run_prefork(one, report)
    with scene(ground) as one:
        run_curls(one, report, f"{SHORT_LIVED} curls", False)
    with scene(ground) as one:
        run_curls(one, report, f"{SHORT_LIVED} curls, a list takes {SLOW_LIST_S:.0f} s", True)
