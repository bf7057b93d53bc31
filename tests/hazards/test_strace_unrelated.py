# SPDX-License-Identifier: Apache-2.0
"""Hazard: a program that has nothing to do with a Service is not what it was, seen from the kernel.

A naive shim opens its log, its token or a socket in its constructor, or starts its thread there; a shell script becomes ten
API clients. `strace -f` of a program under our library shows what it shows without: loading one object, and, where services
are configured, the calls of the constructor below and nothing else, in any process and any thread.
"""
import socket
import sys
import threading
from pathlib import Path
from typing import Dict, Iterator, List

import pytest

from tests.hazards.straced import Calls, difference, straced, without_library
from tests.harness import Build, Environment, ShimRunner, expect
from tests.kube.namespace import NODE_IP

pytestmark = [
    pytest.mark.usefixtures("network"),
    pytest.mark.unsanitized("the system calls of the sanitizer are counted"),
]

PYTHON = """
import socket
for address in (("127.0.0.1", 1), (%r, %d)):
    with socket.socket() as s:
        s.connect_ex(address)
socket.getaddrinfo("127.0.0.1", 80)
socket.getaddrinfo("localhost", 80)
socket.gethostbyname("localhost")
"""


@pytest.fixture
def listener() -> Iterator[int]:
    """A web server that no Service leads to, at an address of the node; its port."""
    with socket.create_server((NODE_IP, 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _peer = server.accept()
                except OSError:
                    return
                with connection:
                    if connection.recv(1000):
                        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nhi\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def commands(port: int) -> Dict[str, List[str]]:
    script = "echo one | cat | (read word; echo $word; ls / | wc -l); word=$(echo two); (exec true) & wait $!; echo $word"
    return {
        "true": ["true"],
        "ls": ["ls", "-l", "/etc"],
        "bash": ["bash", "--norc", "-c", script],
        "python": ["env", "PYTHONHASHSEED=0", sys.executable, "-S", "-c", PYTHON % (NODE_IP, port)],
        "curl": ["curl", "-qsS", "--noproxy", "*", f"http://{NODE_IP}:{port}/"],
        "getent": ["getent", "ahosts", "localhost"],
    }


# What the constructor asks of the kernel where services are configured.
CONSTRUCTOR = [
    "mmap(NULL, SIZE, ANONYMOUS, -1, 0) = ADDRESS",  # the settings, for the time when the program has wiped its environment
    "mmap(NULL, SIZE, ANONYMOUS, -1, 0) = ADDRESS",  # the page by which a forked child is known,
    "madvise(ADDRESS, 4096, MADV_WIPEONFORK) = 0",  # because the kernel empties it there
    "getpid() = PID",
    "getrandom(BYTES, 8, GRND_NONBLOCK) = 8",  # where the turns begin
    "prctl(PR_GET_SECCOMP) = 0",  # by which a thread is known that puts itself behind a filter later
]
# Without a setting the namespace comes from the Pod's service account.
NAMESPACE = (
    'openat(AT_FDCWD, "/var/run/secrets/kubernetes.io/serviceaccount/namespace",'
    " O_RDONLY|O_NOCTTY|O_NONBLOCK|O_CLOEXEC) = -1 ENOENT (No such file or directory)"
)

API: Environment = {"K8SLB_SERVICES": "web:80 shop/db:5432", "K8SLB_API": "http://127.0.0.1:1"}
SETTINGS: Dict[str, "tuple[Environment, Calls]"] = {
    "unset": ({}, []),
    "empty": ({**API, "K8SLB_SERVICES": ""}, []),
    "excluded": ({**API, "K8SLB_ONLY": "nginx"}, []),
    "services": ({**API, "K8SLB_NAMESPACE": "default"}, CONSTRUCTOR),
    "services, no namespace": (API, [*CONSTRUCTOR[:1], NAMESPACE, *CONSTRUCTOR[1:]]),
}


# A program that asks whether something has come yet does so once more or once less, in each run anew.
MOST_RUNS = 10


@pytest.mark.parametrize("what", SETTINGS)
@pytest.mark.parametrize("name", commands(0))
def test_only_the_object_is_loaded(
    run_shim: ShimRunner, build: Build, tmp_path: Path, listener: int, name: str, what: str
) -> None:
    command = commands(listener)[name]
    env, constructor = SETTINGS[what]
    bares: List[List[Calls]] = []
    told = ""

    # Timing makes them equal in one of a few runs, a call of ours makes them differ in all.
    for attempt in range(MOST_RUNS):
        plain, bare = straced(run_shim, tmp_path / f"bare{attempt}", command, env, build.preload(), bare=True)
        bares.append(bare)
        result, shim = straced(run_shim, tmp_path / f"shim{attempt}", command, env, build.preload())
        expect((result.returncode, result.stdout, result.stderr), (plain.returncode, plain.stdout, plain.stderr), result)
        told = unlike(shim, bares, constructor)
        if not told:
            return
    raise AssertionError(f"under the shim {name} differs from each of {MOST_RUNS} runs without:\n{told}")


def unlike(shim: List[Calls], bares: List[List[Calls]], constructor: Calls) -> str:
    """How the first process that is like its twin in none of the bare runs differs from it; "": each has a like one."""
    for number, theirs in enumerate(shim):
        twins = [bare[number] for bare in bares if len(bare) == len(shim)]
        if not twins:
            return f"{len(shim)} processes and threads, without the shim {sorted({len(bare) for bare in bares})}"
        differences = [difference(twin, without_library(theirs, twin, constructor)) for twin in twins]
        if "" not in differences:
            return min(differences, key=len)
    return ""


def test_a_process_more_is_seen(run_shim: ShimRunner, tmp_path: Path) -> None:
    """The comparison itself tells two programs apart that differ by one call."""
    traces = [
        straced(run_shim, tmp_path / name, [sys.executable, "-I", "-S", "-c", code], {}, "", bare=True)[1]
        for name, code in (("one", "import os"), ("other", "import os; os.getuid()"))
    ]
    added = [line for line in difference(*(trace[0] for trace in traces)).splitlines() if line.startswith("+getuid")]
    expect(len(added), 1)
