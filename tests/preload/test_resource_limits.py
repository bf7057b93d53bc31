# SPDX-License-Identifier: Apache-2.0
"""Limits that a program or its container sets: they cost the balancing at most."""
import json
from pathlib import Path
from typing import Dict

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import python, web

pytestmark = pytest.mark.clusters("double")

# The limit holds for the program alone: its own output goes through a pipe.
NO_FILE_MAY_GROW = '{ (ulimit -f 0; exec "$@"); echo "status $?"; } 2>&1 | cat'


@pytest.mark.unsanitized("ThreadSanitizer's runtime makes a file grow before main()")
@pytest.mark.parametrize("affinity", ["ClientIP", "None"])
def test_no_file_may_grow(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, affinity: str) -> None:
    """Neither the log nor the shared file of affinity may raise SIGXFSZ."""
    service, pods = web(cluster, sessionAffinity=affinity)
    program = [build.programs / "connect_loop", service.vip, 80, 9, "plain"]

    result = run_shim(["sh", "-c", NO_FILE_MAY_GROW, "sh", *program], env=cluster.env("web"))

    lines = result.stdout.splitlines()
    expect((len(lines), lines[-1:]), (10, ["status 0"]), result)
    answers = {pod.name: lines.count(pod.name) for pod in pods}
    expect(sorted(answers.values()), [0, 0, 9] if affinity == "ClientIP" else [3, 3, 3], result)


# The part of a second, in which it does nothing itself, that the process runs or waits for a CPU. On a busy machine a thread
# that spins runs little, and waits all the more.
IDLE = """
import os, resource, socket, sys, time
socket.socket().connect_ex((sys.argv[1], 80))
tasks = [open(f"/proc/self/task/{task}/schedstat") for task in os.listdir("/proc/self/task")]
resource.setrlimit(resource.RLIMIT_NOFILE, (1, 1))
def busy():
    return sum(sum(map(int, told(task).split()[:2])) for task in tasks) / 1e9
def told(task):
    try:
        return task.seek(0) or task.read()
    except ProcessLookupError:  # a thread that finds no descriptor ends
        return ""
before, began = busy(), time.monotonic()
time.sleep(1)
print((busy() - before) / (time.monotonic() - began))
"""


@pytest.mark.parametrize("source", ["API server", "file"])
def test_no_descriptor_may_be_opened(cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path, source: str) -> None:
    """poll() itself fails then, and the background thread must not spin."""
    service, _pods = web(cluster)
    cluster.server.set(bookmark_interval=0.05)  # ends a poll() that began before the limit
    extra: Dict[str, str] = {}
    if source == "file":
        path = tmp_path / "dump.json"
        items = cluster.server.list("services") + cluster.server.list("endpointslices")
        path.write_text(json.dumps({"kind": "List", "items": items}))
        extra = {"K8SLB_API": f"file:{path}"}

    result = run_shim(python(IDLE, service.vip), env=cluster.env("web", **extra))

    expect(result.returncode, 0, result)
    assert float(result.stdout) < 0.5, result
