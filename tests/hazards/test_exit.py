# SPDX-License-Identifier: Apache-2.0
"""Hazard: the process ends while the engine works: from any thread, in any way, at any moment.

A naive shim waits for its thread in a destructor (exit() hangs while the API server is silent), or leaves it running in a
TLS library whose exit handlers free what it uses (crash).
Defence: no destructor, no exit handler, nobody joins the thread; its TLS library registers none.
"""
import os
import random
import re
import signal
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Dict, List, NamedTuple

import pytest

from tests.harness import Build, ShimRunner, counts, expect
from tests.hazards.lifecycle import SERVERS, server, shared_memory, three_and_vip, wait_no_watch
from tests.kube.double_cluster import DoubleCluster

pytestmark = pytest.mark.clusters("double")

STATUS = 7
WAYS = [
    (how, who)
    for how in ("return", "exit", "_exit", "quick_exit", "abort", "handler-exit", "handler-_exit", "handler-abort")
    for who in ("main", "thread")
    if (how, who) != ("return", "thread")
]
SLOWEST = 1.0  # seconds that the end of a process may take on a machine that is busy with four of them
MARGIN = 0.050  # seconds that the shim may add


class Ended(NamedTuple):
    status: int
    output: str  # without the time stamp
    seconds: float  # from the last thing that the program did to the return of wait()


def leave(build: Build, vip: str, env: Dict[str, str], how: str, who: str, delay_us: int, load: int = 0) -> Ended:
    command = [str(word) for word in (build.programs / "leave", vip, 80, how, who, delay_us, load)]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, env=env, start_new_session=True, **pipes) as process:
        assert process.stdout
        output = process.stdout.read().decode()
        status = process.wait()
        ended = time.monotonic_ns()
    # Nobody is left of its session: we start no process.
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    stamps = re.findall(r"^leaving (\d+)\n", output, re.MULTILINE)
    assert len(stamps) == 1, f"{' '.join(command)}: status {status}\n{output}"
    return Ended(status, re.sub(r"\d+", "", output), (ended - int(stamps[0])) / 1e9)


@pytest.mark.parametrize("how, who", WAYS)
def test_ends_as_without_us(
    cluster: DoubleCluster, build: Build, shim_env: Callable[..., Dict[str, str]], how: str, who: str
) -> None:
    service, _pods = three_and_vip(cluster)
    for behaviour in SERVERS:
        with server(cluster, behaviour, K8SLB_SYNC_TIMEOUT="50") as env:
            plain = leave(build, str(service.vip), shim_env(preload=False), how, who, 2000, 1)
            ended = leave(build, str(service.vip), shim_env(env), how, who, 2000, 1)
        expect(plain.status, -signal.SIGABRT if how.endswith("abort") else STATUS, plain)
        expect(ended[:2], plain[:2], behaviour, ended)
        assert ended.seconds < SLOWEST, (behaviour, ended)


@pytest.mark.parametrize("order", ["shim first", "shim last"])
def test_exit_in_a_constructor(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, order: str) -> None:
    """Of a library that connects there, before or after our own constructor and before main()."""
    service, pods = three_and_vip(cluster)
    library = build.directory / "tests" / "preload" / "connect_and_exit.so"
    where = {"CONNECT_AND_EXIT": f"{service.vip}:80"}
    preload = f"{build.preload()} {library}" if order == "shim first" else f"{library} {build.preload()}"
    program = [build.programs / "spawn", service.vip, 80, "ask"]

    plain = run_shim(program, env={**where, "LD_PRELOAD": str(library)}, preload=False)
    expect((plain.returncode, plain.stdout, plain.stderr), (STATUS, "constructor vip\n", ""), plain)
    for behaviour in ("normal", "handshake"):
        with server(cluster, behaviour, K8SLB_SYNC_TIMEOUT="500") as env:
            result = run_shim(program, env={**env, **where, "LD_PRELOAD": preload})
        expect((result.returncode, result.stderr), (STATUS, ""), result)
        # The table that the first run left serves the second one, whose API server does not answer.
        assert result.stdout.removeprefix("constructor ").strip() in {pod.name for pod in pods}, result
        assert result.seconds < 5, result


@pytest.mark.unsanitized("a sanitizer's runtime has work of its own at exit")
@pytest.mark.parametrize("behaviour", SERVERS)
def test_exit_takes_no_longer(
    cluster: DoubleCluster, build: Build, shim_env: Callable[..., Dict[str, str]], behaviour: str
) -> None:
    """With and without the shim in turns, so that a slower moment of the machine meets both. By the median: a busy machine's
    longest ones differ by more than MARGIN among themselves, and the storm below bounds each one. Without the shim the program has
    a second thread: a process ends when each of its threads has had a processor once, which takes a busy machine a while."""
    service, _pods = three_and_vip(cluster)
    pairs = counts(40, 200)
    seconds: Dict[bool, List[float]] = {True: [], False: []}
    with server(cluster, behaviour, K8SLB_SYNC_TIMEOUT="5") as env:
        environments = {True: shim_env(env), False: shim_env(preload=False)}
        for number in range(pairs):
            for shimmed in (True, False):
                who = "main" if shimmed else "thread"
                ended = leave(build, str(service.vip), environments[shimmed], "exit", who, 500 * (number % 40))
                expect(ended.status, STATUS, ended)
                seconds[shimmed].append(ended.seconds)
    p50 = {shimmed: statistics.median(values) for shimmed, values in seconds.items()}
    print(f"\nexit, {behaviour}: p50 of {pairs} {p50[True] * 1e3:.2f} ms, without the shim {p50[False] * 1e3:.2f} ms, "
          f"longest {max(seconds[True]) * 1e3:.2f} and {max(seconds[False]) * 1e3:.2f} ms")
    assert p50[True] <= p50[False] + MARGIN, seconds


@pytest.mark.timeout(600)
def test_storm_of_exits_while_syncing(cluster: DoubleCluster, build: Build, shim_env: Callable[..., Dict[str, str]]) -> None:
    """Four at a time; the first connect() does not wait for the table, so each ends 0 to 30 ms into the engine's work."""
    service, _pods = three_and_vip(cluster)
    total = counts(60, 1000)
    chance = random.Random(5)
    ways = [(how, who) for how, who in WAYS if not how.endswith("abort")]
    before = shared_memory()
    slowest: List[float] = []
    for behaviour in SERVERS:
        share = total // len(SERVERS) + (behaviour == "normal") * (total % len(SERVERS))
        with server(cluster, behaviour, K8SLB_SYNC_TIMEOUT="0") as env, ThreadPoolExecutor(4) as pool:
            made = shim_env(env)
            jobs = [
                (way, pool.submit(leave, build, str(service.vip), made, *way, chance.randrange(30000), chance.randrange(3)))
                for way in (chance.choice(ways) for _ in range(share))
            ]
            for way, job in jobs:
                ended = job.result()
                expect(ended.status, STATUS, behaviour, way, ended)
                assert ended.seconds < SLOWEST, (behaviour, way, ended)
                slowest.append(ended.seconds)
    expect(len(slowest), total)
    wait_no_watch(cluster)
    expect(shared_memory(), before)
    print(f"\nexits while syncing: {total} of {total} with status {STATUS}, "
          f"the slowest within {max(slowest) * 1e3:.1f} ms, nothing left")
