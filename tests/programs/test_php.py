# SPDX-License-Identifier: Apache-2.0
"""php: HTTP, streams, fsockopen(), gethostbyname(); and its extensions, which it opens with RTLD_DEEPBIND, so that what they call is
libc's before it is ours: curl, sockets, mysqli, pgsql and redis, with opcache and without."""
from pathlib import Path
from typing import Any, List

import pytest

from tests.failover.common import refuse
from tests.harness import expect
from tests.programs.common import Backend, World, without
from tests.programs.test_mysql import mysql  # noqa: F401  # a fixture
from tests.programs.test_postgres import data, postgres, programs  # noqa: F401  # fixtures

pytestmark = pytest.mark.clusters("double")

HTTP = '[, $host, $port] = $argv; for ($i = 0; $i < 30; $i++) echo file_get_contents("http://$host:$port/");'
SOCKETS = r"""
[, $host, $port] = $argv;
function ask($socket) {
    if (!$socket) exit(1);
    fwrite($socket, "WHO\n");
    echo fgets($socket), stream_socket_get_name($socket, true), "\n";
    fclose($socket);
}
for ($i = 0; $i < 15; $i++) {
    ask(fsockopen($host, $port, $number, $message, 5));
    ask(stream_socket_client("tcp://$host:$port", $number, $message, 5));
}
echo gethostbyname($host), "\n";
"""
ASYNC = r"""
[, $host, $port] = $argv;
for ($i = 0; $i < 30; $i++) {
    $flags = STREAM_CLIENT_CONNECT | STREAM_CLIENT_ASYNC_CONNECT;
    $connections[] = stream_socket_client("tcp://$host:$port", $number, $message, 5, $flags);
}
foreach ($connections as $connection) {
    $readable = null;
    $writable = [$connection];
    if (stream_select($readable, $writable, $readable, 5) !== 1) exit(1);
    fwrite($connection, "WHO\n");
    echo fgets($connection);
}
"""
CURL = r"""
[, $host, $port] = $argv;
for ($i = 0; $i < 15; $i++) {
    $curl = curl_init("http://$host:$port/");
    curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_FORBID_REUSE => true, CURLOPT_TIMEOUT => 10]);
    echo curl_exec($curl), curl_error($curl), curl_getinfo($curl, CURLINFO_PRIMARY_IP), "\n";
}
$many = curl_multi_init();
for ($i = 0; $i < 15; $i++) {
    $all[$i] = curl_init("http://$host:$port/");
    curl_setopt_array($all[$i], [CURLOPT_RETURNTRANSFER => true, CURLOPT_FORBID_REUSE => true, CURLOPT_FRESH_CONNECT => true]);
    curl_multi_add_handle($many, $all[$i]);
}
do {
    curl_multi_exec($many, $running);
    curl_multi_select($many, 1);
} while ($running);
foreach ($all as $curl) echo curl_multi_getcontent($curl);
"""
SOCKET_CALLS = r"""
[, $host, $port] = $argv;
for ($i = 0; $i < 30; $i++) {
    $socket = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);
    if (!@socket_connect($socket, $host, $port)) {
        echo socket_strerror(socket_last_error($socket)), "\n";
        continue;
    }
    socket_getpeername($socket, $peer, $peer_port);
    socket_write($socket, "WHO\n");
    echo socket_read($socket, 100, PHP_NORMAL_READ), "$peer $peer_port\n";
    socket_close($socket);
}
"""
REDIS = r"""
[, $host, $port] = $argv;
for ($i = 0; $i < 30; $i++) {
    $redis = new Redis();
    $redis->connect($host, $port, 5);
    echo $redis->get("pod"), "\n";
    $redis->close();
}
"""
MYSQL = r"""
[, $host, $port] = $argv;
for ($i = 0; $i < 15; $i++) {
    $connection = new mysqli($host, "root", "", "", $port);
    echo $connection->query("SELECT @@report_host")->fetch_row()[0], " ", $connection->host_info, "\n";
    $connection->close();
    $connection = new PDO("mysql:host=$host;port=$port", "root", "");
    echo $connection->query("SELECT @@report_host")->fetchColumn(), "\n";
    unset($connection);
}
"""
POSTGRES = r"""
[, $host, $port] = $argv;
for ($i = 0; $i < 15; $i++) {
    $connection = pg_connect("host=$host port=$port user=postgres dbname=postgres", PGSQL_CONNECT_FORCE_NEW);
    echo pg_fetch_result(pg_query($connection, "SHOW cluster_name"), 0, 0), " ", pg_host($connection), "\n";
    pg_close($connection);
    $connection = new PDO("pgsql:host=$host;port=$port", "postgres", "");
    echo $connection->query("SHOW cluster_name")->fetchColumn(), "\n";
    unset($connection);
}
"""
OPCACHE = ["-d", "opcache.enable_cli=1", "-d", "opcache.file_update_protection=0", "-d", "opcache.jit_buffer_size=16M"]


def script(program: str) -> Any:
    """As a file, which opcache compiles; it has no such thing as -r."""

    def command(directory: Path, host: str, port: int, options: List[str]) -> List[Any]:
        (directory / "script.php").write_text(f"<?php\n{program}")
        return ["php", *options, "script.php", host, port]

    return command


@pytest.mark.parametrize("by", ["vip", "name"])
@pytest.mark.parametrize("program", [HTTP, SOCKETS, ASYNC], ids=["http", "sockets", "async"])
def test_php(world: World, program: str, by: str) -> None:
    web = world.web()
    world.both(["php", "-r", program, "--", getattr(web, by), web.port], {web: 30})


@pytest.mark.parametrize("by, opcache", [("vip", []), ("name", []), ("vip", OPCACHE)], ids=["vip", "name", "opcache"])
@pytest.mark.parametrize("program", [CURL, SOCKET_CALLS, REDIS], ids=["curl", "sockets", "redis"])
def test_extensions(world: World, program: str, by: str, opcache: List[str]) -> None:
    web = world.web()
    world.both(lambda directory: script(program)(directory, getattr(web, by), web.port, opcache), {web: 30})


def test_mysqli(world: World, mysql: Backend) -> None:  # noqa: F811
    for host in (mysql.vip, mysql.name):
        world.both(["php", "-r", MYSQL, "--", host, mysql.port], {mysql: 30})


def test_pgsql(world: World, postgres: Backend) -> None:  # noqa: F811
    for host in (postgres.vip, postgres.name):
        world.both(["php", "-r", POSTGRES, "--", host, postgres.port], {postgres: 30})


def test_an_extension_fails_over(world: World) -> None:
    """As every other program with blocking sockets: a dead pod is never seen."""
    web = world.web()
    refuse(web.pods[0])

    run = world.run(["php", "-r", SOCKET_CALLS, "--", web.vip, web.port], preload=True)

    answers = run.result.stdout.splitlines()
    expect((set(answers[::2]), set(answers[1::2])), ({"web-1", "web-2"}, {f"{web.vip} {web.port}"}), run.result)
    expect((len(answers), run.traffic[web].vip), (60, 0), run.result)


@pytest.mark.parametrize("program, code", [(CURL, 0), (SOCKET_CALLS, 0), (REDIS, 255)], ids=["curl", "sockets", "redis"])
def test_extensions_where_nobody_serves(world: World, program: str, code: int) -> None:
    """A Service without a pod: they say what they say without the shim."""
    web = world.web(pods=1)
    world.cluster.set_ready(web.pods[0], False)
    world.cluster.wait_endpoints(web.service, 0)
    with world.refusing(web):
        command = ["php", "-r", program, "--", web.vip, web.port]
        world.both(command, {web: 0}, returncode=code, same=without(r"after \d+ ms"))


def test_extensions_that_are_left_alone(world: World) -> None:
    web = world.web()
    world.both(["php", "-r", SOCKET_CALLS, "--", web.vip, web.port], {web: 30}, caught=False, env={"K8SLB_DEEPBIND": "keep"})
