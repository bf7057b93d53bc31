# SPDX-License-Identifier: Apache-2.0
"""Go programs that the loader loads, and what the table says: pods that are dead, fenced off or not to be had, a writer that stands
still, ends or has none to see it, an agent's table. A connection fails only where the Service's own address fails."""
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Callable, List, Sequence, Set

import pytest

from tests.agent.common import Agents, reader_env
from tests.e2e.common import stand_in
from tests.failover.common import no_route, route_again
from tests.failover.test_last_endpoint import fence
from tests.harness import Build, Environment, Result, ShimProcess, ShimRunner, counts, expect, wait_until
from tests.hazards.guests import public_credentials, public_directory
from tests.kube.cluster import Pod
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import python, web
from tests.preload.test_family import dual_stack, needs_ipv6
from tests.programs.gobuilds import HAS_TABLE, PATCHED, built
from tests.shared_table.common import bulk

pytestmark = pytest.mark.clusters("double")
root = pytest.fixture(public_directory)


@pytest.fixture
def program() -> Path:
    return built()


class Watch:
    """godial that dials until the test's end."""

    def __init__(self, run_shim: ShimRunner, program: Path, directory: Path, address: str, env: Environment, before: Sequence[object] = ()) -> None:
        self.drop, self._end = directory / "drop", directory / "end"
        files = {"DROP": str(self.drop), "END": str(self._end)}
        self.process = run_shim.start([*before, program, "watch", address], env={**env, **files})

    def lines(self) -> List[str]:
        return self.process.result().stdout.splitlines()

    def wait(self, wanted: Set[str], last: int = 9) -> None:
        """Until the last answers are these."""
        wait_until(f"answers {sorted(wanted)}", lambda: len(self.lines()) > last and set(self.lines()[-last:]) == wanted, self.process.result)

    def again(self) -> None:
        """For another one in its place."""
        self._end.unlink()

    def end(self) -> Result:
        self._end.touch()
        result = self.process.wait()
        expect((result.returncode, result.stderr), (0, ""), result)
        expect([line for line in result.stdout.splitlines() if " " in line], [], result)  # failures
        return result


Watching = Callable[..., Watch]


@pytest.fixture
def watching(run_shim: ShimRunner, program: Path, tmp_path: Path) -> Watching:
    def watch(address: str, env: Environment, before: Sequence[object] = (), directory: Path = tmp_path) -> Watch:
        made = Watch(run_shim, program, directory, address, env, before)
        made.process.wait_log(PATCHED)
        return made

    return watch


def names(pods: Sequence[Pod]) -> Set[str]:
    return {pod.name for pod in pods}


def test_pods_come_and_go(cluster: DoubleCluster, watching: Watching) -> None:
    """By the engine that the constructor started; nobody else runs here."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    watch = watching(f"{service.vip}:80", cluster.env("web"))
    watch.wait(names(pods))
    cluster.delete_pod(pods[0])
    new = cluster.add_pod("new", {"app": "web"})
    watch.wait(names([*pods[1:], new]))
    for pod in [*pods[1:], new]:
        cluster.delete_pod(pod)
    watch.wait({"vip"})
    watch.end()


def raw(run_shim: ShimRunner, program: Path, directory: Path, address: str, count: int, env: Environment) -> "Counter[str]":
    """Who answered to blocking connections by the bare system call, from an address that may be read and not written."""
    begin = directory / "begin"
    run = run_shim.start([program, "raw", address, count, 4], env={**env, "AFTER": str(begin)})
    run.wait_log(HAS_TABLE)
    begin.touch()
    result = run.wait()
    expect((result.returncode, result.stderr), (0, ""), result)
    told = json.loads(result.stdout)
    expect(told["Failures"], {}, result)
    return Counter(told["Answers"])


def test_the_programs_memory(cluster: DoubleCluster, run_shim: ShimRunner, program: Path, tmp_path: Path) -> None:
    """The address may be read and not written, and ends with its page."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    count = counts(60, 6000)
    expect(raw(run_shim, program, tmp_path, f"{service.vip}:80", count, cluster.env("web")), Counter({pod.name: count // 3 for pod in pods}))


@pytest.mark.parametrize("fallback", ["vip", "none"])
def test_a_pod_refuses(cluster: DoubleCluster, run_shim: ShimRunner, program: Path, tmp_path: Path, fallback: str) -> None:
    """Where connect() itself says so the Service's own address is next, in the same call; with nothing there the failure stays."""
    service, pods = web(cluster, pods=2)
    cluster.add_pod("dead", {"app": "web"}, listen=False)
    cluster.wait_endpoints(service, 3)
    stand_in(cluster, service)
    env = cluster.env("web", K8SLB_FALLBACK=fallback)
    if fallback == "none":
        with pytest.raises(AssertionError, match="{'connection refused': 20}"):
            raw(run_shim, program, tmp_path, f"{service.vip}:80", 60, env)
    else:
        expect(raw(run_shim, program, tmp_path, f"{service.vip}:80", 60, env), Counter({"vip": 20, **{pod.name: 20 for pod in pods}}))


def test_a_pod_has_no_route(cluster: DoubleCluster, watching: Watching) -> None:
    service, pods = web(cluster)
    stand_in(cluster, service)
    no_route("throw", pods[0])
    try:
        watch = watching(f"{service.vip}:80", cluster.env("web"))
        watch.wait({*names(pods[1:]), "vip"})
        watch.end()
    finally:
        route_again("throw", pods[0])


@pytest.mark.parametrize("kind", ["landlock", "seccomp", "cgroup"])
def test_a_fence_around_the_pods(cluster: DoubleCluster, watching: Watching, tmp_path: Path, kind: str) -> None:
    """EACCES and EPERM are our address's. The supervisor of seccomp reads the address that was chosen from our memory; a pod that was
    refused is not asked again."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    denied = tmp_path / "denied"
    denied.touch()
    watch = watching(f"{service.vip}:80", cluster.env("web", FENCE_LOG=str(denied)), before=fence(cluster, kind))
    watch.process.wait_log(HAS_TABLE)
    watch.wait({"vip"}, 30)
    result = watch.end()
    expect(set(result.stdout.split()), {"vip"}, result)
    if kind == "seccomp":
        expect(Counter(denied.read_text().splitlines()), Counter(f"denied {pod.ip}" for pod in pods), result)


def holder(run_shim: ShimRunner, cluster: DoubleCluster, services: str = "web") -> ShimProcess:
    """A process of another kind, which writes the table."""
    code = "import socket, time; socket.gethostbyname('web'); print('holds', flush=True); time.sleep(600)"
    process = run_shim.start([sys.executable, "-c", code], env=cluster.env(services))
    process.wait_output("holds")
    return process


# That another one takes its place takes 17 to 21 s.
@pytest.mark.parametrize("ends", ["wakes", "is killed", "never wakes"][: counts(2, 3)])
def test_a_writer_stands_still(cluster: DoubleCluster, run_shim: ShimRunner, watching: Watching, ends: str) -> None:
    """Its table is none after three seconds. Nobody tells our thread of it: it looks by itself."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    writer = holder(run_shim, cluster).pid
    watch = watching(f"{service.vip}:80", cluster.env("web"))
    watch.wait(names(pods))
    os.kill(writer, signal.SIGSTOP)
    try:
        watch.wait({"vip"})
        if ends == "wakes":
            os.kill(writer, signal.SIGCONT)
        elif ends == "is killed":
            os.kill(writer, signal.SIGKILL)
        else:
            watch.process.wait_log("stands still: its place is taken")
        watch.wait(names(pods))
    finally:
        os.kill(writer, signal.SIGCONT)
    watch.end()


def test_a_table_grows(cluster: DoubleCluster, run_shim: ShimRunner, watching: Watching) -> None:
    """It moves to another place, where our thread finds it."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    cluster.create_service("bulk", selector={})
    holder(run_shim, cluster, "web,bulk")
    watch = watching(f"{service.vip}:80", cluster.env("web,bulk"))
    watch.wait(names(pods))
    bulk(cluster, 5000)
    pods.append(cluster.add_pod("late", {"app": "web"}))
    watch.wait(names(pods), 12)
    watch.end()


def test_an_agents_table(cluster: DoubleCluster, watching: Watching, build: Build, tmp_path: Path) -> None:
    """Received by the thread, also that of the next agent; what the program does not ask for is not ours."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    agents = Agents(build, tmp_path)
    table = tmp_path / "table"
    try:
        agent = agents.run(cluster, table)
        watch = watching(f"{service.vip}:80", reader_env(table))
        watch.wait(names(pods))
        agent.kill()
        watch.wait({"vip"})
        agents.run(cluster, table)
        watch.wait(names(pods))
        watch.end()
        watch.again()
        watch = watching(f"{service.vip}:80", reader_env(table, "web:81 other/*"))
        watch.process.wait_log(HAS_TABLE)
        watch.wait({"vip"}, 30)
        watch.end()
    finally:
        agents.close()


def test_datagrams_at_the_same_address(cluster: DoubleCluster, watching: Watching) -> None:
    """What kind of socket it is could be asked of the kernel alone: such a port is left alone."""
    ports = [{"name": name.lower(), "port": 80, "targetPort": 8080, "protocol": name} for name in ("TCP", "UDP")]
    service = cluster.create_service("web", ports=ports)
    pods = [cluster.add_pod(f"web-{i}", {"app": "web"}) for i in range(2)]
    cluster.wait_endpoints(service, {pod.endpoint for pod in pods})
    stand_in(cluster, service)
    watch = watching(f"{service.vip}:80", cluster.env("web"))
    watch.process.wait_log(r"table \d+: ")
    watch.wait({"vip"}, 30)
    watch.end()


@needs_ipv6
def test_both_families(cluster: DoubleCluster, watching: Watching) -> None:
    service, pods = dual_stack(cluster, "IPv4", "IPv6")
    cluster.add_pod("vip", {"app": "stand-in-for-kube-proxy"}, ip=tuple(sorted(service.vips, key=lambda vip: ":" in vip)), port=80)
    for vip in service.vips:
        watch = watching(f"[{vip}]:80" if ":" in vip else f"{vip}:80", cluster.env("web"))
        watch.wait(names(pods))
        watch.end()
        watch.again()


def test_session_affinity(cluster: DoubleCluster, watching: Watching) -> None:
    service = cluster.create_service("web", sessionAffinity="ClientIP")
    pods = [cluster.add_pod(f"web-{i}", {"app": "web"}) for i in range(3)]
    cluster.wait_endpoints(service, {pod.endpoint for pod in pods})
    stand_in(cluster, service)
    watch = watching(f"{service.vip}:80", cluster.env("web"))
    watch.process.wait_log(r"table \d+: ")
    wait_until("a pod", lambda: set(watch.lines()[-20:]) - {"vip"} and len(set(watch.lines()[-20:])) == 1, watch.process.result)
    watch.end()


def test_another_user(cluster: DoubleCluster, watching: Watching, root: Path) -> None:
    """Setuid(), by libc: our thread ends where it would answer otherwise, and begins anew though no hook comes by."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    watch = watching(f"{service.vip}:80", public_credentials(cluster.env("web"), root), directory=root)
    watch.wait(names(pods))
    watch.drop.touch()
    watch.process.wait_output("dropped")
    watch.wait(names(pods))
    watch.end()


@pytest.mark.parametrize("role", ["writes the table", "follows"])
def test_another_user_past_libc(cluster: DoubleCluster, run_shim: ShimRunner, root: Path, role: str) -> None:
    """A program without libc drops its rights by raw calls, which nothing tells our thread: it sees that, and goes for good."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    env = public_credentials(cluster.env("web"), root)
    if role == "follows":
        code = "import socket, sys, time\nsocket.create_connection((sys.argv[1], 80)).close()\ntime.sleep(600)\n"
        run_shim.start(python(code, service.vip), env=env).wait_log("table 1: ")
    watch = Watch(run_shim, built("pie"), root, f"{service.vip}:80", env)
    watch.process.wait_log(PATCHED)
    watch.wait(names(pods))
    watch.drop.touch()
    watch.process.wait_output("dropped")
    watch.wait({"vip"}, 300)
    tasks = Path(f"/proc/{watch.process.pid}/task").iterdir()
    expect([task for task in tasks if (task / "comm").read_text() == "k8slb\n"], [], watch.process.result())
    watch.end()
