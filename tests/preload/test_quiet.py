# SPDX-License-Identifier: Apache-2.0
"""A guest that is not noticed: no descriptors, no thread before it is needed, no extra system calls."""
import re
from pathlib import Path
from typing import List, Tuple

import pytest

from tests.failover.common import WAYS, Way
from tests.harness import Build, Result, ShimRunner, expect
from tests.kube.cluster import Cluster
from tests.ours import OURS
from tests.preload.common import python, web

pytestmark = pytest.mark.clusters("double")


@pytest.mark.unsanitized("the sanitizer's own thread and descriptors are counted")
def test_no_thread_before_a_match_and_no_descriptor_ever(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, _pods = web(cluster)
    code = (
        "import os, socket, sys\n"
        "def show():\n"
        "    names = sorted(open(f'/proc/self/task/{t}/comm').read().strip() for t in os.listdir('/proc/self/task'))\n"
        "    print(len(names), 'k8slb' in names, len(os.listdir('/proc/self/fd')))\n"
        "show()\n"
        "socket.socket().connect_ex(('127.0.0.1', 1))\n"
        "socket.socket().connect_ex(('10.9.9.9', 81))\n"
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect((sys.argv[1], 80))\n"
        "socket.getaddrinfo('127.0.0.1', 80)\n"
        "socket.getaddrinfo('localhost', 80)\n"
        "show()\n"
        "socket.create_connection((sys.argv[1], 80)).close()\n"
        "show()\n"
    )

    result = run_shim(python(code, service.vip), env=cluster.env("web:80"))

    before, unmatched, matched = result.stdout.splitlines()
    threads, _, descriptors = before.split()
    expect((unmatched, matched), (before, f"{int(threads) + len(OURS)} True {descriptors}"), result)


def test_no_signal_reaches_the_thread(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, _pods = web(cluster)
    code = (
        "import os, socket, sys\n"
        "socket.create_connection((sys.argv[1], 80)).close()\n"
        "for task in os.listdir('/proc/self/task'):\n"
        "    if open(f'/proc/self/task/{task}/comm').read() == 'k8slb\\n':\n"
        "        print([l.split()[1] for l in open(f'/proc/self/task/{task}/status') if l.startswith('SigBlk')][0])\n"
    )

    result = run_shim(python(code, service.vip), env=cluster.env("web"))

    # All but SIGKILL (9) and SIGSTOP (19), which nobody can block, and libc's own 32 and 33.
    expect(int(result.stdout, 16), (1 << 64) - 1 & ~sum(1 << (n - 1) for n in (9, 19, 32, 33)), result)


def test_no_system_call_is_added_where_nothing_matches(
    cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path
) -> None:
    service, pods = web(cluster)
    trace = tmp_path / "trace"
    program = [build.programs / "unmatched", service.vip, service.port]
    # Without -f: only the program's own thread. The shim gets into the program by strace, not into strace.
    preload = run_shim.env()["LD_PRELOAD"]

    result = run_shim(
        ["strace", "-o", trace, "-E", f"LD_PRELOAD={preload}", *program], env=cluster.env("web"), preload=False
    )

    expect((result.returncode, sum(pod.connections() for pod in pods)), (0, 1), result)
    calls = re.findall(r"^(\w+)\(", trace.read_text(), re.MULTILINE)
    first, last = [i for i, call in enumerate(calls) if call == "getppid"]
    expect(calls[first + 1 : last], ["socket", "connect", "close"] * 5, result)


def calls_of_matched(
    cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path, way: Way = WAYS[0]
) -> Tuple[Result, List[str]]:
    """By a system call trace of tests/preload/programs/matched.c: the names of the calls between its marks."""
    service, _pods = web(cluster)
    trace = tmp_path / "trace"
    program = [build.programs / "matched", service.vip, service.port, 20]
    preload = run_shim.env()["LD_PRELOAD"]

    command = way.command(build, ["strace", "-o", trace, "-E", f"LD_PRELOAD={preload}", *program])
    result = run_shim(command, env=cluster.env("web", **way.env), preload=False)

    expect(result.returncode, 0, result)
    return result, " ".join(re.findall(r"^(\w+)\(", trace.read_text(), re.MULTILINE)).split("getppid")[1:-1]


@pytest.mark.own_table
@pytest.mark.unsanitized("the sanitizers make system calls of their own")
def test_the_system_calls_of_a_matched_connection(cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path) -> None:
    """20 of each kind, after the first one, which starts the watchdog. What is non-blocking asks for the cookie by which its
    outcome is learned."""
    result, calls = calls_of_matched(cluster, run_shim, build, tmp_path)

    blocking, _setting, again, made, changed = [part.split("close") for part in calls]
    for each in blocking, again:
        expect([one.strip() for one in each], ["socket connect"] * 20 + [""], result)
    # One of three outcomes at a time is looked at as well.
    begun = {one.replace("getsockopt getsockopt", "").split("connect")[0].strip() for one in made}
    # The cookie; and close() of one that is under way waits for who acts on it.
    under_way = {"getsockopt prctl getpid rt_sigprocmask getsockopt rt_sigprocmask"}
    expect({one.split("connect")[-1].strip() for one in made[:-1]}, under_way, made)
    expect(begun <= {"socket", "socket getsockopt", ""}, True, made)
    expect({one.split("connect")[-1].strip() for one in changed[1:-1]} <= {"getsockopt", *under_way}, True, changed)


@pytest.mark.unsanitized("the sanitizers make system calls of their own")
def test_the_system_calls_where_the_kernel_bounds_a_try(
    cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path
) -> None:
    """Two; of a program that sets TCP_USER_TIMEOUT itself, its own is asked for too."""
    kernel = next(way for way in WAYS if way.name == "kernel")

    result, (blocking, _setting, again, _made, _changed) = calls_of_matched(cluster, run_shim, build, tmp_path, kernel)

    for each, ours in (blocking, "setsockopt connect setsockopt"), (again, "getsockopt setsockopt connect setsockopt"):
        expect([one.strip() for one in each.split("close")], [f"socket {ours}"] * 20 + [""], result)
