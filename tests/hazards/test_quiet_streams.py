# SPDX-License-Identifier: Apache-2.0
"""Hazard: a library that says something on the program's own input, output or error stream.

A naive shim warns on standard error: in every child of a shell, into the output that a script parses, into whatever file a
daemon has as its number 2. Ours writes nothing there, whatever goes wrong; the log is a file of its own, opened by its path,
and one that cannot be written is silent. The program connects as it would without us.
"""
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import pytest

from tests.e2e.common import stand_in
from tests.harness import Build, Result, ShimRunner, expect
from tests.kube.cluster import Service
from tests.kube.double_cluster import DoubleCluster
from tests.kube.namespace import NODE_IP
from tests.preload.common import web

pytestmark = pytest.mark.clusters("double")

ANSWERS = {"web-0", "web-1", "web-2", "vip"}


@pytest.fixture
def service(cluster: DoubleCluster) -> Service:
    made, _pods = web(cluster)
    stand_in(cluster, made)
    return made


def expect_quiet(result: Result) -> None:
    """Four connections that somebody answered, and not a byte beside their lines."""
    lines = result.stdout.splitlines()
    expect((result.returncode, len(lines), set(lines) <= ANSWERS, result.stderr), (0, 4, True, ""), result)


@dataclass(frozen=True)
class Trouble:
    log: str  # what the log must tell, so that the trouble is known to have come
    env: Tuple[Tuple[str, str], ...] = ()
    fault: str = ""  # of the double
    times: Optional[int] = None
    args: Tuple[Tuple[str, Any], ...] = ()


def setting(log: str, **env: str) -> Trouble:
    return Trouble(log, tuple(env.items()))


TROUBLES: Dict[str, Trouble] = {
    "every setting is wrong": setting(
        "K8SLB_RETRY_DELAY=",
        **dict.fromkeys(
            (
                "K8SLB_POLICY",
                "K8SLB_RESOLVE",
                "K8SLB_DISCOVERY",
                "K8SLB_NAMESPACE",
                "K8SLB_SYNC_TIMEOUT",
                "K8SLB_CONNECT_TIMEOUT",
                "K8SLB_ATTEMPTS",
                "K8SLB_FALLBACK",
                "K8SLB_EVENTS",
                "K8SLB_SYNC_INTERVAL",
                "K8SLB_RETRY_DELAY",
                "K8SLB_NODE",
                "K8SLB_ZONE",
                "K8SLB_TABLE",
                "K8SLB_CERT_FILE",
            ),
            "%n \x1b[31m",
        ),
    ),
    "most entries are wrong": setting("more messages about settings", K8SLB_SERVICES="web " + "Wrong: " * 500),
    "no entry is right": setting("entry", K8SLB_SERVICES="Wrong"),
    "the API server refuses": setting("error.*[Cc]onnect", K8SLB_API=f"http://{NODE_IP}:1"),
    "no API server answers": setting("syncing", K8SLB_API="http://10.9.9.200:6443", K8SLB_SYNC_TIMEOUT="100"),
    "the API server has no TLS": setting("error", K8SLB_API=f"https://{NODE_IP}:1"),
    "an unknown authority": setting("error", K8SLB_CA_FILE=__file__),
    "no authorities": setting("error", K8SLB_CA_FILE="/nonexistent/ca.crt"),
    "no token": setting("error", K8SLB_TOKEN_FILE="/nonexistent/token"),
    "no dump": setting("error", K8SLB_API="file:/nonexistent/dump.json"),
    "a dump that is none": setting("error", K8SLB_API=f"file:{__file__}"),
    "unauthorized": Trouble("error.*401", fault="unauthorized"),
    "forbidden": Trouble("error.*403", fault="forbidden"),
    "internal error": Trouble("error.*500", fault="http_5xx", args=(("code", 500),)),
    "a login page": Trouble("error", fault="html"),
    "a redirect": Trouble("error.*307", fault="redirect"),
    "garbage": Trouble("error", fault="garbage"),
    "no HTTP": Trouble("error", fault="raw"),
    "a reset": Trouble("error", fault="close", args=(("rst", True),)),
    "a torn list": Trouble("error", fault="truncate"),
    "an event that is none": Trouble("listed", fault="line", times=1, args=(("data", "\x00]\n"),)),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_whatever_goes_wrong(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, service: Service, name: str) -> None:
    """With a log, which tells of it, and without one, as by default."""
    trouble = TROUBLES[name]
    if trouble.fault:
        cluster.server.fault(trouble.fault, times=trouble.times, **dict(trouble.args))
    env = {**cluster.env("web"), **dict(trouble.env)}
    program = [build.programs / "connect_loop", service.vip, 80, 4, "plain"]

    told = run_shim(program, env=env)
    silent = run_shim(program, env={**env, "K8SLB_LOG": None})

    expect_quiet(told)
    assert re.search(trouble.log, told.log), told
    expect_quiet(silent)


LOG_PLACES = {
    "no folder": "/nonexistent/log",
    "a folder": "{folder}",
    "a full device": "/dev/full",
    "a FIFO without reader": "{folder}/fifo",
    "a name too long": "/" + "x" * 300,
    "a link to itself": "{folder}/loop",
    "no place for files": "/proc/self/log",
    "a terminal that nobody has": "/dev/tty",
}


@pytest.mark.parametrize("place", LOG_PLACES)
def test_a_log_that_cannot_be_written(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, service: Service, place: str
) -> None:
    """Neither the constructor's lines nor the thread's get anywhere else, and nobody waits."""
    folder = tmp_path / "logs"
    folder.mkdir()
    os.mkfifo(folder / "fifo")
    (folder / "loop").symlink_to("loop")
    env = cluster.env("web", K8SLB_POLICY="wrong", K8SLB_LOG=f"debug:{LOG_PLACES[place].format(folder=folder)}")

    result = run_shim([build.programs / "connect_loop", service.vip, 80, 4, "plain"], env=env)

    expect_quiet(result)
    assert "vip" not in result.stdout, result


# Their first argument is another number; and what the thread does to make a table of its own.
NO_DESCRIPTOR = {"eventfd2", "epoll_create1", "inotify_init1", "close_range"}


def test_no_call_names_a_stream(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, service: Service
) -> None:
    """No thread of the process reads from, writes to or changes descriptors 0 to 2, but for the program's own output."""
    trace = tmp_path / "trace"
    cluster.server.fault("http_5xx", times=1)
    preload = run_shim.env()["LD_PRELOAD"]
    program = [build.programs / "connect_loop", service.vip, 80, 4, "plain"]

    # -e trace=%desc: all calls that take a descriptor.
    result = run_shim(
        ["strace", "-f", "-o", trace, "-e", "trace=%desc", "-E", f"LD_PRELOAD={preload}", *program],
        env=cluster.env("web", K8SLB_POLICY="wrong"),
        preload=False,
    )

    expect_quiet(result)
    assert re.search("error.*500", result.log) and "K8SLB_POLICY" in result.log, result
    named = re.findall(r"^(\d+) +(\w+)\([012][,)]", trace.read_text(), re.MULTILINE)
    main = trace.read_text().split(maxsplit=1)[0]
    made = [(thread == main, call) for thread, call in named if call not in NO_DESCRIPTOR | {"fstat", "newfstatat"}]
    expect(made, [(True, "write")], result)
