# SPDX-License-Identifier: Apache-2.0
"""php: HTTP, streams, fsockopen(), gethostbyname(). What extensions call, curl and sockets among them, goes to libc past any
preloaded object (dlopen() with RTLD_DEEPBIND): it is not balanced, and has to work as without the shim."""
import pytest

from tests.harness import expect
from tests.programs.common import MODES, World

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
EXTENSIONS = r"""
[, $host, $port, $balanced] = $argv;
for ($i = 0; $i < 15; $i++) {
    echo file_get_contents("http://$balanced/");
    $curl = curl_init("http://$host:$port/");
    curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_FORBID_REUSE => true, CURLOPT_TIMEOUT => 10]);
    echo curl_exec($curl), curl_error($curl), curl_getinfo($curl, CURLINFO_PRIMARY_IP), "\n";
    $socket = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);
    socket_connect($socket, $host, $port);
    socket_getpeername($socket, $peer, $peer_port);
    socket_write($socket, "WHO\n");
    echo socket_read($socket, 100, PHP_NORMAL_READ), "$peer $peer_port\n";
    socket_close($socket);
}
"""


@pytest.mark.parametrize("by", ["vip", "name"])
@pytest.mark.parametrize("program", [HTTP, SOCKETS, ASYNC], ids=["http", "sockets", "async"])
def test_php(world: World, program: str, by: str) -> None:
    web = world.web()
    world.both(["php", "-r", program, "--", getattr(web, by), web.port], {web: 30})


def test_extensions_are_unharmed(world: World) -> None:
    web, balanced = world.web(), world.web("balanced")
    runs = []
    for preload in MODES:
        with world.counting({web: 30}, caught=False), world.counting({balanced: 15}, caught=preload):
            runs.append(world.run(["php", "-r", EXTENSIONS, "--", web.vip, web.port, balanced.vip], preload))
    plain, shim = ((world.without_names(run.result.stdout), run.result.stderr, run.result.returncode, run.files) for run in runs)
    expect(shim, plain, *(run.result for run in runs))
    expect(shim[1:3], ("", 0), runs[1].result)
