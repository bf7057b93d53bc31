# SPDX-License-Identifier: Apache-2.0
"""/healthz, /livez and /metrics: what they say, and that no client can hold them up."""
import ctypes
import os
import re
import socket
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Tuple
from urllib.parse import urlsplit

import pytest

from tests.agent.common import Agent, Agents
from tests.harness import expect, wait_until
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import web

pytestmark = pytest.mark.clusters("double")

LISTEN = ("--listen", "127.0.0.1:0")
SAMPLE = re.compile(r"(k8slb_[a-z_]+)(\{[a-z]+=\"[^\"]*\"\})? (-?\d+)")


def raw(agent: Agent, request: bytes, timeout: float = 10) -> str:
    """All that the server says to these bytes."""
    where = urlsplit(agent.http())
    with socket.create_connection((where.hostname, where.port), timeout) as connection:
        connection.sendall(request)
        answer = b""
        while True:
            part = connection.recv(65536)
            if not part:
                return answer.decode()
            answer += part


def split(answer: str) -> Tuple[str, str]:
    """The status line and the body, whose length the header says."""
    header, _, body = answer.partition("\r\n\r\n")
    length = re.search(r"^Content-Length: (\d+)\r?$", header, re.MULTILINE)
    assert length and int(length[1]) == len(body.encode()), answer
    return header.splitlines()[0], body


def test_off_by_default(cluster: DoubleCluster, agents: Agents, table: Path) -> None:
    agent = agents.run(cluster, table)
    inodes = {line.split()[9] for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:] if line.split()[3] == "0A"}
    own = {link.readlink().name for link in Path(f"/proc/{agent.process.pid}/fd").iterdir()}

    expect({f"socket:[{inode}]" for inode in inodes} & own, set(), agent.log())


def test_health(cluster: DoubleCluster, agents: Agents, table: Path) -> None:
    """503 until there is a table, 200 as long as it is good, 503 when the API server was not heard for too long."""
    web(cluster)
    cluster.stop_api()
    agent = agents.start(cluster, table, *LISTEN, env={"K8SLB_MAX_AGE": "1"})
    expect(agent.get("/healthz"), (503, "no table yet\n"), agent.log())

    cluster.start_api()
    wait_until("healthy", lambda: agent.get("/healthz") == (200, "ok\n"), agent.log)
    cluster.stop_api()
    status, text = wait_until("sick", lambda: (agent.get("/healthz") if agent.get("/healthz")[0] != 200 else None), agent.log)
    assert status == 503 and re.fullmatch(r"the API server was not heard for \d+ s\n", text), (status, text)


@contextmanager
def stopped_thread(tid: int) -> Iterator[None]:
    """One thread alone, as something that it waits for would do it (ptrace(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    seize, interrupt, detach = 0x4206, 0x4207, 17
    expect(libc.ptrace(seize, tid, None, None), 0, os.strerror(ctypes.get_errno()))
    try:
        expect(libc.ptrace(interrupt, tid, None, None), 0, os.strerror(ctypes.get_errno()))
        os.waitpid(tid, 0x40000000)  # __WALL
        yield
    finally:
        libc.ptrace(detach, tid, None, None)


def test_a_sync_that_hangs(cluster: DoubleCluster, agents: Agents, table: Path) -> None:
    """That alone is what a restart may help: without an API server /livez has nothing to say."""
    web(cluster)
    cluster.stop_api()
    agent = agents.start(cluster, table, *LISTEN)
    expect([agent.get("/healthz"), agent.get("/livez")], [(503, "no table yet\n"), (200, "ok\n")], agent.log())
    cluster.start_api()
    wait_until("healthy", lambda: agent.get("/healthz") == (200, "ok\n"), agent.log)
    hangs = (503, "the sync hangs\n")
    with stopped_thread(agent.process.pid):  # the sync is in the first one
        wait_until("the end of patience", lambda: agent.get("/livez") == hangs, agent.log)
        expect(agent.get("/healthz"), hangs, agent.log())
    wait_until("healthy again", lambda: agent.get("/livez") == (200, "ok\n"), agent.log)


def test_metrics(cluster: DoubleCluster, agents: Agents, table: Path) -> None:
    web(cluster)
    agent = agents.run(cluster, table, *LISTEN)
    wait_until("live", lambda: agent.metrics()["k8slb_table_live"] == 1, agent.log)
    answer = raw(agent, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    status, body = split(answer)

    expect(status, "HTTP/1.1 200 OK", answer)
    assert "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in answer, answer
    lines = body.splitlines()
    expect(len(lines) % 3, 0, body)
    kinds = {}
    for help_line, type_line, sample in zip(lines[::3], lines[1::3], lines[2::3]):
        match = SAMPLE.fullmatch(sample)
        assert match, sample
        name = match[1]
        assert re.fullmatch(rf"# HELP {name} [A-Z].*\.", help_line), help_line
        kinds[name] = type_line.split()[-1]
        expect(type_line, f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}", body)
    values = agent.metrics()
    wanted = {"k8slb_healthy": 1, "k8slb_table_live": 1, "k8slb_table_services": 2, "k8slb_table_endpoints": 4,
              "k8slb_readers_served_total": 0, "k8slb_reader_errors_total": 0, "k8slb_api_errors_total": 0,
              "k8slb_api_requests_total": 4}
    expect({name: values[name] for name in wanted}, wanted, body)
    assert 0 <= values["k8slb_last_heard_age_seconds"] < 60 and values["k8slb_table_bytes"] > 200, body


def test_errors_are_counted(cluster: DoubleCluster, agents: Agents, table: Path) -> None:
    agent = agents.run(cluster, table, *LISTEN)
    cluster.stop_api()

    wait_until("errors", lambda: agent.metrics()["k8slb_api_errors_total"] >= 2, agent.log)


@pytest.mark.parametrize(
    "request_, status",
    [
        (b"GET /healthz HTTP/1.0\r\n\r\n", "200 OK"),
        (b"GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
        (b"GET /metrics?x HTTP/1.1\r\n\r\n", "404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405 Method Not Allowed"),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        (b"\r\n\r\n", "400 Bad Request"),
        (b"GET\r\n\r\n", "400 Bad Request"),
        (b"GET /healthz\r\n\r\n", "400 Bad Request"),
        (b"\x16\x03\x01\x00\xff\x00\r\n\r\n", None),
        (b"GET /" + b"x" * 5000, "431 Request Header Fields Too Large"),
    ],
)
def test_other_requests(cluster: DoubleCluster, agents: Agents, table: Path, request_: bytes, status: "str | None") -> None:
    agent = agents.run(cluster, table, *LISTEN)
    try:
        answer = raw(agent, request_)
    except ConnectionResetError:  # unread bytes of a request that was too large
        answer = ""
    if status and answer:
        expect(split(answer)[0], f"HTTP/1.1 {status}", answer)
    assert answer or not status or status.startswith("431"), (request_, answer)
    expect(agent.get("/healthz"), (200, "ok\n"), agent.log())


def test_clients_that_say_nothing(cluster: DoubleCluster, agents: Agents, table: Path) -> None:
    """Sixteen of them are as many as there is room for; one that asks takes the place of the first, the others have 5 s."""
    agent = agents.run(cluster, table, *LISTEN)
    where = urlsplit(agent.http())
    started = time.monotonic()
    silent = [socket.create_connection((where.hostname, where.port)) for _ in range(16)]
    try:
        expect(agent.get("/healthz"), (200, "ok\n"), agent.log())
        assert time.monotonic() - started < 3, time.monotonic() - started
        expect([connection.recv(1) for connection in silent], [b""] * 16)
        assert 4 < time.monotonic() - started < 9, time.monotonic() - started
    finally:
        for connection in silent:
            connection.close()


def test_a_crowd_that_says_nothing(cluster: DoubleCluster, agents: Agents, table: Path) -> None:
    """A probe of the kubelet has a second; a program that holds all places must not fail it."""
    agent = agents.run(cluster, table, *LISTEN)
    where = urlsplit(agent.http())
    silent = [socket.create_connection((where.hostname, where.port), 5) for _ in range(200)]
    try:
        for _ in range(5):
            started = time.monotonic()
            expect(agent.get("/metrics")[0], 200, agent.log())
            assert time.monotonic() - started < 1, time.monotonic() - started
    finally:
        for connection in silent:
            connection.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_alone_is_both_families(cluster: DoubleCluster, agents: Agents, table: Path, host: str) -> None:
    """The kubelet asks a Pod by its address, which may be of IPv6."""
    if host == "::1" and not Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 here")
    agent = agents.run(cluster, table, "--listen", ":0")
    port = int(agent.wait_log("/healthz, /livez and /metrics at :").rsplit(":", 1)[1])

    with socket.create_connection((host, port), 5) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        expect(split(connection.makefile(newline="").read()), ("HTTP/1.1 200 OK", "ok\n"), agent.log())


def test_a_silent_api_server_is_an_illness(cluster: DoubleCluster, agents: Agents, table: Path) -> None:
    """Readers do not believe what is older than K8SLB_MAX_AGE, whether the watches are up or not. Bookmarks are words."""
    cluster.server.set(bookmark_interval=0.2, leases=True)
    web(cluster)
    agent = agents.run(cluster, table, *LISTEN, env={"K8SLB_MAX_AGE": "2"})
    time.sleep(3)
    expect((agent.get("/healthz"), agent.metrics()["k8slb_last_heard_age_seconds"] < 2), ((200, "ok\n"), True), agent.log())

    cluster.server.set(bookmark_interval=0)
    wait_until("ill", lambda: agent.get("/healthz")[0] == 503, agent.log)
    expect(agent.metrics()["k8slb_table_live"], 1, agent.log())
