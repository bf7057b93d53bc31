# SPDX-License-Identifier: Apache-2.0
"""The table of programs that connect without blocking: the command of each, and how it tells what it saw.

Each makes COUNT connections to a Service, gives each of them three seconds, and prints a line of SECONDS RESULT for it; what it
is built of is in dialers/. A proxy runs under the library, and its client beside it prints the lines.
"""
import functools
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, FrozenSet, List, NamedTuple, Optional, Sequence, Tuple

from tests.harness import counts
from tests.programs.servers import check_call, nginx

ROOT = Path(__file__).resolve().parents[2]
DIALERS = Path(__file__).with_name("dialers")
MYSQL_PORT = 3306
PARALLEL = 8


class Job(NamedTuple):
    """What a command is made for."""

    host: str
    port: int
    count: int
    directory: Path  # its own, empty


@dataclass(frozen=True)
class Driver:
    name: str
    command: Callable[[Job], Sequence[Any]]
    quick: bool = False  # with make test; all of them with make soak
    unseen: bool = False  # it sees no dead pod without the filter of events either: blocks, or connects again by itself
    slow_start: int = 0  # so many of its first connections have the start of a virtual machine in them
    waits_before: bool = False  # without a time-out, in another thread: it sees a silent pod (docs/failover.md)
    front: Optional[Tuple[str, int]] = None  # of a proxy: where it listens
    pod_port: int = 8080
    answers: FrozenSet[str] = frozenset()  # where it cannot tell which pod has answered


def _dial(program: Sequence[Any], way: Sequence[str] = (), parallel: int = 0) -> Callable[[Job], Sequence[Any]]:
    """PROGRAM WAY HOST PORT COUNT [PARALLEL]"""
    end = [parallel] if parallel else []
    return lambda job: [*program, *way, job.host, job.port, job.count, *end]


def _python(way: str, parallel: int = 1) -> Callable[[Job], Sequence[Any]]:
    return _dial([sys.executable, DIALERS / "dial.py"], [way], parallel)


def _node(way: str, parallel: int) -> Callable[[Job], Sequence[Any]]:
    return _dial(["node", DIALERS / "dial.js"], [way], parallel)


def _each(*command: str, answer: str = r"^(\w+-\d+)$", stdin: str = "") -> Callable[[Job], Sequence[Any]]:
    """A process for each connection; {host} and {port} stand in its words."""

    def made(job: Job) -> Sequence[Any]:
        words = [word.format(host=job.host, port=job.port) for word in command]
        options = ["--answer", answer, "--input", stdin]
        return [sys.executable, DIALERS / "each.py", *options, job.count, 4, *words]

    return made


# --- what has to be built, once in a process of the tests


@functools.lru_cache(maxsize=None)
def _folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="k8slb-dialers-")


@functools.lru_cache(maxsize=None)
def _c_program(name: str, *libraries: str) -> Path:
    program = Path(_folder().name) / name
    check_call(["cc", "-O2", "-Wall", "-Wextra", "-o", program, DIALERS / f"{name}.c", *(f"-l{one}" for one in libraries)])
    return program


@functools.lru_cache(maxsize=None)
def _classes(*sources: Path, path: str = "") -> str:
    check_call(["javac", "-nowarn", "-d", _folder().name, *(["-cp", path] if path else []), *sources])
    return f"{_folder().name}:{path}"


@functools.lru_cache(maxsize=None)
def built(name: str) -> str:
    """Where scripts/build-client has put what comes from elsewhere."""
    made = subprocess.run([ROOT / "scripts/build-client", name], stdout=subprocess.PIPE, text=True, check=True)
    return made.stdout.strip()


JAVA = ("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp")


def _java(way: str) -> Callable[[Job], Sequence[Any]]:
    return lambda job: _dial([*JAVA, _classes(DIALERS / "Dial.java"), "Dial"], [way])(job)


def _netty(way: str) -> Callable[[Job], Sequence[Any]]:
    def made(job: Job) -> Sequence[Any]:
        classes = _classes(DIALERS / "netty/DialNetty.java", path=built("netty") + "/*")
        return _dial([*JAVA, classes, "DialNetty"], [way], PARALLEL)(job)

    return made


def _erlang(job: Job) -> Sequence[Any]:
    check_call(["erlc", "-o", job.directory, DIALERS / "dial.erl"])
    call = f'dial:main(["{job.host}","{job.port}","{job.count}"]).'
    return ["erl", "-noshell", "-noinput", "-pa", job.directory, "-eval", call]


def _curl(*options: str) -> Callable[[Job], Sequence[Any]]:
    told = "%{time_total} %header{x-pod}%{errormsg}\n"
    words = ["curl", "-s", "-o", "/dev/null", "--connect-timeout", "3", "-H", "Connection: close", "-w", told, *options]
    return lambda job: [*words, f"http://{job.host}:{job.port}/?[1-{job.count}]"]


# --- proxies

NGINX, HAPROXY, ENVOY = ("127.0.0.1", 18401), ("127.0.0.1", 18402), ("127.0.0.1", 18403)


def _nginx(job: Job) -> Sequence[Any]:
    listen = f"listen {NGINX[0]}:{NGINX[1]};\n"
    return nginx(job.directory, f"{listen}location / {{ proxy_pass http://{job.host}:{job.port}; proxy_connect_timeout 3s; }}")


_HAPROXY = """
defaults
    mode http
    timeout connect 3s
    timeout client 9s
    timeout server 9s
    retries 0
listen front
    bind {front[0]}:{front[1]}
    http-reuse never
    server service {host}:{port}
"""


def _haproxy(job: Job) -> Sequence[Any]:
    (job.directory / "haproxy.cfg").write_text(_HAPROXY.format(front=HAPROXY, host=job.host, port=job.port))
    return ["haproxy", "-db", "-f", job.directory / "haproxy.cfg"]


_ENVOY = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: {front[0]}, port_value: {front[1]}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          route_config:
            virtual_hosts: [{{name: all, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: service}}}}]}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: service
    connect_timeout: 3s
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http_protocol_options: {{}}}}
        common_http_protocol_options: {{max_requests_per_connection: 1}}
    load_assignment:
      cluster_name: service
      endpoints:
      - lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {host}, port_value: {port}}}}}}}}}]
"""


def _envoy(job: Job) -> Sequence[Any]:
    (job.directory / "envoy.yaml").write_text(_ENVOY.format(front=ENVOY, host=job.host, port=job.port))
    code = "import envoy, pathlib; print(pathlib.Path(envoy.__file__).parent / '_bin/envoy')"
    found = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    options = ["--concurrency", "1", "-l", "error", "--disable-hot-restart"]
    return [found.stdout.strip(), "-c", job.directory / "envoy.yaml", *options]


# Of librdkafka's own words. It asks for what the pod does not know, and goes on until it is ended.
KAFKA = r"(Connected) to|(Connect to .* failed: .*) \(after"

DRIVERS = (
    Driver("curl", _curl(), quick=True),
    Driver("curl -Z", _curl("-Z", "--parallel-immediate", "--parallel-max", str(PARALLEL), "--no-progress-meter")),
    Driver("wget", _each("wget", "-q", "-O", "-", "-T", "3", "-t", "1", "http://{host}:{port}/"), unseen=True),
    Driver("node http", _node("http", 1)),
    Driver("node net, parallel", _node("net", PARALLEL), quick=True),
    Driver("node fetch", _node("fetch", 1)),
    Driver("python create_connection", _python("timeout")),
    Driver("python select", _python("select"), quick=True),
    Driver("python epoll", _python("epoll"), quick=True),
    Driver("python connect again", _python("again")),
    Driver("python write", _python("write")),
    Driver("asyncio", _python("asyncio")),
    Driver("asyncio, parallel", _python("asyncio", PARALLEL), quick=True),
    Driver("uvloop, parallel", _python("uvloop", PARALLEL)),
    Driver("aiohttp", _python("aiohttp", PARALLEL)),
    Driver("tornado", _python("tornado")),
    Driver("gevent", _python("gevent", PARALLEL)),
    Driver("ruby Socket.tcp", _dial(["ruby", DIALERS / "dial.rb"], ["tcp"])),
    Driver("ruby Net::HTTP", _dial(["ruby", DIALERS / "dial.rb"], ["http"])),
    Driver("perl", _dial(["perl", DIALERS / "dial.pl"])),
    Driver("php", _dial(["php", DIALERS / "dial.php"]), quick=True),
    Driver("lua", _dial(["lua", DIALERS / "dial.lua"])),
    Driver("tcl", _dial(["tclsh", DIALERS / "dial.tcl"])),
    Driver("erlang", _erlang),
    Driver("nc", _each("nc.openbsd", "-v", "-N", "-w", "3", "{host}", "{port}", stdin="WHO\\n")),
    Driver("ncat", _each("ncat", "-w", "3", "{host}", "{port}", stdin="WHO\\n")),
    Driver("socat", _each("socat", "-t", "3", "-", "TCP:{host}:{port},connect-timeout=3", stdin="WHO\\n")),
    *(
        Driver(f"libevent {method}", lambda job, method=method: _dial([_c_program("libevent", "event")], [method])(job))  # type: ignore
        for method in ("epoll", "poll", "select")
    ),
    *(
        Driver(f"hiredis {way}", lambda job, way=way: _dial([_c_program("hiredis", "hiredis", "event")], [way])(job))  # type: ignore
        for way in ("timeout", "async")
    ),
    Driver("tokio", lambda job: _dial([f"{built('tokio')}/dial-tokio"], parallel=PARALLEL)(job)),
    Driver("JDK HttpURLConnection", _java("url"), slow_start=1),
    Driver("JDK HttpClient", _java("http"), slow_start=1, unseen=True),
    Driver("JDK NIO", _java("selector"), slow_start=1, quick=True),
    Driver("JDK AIO", _java("aio"), slow_start=1, waits_before=True),
    Driver("Netty NIO", _netty("nio"), slow_start=PARALLEL),
    Driver("Netty epoll", _netty("epoll"), slow_start=PARALLEL),
    Driver("psql", _each("psql", "host={host} port={port} user=x dbname=x sslmode=disable gssencmode=disable connect_timeout=3",
                         answer=r"FATAL: +(\w+-\d+)")),
    Driver("mariadb", _each("mariadb", "--no-defaults", "--skip-ssl", "-h", "{host}", "-P", "{port}", "--connect-timeout=3", "-u", "x",
                            answer=r"ERROR 1040 .*: (\w+-\d+)"), pod_port=MYSQL_PORT),
    Driver("kcat", _each("kcat", "-b", "{host}:{port}", "-L", "-m", "5", "-d", "broker", "-X", "socket.connection.setup.timeout.ms=3000",
                         answer=KAFKA), answers=frozenset(["Connected"])),
    Driver("nginx", _nginx, quick=True, front=NGINX),
    Driver("haproxy", _haproxy, front=HAPROXY),
    Driver("envoy", _envoy, front=ENVOY),
)  # fmt: skip


def chosen() -> List[Driver]:
    return [driver for driver in DRIVERS if driver.quick or counts(0, 1)]
