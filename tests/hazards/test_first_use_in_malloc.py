# SPDX-License-Identifier: Apache-2.0
"""Hazard: the first connection is made by malloc(), as those of an allocator are that reports to a collector.

A naive shim allocates in its hook, or calls dlsym() there, which may allocate: either malloc() calls connect() calls malloc()
until the stack ends, or a lock that is held already is taken again. Ours allocates nothing in a hook, and does not wait for an
engine that this very thread is about to start.
"""
import pytest

from tests.harness import Build, ShimRunner, counts, expect
from tests.hazards.isolation import by_point, evenly, library, preload_beside, target
from tests.kube.cluster import Cluster
from tests.preload.common import python

pytestmark = pytest.mark.clusters("double")

RUNS = counts(2, 30)
DIALS = 25
# Allocates all the time, in three threads, and then asks three times.
PYTHON = """
import socket, sys, threading
threads = [threading.Thread(target=lambda: [bytes(1000) * n for n in range(300)]) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for _ in range(3):
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as s:
        s.sendall(b"WHO\\n")
        print("main", s.recv(100).decode().strip())
"""


@pytest.mark.parametrize("first", [True, False], ids=["before-us", "behind-us"])
@pytest.mark.parametrize("guard", ["guarded", "unguarded"])
@pytest.mark.parametrize("program", ["c", "python"])
def test_an_allocator_that_connects(
    cluster: Cluster, run_shim: ShimRunner, build: Build, program: str, guard: str, first: bool
) -> None:
    web = target(cluster)
    command = python(PYTHON, *web.arguments) if program == "python" else [build.programs / "churn", *web.arguments]
    settings = {
        "DIAL_AT": ":".join(web.arguments),
        "DIAL_COUNT": str(DIALS),
        "DIAL_GUARD": "1" if guard == "guarded" else None,
        "PYTHONMALLOC": "malloc",  # every object by malloc()
        "LD_PRELOAD": preload_beside(build, library(build, "dialing_malloc"), first=first),
    }
    for _ in range(RUNS):
        result = run_shim(command, env={**cluster.env("web"), **settings})

        # Each of its connections was made, to a pod or to the VIP.
        expect((result.returncode, result.stderr), (0, f"connected {DIALS}\n"), result)
        expect(by_point(result), {"main": evenly(web.pods)}, result)


def test_without_us(cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
    web = target(cluster)
    env = {"LD_PRELOAD": str(library(build, "dialing_malloc")), "DIAL_AT": ":".join(web.arguments), "DIAL_COUNT": str(DIALS)}

    result = run_shim(python(PYTHON, *web.arguments), env=env)

    expect((result.returncode, result.stderr), (0, f"connected {DIALS}\n"), result)
    expect((result.stdout, web.vip.connections()), ("main vip\n" * 3, DIALS + 3), result)
