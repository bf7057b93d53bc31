# SPDX-License-Identifier: Apache-2.0
"""Hazard: main()'s stack is small, RLIMIT_STACK of 20 KiB: a naive shim reads its settings into large arrays in its constructor, and
the program ends by SIGSEGV before main(). Here the environment is made larger until the program does not start any more, with the
library and without: the difference is what the library takes of that stack at its deepest."""
import subprocess
from pathlib import Path
from typing import Dict, List

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.hazards.isolation import target
from tests.kube.cluster import Cluster

pytestmark = [
    pytest.mark.clusters("double"),
    pytest.mark.unsanitized("the sanitizers need a stack of their own"),
]

KIB = 20
MOST = 4096
WRONG = {"K8SLB_SERVICES": "web !/!/!", "K8SLB_CONNECT_TIMEOUT": "soon", "K8SLB_API": "nowhere"}


def room(env: Dict[str, str], command: List[str]) -> int:
    """Bytes of environment that the program can still start with, give or take 16."""
    # The limit binds what is started last, and the stack begins where it always does.
    words = ["setarch", "-R", "sh", "-c", f'ulimit -s {KIB} && exec "$@"', "sh", *command]

    def starts(size: int) -> bool:
        result = subprocess.run(words, env={**env, "PADDING": "x" * size}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return result.returncode >= 0

    low, high = 0, KIB * 1024
    expect(starts(low), True, env, command)
    while high - low > 16:
        middle = (low + high) // 2
        low, high = (middle, high) if starts(middle) else (low, middle)
    return low


def taken(run_shim: ShimRunner, build: Build, settings: Dict[str, str], command: List[str]) -> int:
    # Bound at start: else the loader's own lookup, which saves all registers, hides what the calls take.
    env = {**run_shim.env(settings), "LD_BIND_NOW": "1"}
    preload = env.pop("LD_PRELOAD")
    bare, shimmed = ({**env, name: preload} for name in ("LD_PRELOAX", "LD_PRELOAD"))
    return room(bare, command) - room(shimmed, command)


CALLS = {"the start": ["127.0.0.1", "1"], "a connection": []}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("settings", ["right", "wrong"])
def test_how_much_it_takes(cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path, settings: str, call: str) -> None:
    web = target(cluster)
    env = {**cluster.env("web"), **(WRONG if settings == "wrong" else {}), "K8SLB_LOG": f"debug:{tmp_path}/log"}
    command = [str(build.programs / "connect_loop"), *(CALLS[call] or web.arguments), "1", "plain"]

    most = taken(run_shim, build, env, command)

    print(f"\n{call}, {settings} settings: {most} bytes")
    assert most <= MOST, (most, call, settings)
