# SPDX-License-Identifier: Apache-2.0
"""The agent as a service: readiness, its end, one for each path, its command line, its files."""
import os
import shutil
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import List

import pytest

from tests.agent.common import Agents, reader_env
from tests.cli.common import run_cli
from tests.e2e.common import stand_in
from tests.harness import Build, ShimRunner, expect, wait_until
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import client, web

pytestmark = pytest.mark.clusters("double")


class Manager:
    """The socket of a service manager. name: a path, or "@..." for an abstract one."""

    def __init__(self, name: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self._socket.settimeout(15)

    def next(self) -> List[str]:
        return self._socket.recv(4096).decode().split("\n")

    def silent(self) -> bool:
        self._socket.setblocking(False)
        try:
            self._socket.recv(4096)
        except BlockingIOError:
            return True
        finally:
            self._socket.settimeout(15)
        return False

    def fill(self, name: str) -> None:
        """Others tell so much that its queue has no room left."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            try:
                while True:
                    other.sendto(b"full", name)
            except BlockingIOError:
                pass

    def close(self) -> None:
        self._socket.close()


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_readiness(cluster: DoubleCluster, agents: Agents, table: Path, tmp_path: Path, kind: str) -> None:
    """READY comes with the first table and not before; the end is told too."""
    web(cluster)
    name = str(tmp_path / "notify") if kind == "path" else f"@k8slb-test-{os.getpid()}"
    manager = Manager(name)
    try:
        cluster.stop_api()
        agent = agents.start(cluster, table, env={"NOTIFY_SOCKET": name})
        agent.wait_log("connect")
        expect((manager.silent(), table.exists()), (True, False), agent.log())
        cluster.start_api()

        ready = manager.next()
        expect(ready[0], "READY=1", agent.log())
        assert ready[1].startswith("STATUS=2 Services, 4 endpoints"), ready
        assert stat.S_ISSOCK(table.stat().st_mode)
        expect(agent.end(), 0, agent.log())
        told = manager.next()
        while not told[0].startswith("STOPPING"):
            told = manager.next()
        expect(told, ["STOPPING=1", "STATUS=ends"], agent.log())
    finally:
        manager.close()


def test_a_manager_that_is_busy(cluster: DoubleCluster, agents: Agents, table: Path, tmp_path: Path) -> None:
    """READY is told when there is room for it: without it the manager would end the service."""
    name = str(tmp_path / "notify")
    manager = Manager(name)
    try:
        manager.fill(name)
        agents.run(cluster, table, env={"NOTIFY_SOCKET": name})

        told = manager.next()
        while told == ["full"]:
            told = manager.next()
        expect(told[0], "READY=1")
    finally:
        manager.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(
    cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path, number: "signal.Signals"
) -> None:
    """Status 0, the socket is gone, and nobody believes the table any more."""
    service, _pods = web(cluster)
    stand_in(cluster, service)
    agent = agents.run(cluster, table)
    go = table.parent / "go"
    code = """
import os, socket, sys, time
def ask():
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
        connection.sendall(b"WHO\\n")
        return connection.makefile().readline().strip()
ask()
print("first", flush=True)
while not os.path.exists(sys.argv[3]):
    time.sleep(0.01)
print(*sorted({ask() for _ in range(6)}))
"""
    reader = run_shim.start([sys.executable, "-c", code, service.vip, str(service.port), go], env=reader_env(table))
    reader.wait_output("first")

    expect(agent.end(number), 0, agent.log())
    expect(sorted(path.name for path in table.parent.iterdir()), ["table.lock"], agent.log())
    go.touch()
    result = reader.wait()
    expect((result.returncode, result.stdout.splitlines()[-1]), (0, "vip"), result)


def test_while_the_api_server_hangs(cluster: DoubleCluster, agents: Agents, table: Path) -> None:
    cluster.server.fault("stall", resource="services")
    agent = agents.start(cluster, table)
    wait_until("a request", lambda: cluster.server.counts() > 0, agent.log)

    expect(agent.end(timeout=5), 0, agent.log())


def test_while_a_name_lookup_hangs(cluster: DoubleCluster, agents: Agents, table: Path) -> None:
    """Which takes the resolver's time, and looks at no signal meanwhile."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 53))
        silent.settimeout(5)
        agent = agents.start(cluster, table, env={"K8SLB_API": "http://nowhere.example"})
        try:
            silent.recv(512)
        except socket.timeout:
            pytest.skip("/etc/resolv.conf is not ours here")

        expect(agent.end(timeout=4), 0, agent.log())


def test_one_agent_at_a_path(cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path) -> None:
    service, _pods = web(cluster)
    first = agents.run(cluster, table)

    second = agents.start(cluster, table)
    expect(second.process.wait(), 1, second.log())
    expect(second.log(), f"k8slb agent: another agent serves {table}; end that one, or give --table another path\n")

    result = run_shim(client(str(service.vip), service.port, 3), env=reader_env(table))
    expect(sorted(result.stdout.split()), ["web-0", "web-1", "web-2"], result, first.log())
    agents.run(cluster, table.parent / "other")


@pytest.mark.parametrize("mode, wanted", [(None, 0o666), ("0600", 0o600), ("660", 0o660)])
def test_rights(cluster: DoubleCluster, agents: Agents, place: Path, mode: "str | None", wanted: int) -> None:
    """Of the socket as asked for; the lock is the agent's own; the directory is made."""
    table = place / "made" / "table"
    agents.run(cluster, table, *(["--mode", mode] if mode else []))

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in table.parent.iterdir()}
    expect(modes, {"table": wanted, "table.lock": 0o600})
    expect(stat.S_IMODE(table.parent.stat().st_mode), 0o755)


def test_rights_under_any_umask(cluster: DoubleCluster, agents: Agents, place: Path) -> None:
    """UMask=0077 of a service must not hide the table from other users."""
    table = place / "made" / "table"
    before = os.umask(0o077)
    try:
        agents.run(cluster, table)
    finally:
        os.umask(before)

    expect([oct(stat.S_IMODE(path.stat().st_mode)) for path in (table.parent, table)], ["0o755", "0o666"])


def test_its_socket_is_removed(cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path) -> None:
    """It makes another one: programs that start later would not find it."""
    service, _pods = web(cluster)
    agent = agents.run(cluster, table)
    before = len(os.listdir(f"/proc/{agent.process.pid}/fd"))
    for _ in range(2):
        table.unlink()
        wait_until("a new socket", table.exists, agent.log)

    result = run_shim(client(str(service.vip), service.port, 3), env=reader_env(table))
    expect(sorted(result.stdout.split()), ["web-0", "web-1", "web-2"], result, agent.log())
    expect(len(os.listdir(f"/proc/{agent.process.pid}/fd")), before, agent.log())


def test_its_directory_is_removed(cluster: DoubleCluster, agents: Agents, place: Path) -> None:
    """Then it ends, and whoever starts it anew has it make the directory."""
    table = place / "made" / "table"
    agent = agents.run(cluster, table)
    shutil.rmtree(table.parent)

    expect(agent.process.wait(), 1, agent.log())
    assert "No such file or directory" in agent.log(), agent.log()
    agents.run(cluster, table)


@pytest.mark.parametrize("kind", ["file", "directory", "fifo"])
def test_something_else_at_the_path(cluster: DoubleCluster, agents: Agents, table: Path, kind: str) -> None:
    """It is left alone."""
    if kind == "file":
        table.write_text("mine")
    elif kind == "directory":
        table.mkdir()
    else:
        os.mkfifo(table)
    before = table.lstat()
    agent = agents.start(cluster, table)

    expect(agent.process.wait(), 1, agent.log())
    expect(agent.log(), f"k8slb agent: {table} is there and is not a socket; remove it, or give --table another path\n")
    expect((table.lstat().st_ino, table.lstat().st_mode), (before.st_ino, before.st_mode))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--table PATH is missing"),
        (["--table", "run/table"], '--table "run/table": expected an absolute path'),
        (["--table", "/run/k8slb/"], '--table "/run/k8slb/": expected an absolute path'),
        (["--table", "/" + "x" * 103], f'--table "/{"x" * 103}": expected at most 103 bytes'),
        (["--table", "/t", "--mode", "0888"], '--mode "0888": expected an octal number up to 0777'),
        (["--table", "/t", "--mode", "1777"], '--mode "1777": expected an octal number up to 0777'),
        (["--table", "/t", "--log", "loud"], '--log "loud": expected off, error, info or debug'),
        (["--table", "/t", "--services", ""], '--services "": expected a list of Services'),
        (["--table", "/t", "--services", "WEB!"], 'K8SLB_SERVICES entry "WEB!"'),
        (["--table", "/t", "--api", "ftp://x"], 'K8SLB_API="ftp://x": expected'),
        (["--table", "/t", "--listen", "here"], '--listen "here": expected ADDRESS:PORT, [ADDRESS]:PORT or :PORT'),
        (["--table", "/t", "--listen", "::1:9"], '--listen "::1:9": expected'),
        (["--table", "/t", "--listen", "1.2.3.4:99999"], '--listen "1.2.3.4:99999": expected'),
        (["--table", "/t", "more"], 'unexpected argument "more"'),
        (["--table", "/t", "--frobnicate"], "--frobnicate: no such option"),
    ],
)
def test_wrong_command_lines(build: Build, arguments: List[str], message: str) -> None:
    result = run_cli(build, "agent", *arguments)

    expect((result.returncode, result.stdout), (2, ""), result)
    assert result.stderr.startswith("k8slb agent: ") and message in result.stderr, result


def test_help(build: Build) -> None:
    result = run_cli(build, "agent", "--help")

    expect((result.returncode, result.stderr), (0, ""), result)
    assert result.stdout.startswith("Usage: k8slb agent --table PATH"), result
    assert max(map(len, result.stdout.splitlines())) <= 80, result.stdout


def test_no_such_directory(cluster: DoubleCluster, agents: Agents, place: Path) -> None:
    agent = agents.start(cluster, place / "a" / "b" / "table")

    expect(agent.process.wait(), 1, agent.log())
    assert "No such file or directory" in agent.log(), agent.log()
