# SPDX-License-Identifier: Apache-2.0
"""Only the first calls of a process wait for the table, never longer than they may."""
from typing import List, Tuple

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.kube.cluster import Cluster
from tests.kube.double_cluster import DoubleCluster
from tests.kube.namespace import NODE_IP
from tests.preload.common import python, web

pytestmark = pytest.mark.clusters("double")

SLACK_MS = 250  # for a busy machine

# Each argument is one connect() to a port of the node where nobody listens: it could be a Service's, and the kernel
# answers it at once. Prints the result and the milliseconds of each.
PROBE = """
import errno, signal, socket, struct, sys, time
for how in sys.argv[2:]:
    with socket.socket() as s:
        if how == "non-blocking":
            s.setblocking(False)
        if how == "bounded":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 0, 200000))
        if how.startswith("interrupted"):
            signal.signal(signal.SIGALRM, lambda *_: None)
            signal.setitimer(signal.ITIMER_REAL, 0.1)
        start = time.monotonic()
        if how.endswith("lookup"):
            try:
                result = socket.getaddrinfo("nobody.example", 80)
            except socket.gaierror:
                result = "unknown"
        else:
            result = errno.errorcode[s.connect_ex((sys.argv[1], 80))]
        print(result, round((time.monotonic() - start) * 1000))
"""


def probe(run_shim: ShimRunner, cluster: Cluster, *calls: str, timeout_ms: int = 700) -> List[Tuple[str, int]]:
    result = run_shim(python(PROBE, NODE_IP, *calls), env=cluster.env("*/*", K8SLB_SYNC_TIMEOUT=str(timeout_ms)))
    expect((result.returncode, result.stderr), (0, ""), result)
    lines = [line.split() for line in result.stdout.splitlines()]
    return [(outcome, int(ms)) for outcome, ms in lines]


@pytest.fixture
def stalled(cluster: DoubleCluster) -> DoubleCluster:
    """An API server that takes requests and does not answer."""
    cluster.server.fault("stall_headers", times=None, seconds=None)
    return cluster


def test_a_blocking_call_waits_once(stalled: DoubleCluster, run_shim: ShimRunner) -> None:
    (first, waited), (second, rest), (third, none) = probe(run_shim, stalled, "blocking", "blocking", "non-blocking")

    expect((first, second), ("ECONNREFUSED", "ECONNREFUSED"))
    assert third in ("ECONNREFUSED", "EINPROGRESS")
    assert 600 <= waited <= 700 + SLACK_MS, waited
    assert rest <= SLACK_MS and none <= SLACK_MS, (rest, none)


def test_a_non_blocking_call_waits_less(stalled: DoubleCluster, run_shim: ShimRunner) -> None:
    (_, first), (_, second), (_, third) = probe(run_shim, stalled, "non-blocking", "blocking", "blocking", timeout_ms=1000)

    assert 200 <= first <= 300 + SLACK_MS, first
    # The deadline is one for all calls: it counts from the engine's start.
    assert first + second <= 1000 + SLACK_MS, (first, second)
    assert third <= SLACK_MS, third


def test_zero_means_never(stalled: DoubleCluster, run_shim: ShimRunner) -> None:
    ((_, first),) = probe(run_shim, stalled, "blocking", timeout_ms=0)

    assert first <= SLACK_MS, first


def test_a_lookup_waits_as_well(stalled: DoubleCluster, run_shim: ShimRunner) -> None:
    (_, first), (_, second) = probe(run_shim, stalled, "lookup", "lookup")

    assert 600 <= first and second < 600, (first, second)


def test_the_programs_own_bound_counts(stalled: DoubleCluster, run_shim: ShimRunner) -> None:
    ((_, first),) = probe(run_shim, stalled, "bounded", timeout_ms=5000)

    assert first <= 200 + SLACK_MS, first


def test_a_signal_ends_the_wait(stalled: DoubleCluster, run_shim: ShimRunner) -> None:
    ((outcome, first),) = probe(run_shim, stalled, "interrupted", timeout_ms=5000)

    expect(outcome, "ECONNREFUSED")
    assert first <= 100 + SLACK_MS, first


def test_a_signal_does_not_end_that_of_a_lookup(stalled: DoubleCluster, run_shim: ShimRunner) -> None:
    """getaddrinfo() has no EINTR: who sends a worker SIGHUP does not expect its names to fail."""
    ((_, first),) = probe(run_shim, stalled, "interrupted lookup")

    assert first >= 600, first


def test_a_refusing_api_server_holds_up_nobody(cluster: Cluster, run_shim: ShimRunner) -> None:
    cluster.stop_api()

    ((_, first), (_, second)) = probe(run_shim, cluster, "blocking", "blocking", timeout_ms=5000)

    assert first <= SLACK_MS and second <= SLACK_MS, (first, second)


@pytest.mark.unsanitized("a sanitizer's pthread_create() comes before the one that fails")
def test_nobody_waits_for_an_engine_that_cannot_be_started(cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
    """Four threads come while a fifth is starting it, which fails after 300 ms: all of them go on then."""
    code = (
        "import errno, socket, sys, threading, time\n"
        "def ask():\n"
        "    start = time.monotonic()\n"
        "    result = errno.errorcode[socket.socket().connect_ex((sys.argv[1], 80))]\n"
        "    told.append(f'{result} {round((time.monotonic() - start) * 1000)}')\n"
        "told = []\n"
        "threads = [threading.Thread(target=ask) for _ in range(5)]\n"
        "for thread in threads:\n"
        "    thread.start()\n"
        "for thread in threads:\n"
        "    thread.join()\n"
        "print(*told, sep='\\n')\n"
    )
    preload = build.preload(build.directory / "tests/preload/no_thread.so")

    result = run_shim(python(code, NODE_IP), env=cluster.env("*/*", K8SLB_SYNC_TIMEOUT="5000", LD_PRELOAD=preload))

    lines = [line.split() for line in result.stdout.splitlines()]
    expect([outcome for outcome, _ms in lines], ["ECONNREFUSED"] * 5, result)
    assert all(int(ms) < 2500 for _outcome, ms in lines), result  # 5000 of those that nobody wakes
    assert "cannot start a thread" in result.log, result


def test_the_table_is_used_once_it_comes(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster)
    cluster.stop_api()
    code = (
        "import socket, sys, time\n"
        "socket.socket().connect_ex((sys.argv[1], 80))\n"
        "print('first', flush=True)\n"
        "deadline = time.monotonic() + 20\n"
        "while time.monotonic() < deadline:\n"
        "    try:\n"
        "        socket.create_connection((sys.argv[2], 80), timeout=0.2).close()\n"
        "        break\n"
        "    except OSError:\n"
        "        time.sleep(0.05)\n"
    )

    program = run_shim.start(python(code, NODE_IP, service.vip), env=cluster.env("web", K8SLB_RETRY_DELAY="1"))
    program.wait_output("first\n")
    cluster.start_api()
    result = program.wait()

    expect((result.returncode, sum(pod.connections() for pod in pods)), (0, 1), result)
