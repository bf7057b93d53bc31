# SPDX-License-Identifier: Apache-2.0
"""Unmodified programs on a real API server: 300 connections of one process are 100 for each of three pods, through the
VIP and through the name. No DNS server exists where the tests run, so a name that resolves came from the table."""
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Callable, Dict, List

import pytest

from tests.e2e.common import PROGRAMS, hold_table, names, three
from tests.harness import Build, ShimRunner, expect
from tests.kube.cluster import Cluster
from tests.preload.common import client, tally

pytestmark = pytest.mark.clusters("real")

COUNT = 300
Command = Callable[[str, int, Build], List[str]]

BASH = 'for ((i = 0; i < $3; i++)); do exec 3<>"/dev/tcp/$1/$2"; echo WHO >&3; read -r pod <&3; echo "$pod"; exec 3>&-; done'
PERL = (
    "use IO::Socket::INET; my ($host, $port, $count) = @ARGV;"
    "for (1..$count) { my $s = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 5) or die $!;"
    ' print $s "WHO\\n"; $s->flush; print scalar <$s>; close $s; }'
)

# One process each, that makes COUNT connections and prints a pod's name for each.
LOOPS: Dict[str, Command] = {
    "curl": lambda host, port, _build: ["curl", "-sS", "-H", "Connection: close", f"http://{host}:{port}/[1-{COUNT}]"],
    "wget": lambda host, port, _build: [
        "wget", "-q", "-O-", "--no-http-keep-alive", *(f"http://{host}:{port}/{i}" for i in range(COUNT))
    ],
    "python": lambda host, port, _build: client(host, port, COUNT),
    "asyncio": lambda host, port, _build: [sys.executable, str(PROGRAMS / "asyncio_loop.py"), host, str(port), str(COUNT)],
    "c": lambda host, port, build: [str(build.programs / "connect_loop"), host, str(port), str(COUNT), "plain"],
    "v4-mapped": lambda host, port, build: [str(build.programs / "connect_loop"), host, str(port), str(COUNT)],
    "node": lambda host, port, _build: ["node", str(PROGRAMS / "http_loop.js"), host, str(port), str(COUNT)],
    "bash": lambda host, port, _build: ["bash", "-c", BASH, "bash", host, str(port), str(COUNT)],
    "java": lambda host, port, _build: ["java", str(PROGRAMS / "Loop.java"), host, str(port), str(COUNT)],
    "perl": lambda host, port, _build: ["perl", "-e", PERL, host, str(port), str(COUNT)],
}
JAVA_WANTS_A_COMPILER = pytest.mark.skipif(not shutil.which("javac"), reason="no javac here")


@pytest.mark.parametrize("program", [pytest.param(one, marks=JAVA_WANTS_A_COMPILER if one == "java" else ()) for one in LOOPS])
def test_connections_of_one_process_are_spread_evenly(
    cluster: Cluster, run_shim: ShimRunner, build: Build, program: str
) -> None:
    service, pods = three(cluster)
    if program not in ("c", "v4-mapped", "bash", "python"):  # these block, and so wait for a first table as long as it takes
        hold_table(run_shim, cluster)
    for number, host in enumerate((str(service.vip), "web.default.svc.cluster.local"), 1):
        result = run_shim(LOOPS[program](host, service.port, build), env=cluster.env("web"))

        expect(tally(result.stdout), Counter({pod.name: COUNT // 3 for pod in pods}), result, cluster.logs())
        expect((result.returncode, result.stderr), (0, ""), result)
        # As the pods see it: not one connection more.
        expect([pod.connections() for pod in pods], [number * COUNT // 3] * 3, result)


@pytest.mark.parametrize(
    "name",
    ["web", "web.default", "web.default.svc", "web.default.svc.cluster.local", "web.default.svc.cluster.local.", "Web.DEFAULT.svc"],
)
def test_curl_by_every_form_of_the_name(cluster: Cluster, run_shim: ShimRunner, name: str) -> None:
    service, pods = three(cluster)
    url = f"http://{name}:{service.port}/[1-30]"
    # web.default might be pod "web" of a headless Service "default": only who knows all of the namespace can tell.
    asked = "*" if name == "web.default" else "web"
    result = run_shim(["curl", "-sS", "-H", "Connection: close", url], env=cluster.env(asked))
    expect(tally(result.stdout), Counter({pod.name: 10 for pod in pods}), result, cluster.logs())


def test_without_the_shim_none_of_it_works(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, _pods = three(cluster)
    for host in (str(service.vip), "web"):
        result = run_shim(["curl", "-sS", "-m", "1", f"http://{host}:{service.port}/"], preload=False)
        assert result.returncode in (6, 7, 28), result  # no such name, no connection, timeout


def test_redis_cli_connects_twice_on_one_descriptor(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = three(cluster)
    before = 0
    for host in (str(service.vip), "web"):
        command = ["redis-cli", "-h", host, "-p", service.port, "get", "pod"]
        result = run_shim(command, env=cluster.env("web"))
        expect(result.stdout.strip() in names(pods), True, result)
        before += 1
        expect(sum(pod.connections() for pod in pods), before, result)


# In a Pod the token is readable for every user of it; here only for root.
NGINX = """
user root;
worker_processes {workers};
daemon off;
pid {directory}/pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{host}:{service_port}; }} }}
}}
"""


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("by", ["vip", "name"])
def test_nginx_proxy_pass(cluster: Cluster, run_shim: ShimRunner, tmp_path: Path, by: str, workers: int) -> None:
    service, pods = three(cluster)
    host, port = service.vip if by == "vip" else "web.default.svc.cluster.local", 18080
    config = tmp_path / "nginx.conf"
    config.write_text(NGINX.format(workers=workers, directory=tmp_path, port=port, host=host, service_port=service.port))
    nginx = run_shim.start(["nginx", "-p", tmp_path, "-c", config], env=cluster.env("web"))

    curl = ["curl", "-sS", "--retry", "50", "--retry-connrefused", "--retry-delay", "0", "--retry-max-time", "10"]
    result = run_shim([*curl, "-H", "Connection: close", f"http://127.0.0.1:{port}/[1-{COUNT}]"], preload=False)

    found = tally(result.stdout)
    # Each worker goes round by itself, so that a pod may be short or ahead by one for each of them.
    uneven = max(abs(found[pod.name] - COUNT // 3) for pod in pods)
    assert sum(found.values()) == COUNT and uneven < workers, f"{found}\n{result}\n{nginx.result()}\n{cluster.logs()}"
    expect(set(found), names(pods), nginx.result())
