# SPDX-License-Identifier: Apache-2.0
"""gunicorn: a master that forks workers, replaces those that died, and all of them when it is told to."""
import os
import re
import signal
import sys
from pathlib import Path
from typing import Set

import pytest

from tests.harness import ShimProcess, counts, wait_until
from tests.programs.common import MODES, World, expect_alike, files_of_tree, tree
from tests.programs.load import ask, ask_often, asking, expect_only

pytestmark = pytest.mark.clusters("double")

APP = Path(__file__).with_name("clients")
ADDRESS = ("127.0.0.1", 18300)
COUNT = counts(30, 300)
WORKERS = 2


@pytest.mark.parametrize("by", ["vip", "name"])
@pytest.mark.parametrize("preload_app", [False, True], ids=["load-in-workers", "preload-app"])
def test_workers(world: World, preload_app: bool, by: str) -> None:
    """With the application loaded by the master, our thread is the master's at first: each worker gets its own."""
    web = world.web()
    seen = []
    for preload in MODES:
        command = [sys.executable, "-m", "gunicorn", "-w", WORKERS, "-b", "%s:%d" % ADDRESS, "--chdir", APP]
        command += ["--preload"] if preload_app else []
        settings = {
            "SERVICE_HOST": getattr(web, by), "SERVICE_PORT": str(web.port), "ASK_AT_IMPORT": str(int(preload_app)),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        at_start = int(preload_app)
        with world.mode(preload):
            with world.counting({web: at_start}, preload):
                server = world.start([*command, "gunicorn_app:application"], preload, env=settings, listening=ADDRESS)
            warm_up(server)
            with world.counting({web: COUNT}, preload, uneven=WORKERS, shown=server.result):
                expect_only(ask_often(ADDRESS, COUNT), web.pod_names, server.result())
            files = [files_of_tree(server.pid)]

            killed = workers(server.pid)
            os.kill(min(killed), signal.SIGKILL)
            wait_until("another worker", lambda: len(workers(server.pid) - killed) == 1, server.result)
            warm_up(server)
            before = workers(server.pid)
            with asking(ADDRESS) as found:
                os.kill(server.pid, signal.SIGHUP)
                wait_until("other workers", lambda: replaced(server.pid, before), server.result)
                wait_until("requests", lambda: sum(found.values()) >= COUNT, server.result)
            expect_only(found, web.pod_names, server.result())
            warm_up(server)
            with world.counting({web: COUNT}, preload, uneven=WORKERS, shown=server.result):
                expect_only(ask_often(ADDRESS, COUNT), web.pod_names, server.result())
            files.append(files_of_tree(server.pid, numbered=False))
            os.kill(server.pid, signal.SIGTERM)
            result = server.wait()
        # The master signals its workers every 100 ms until they are gone: one may be met when it does not listen any more.
        lines = [line for line in result.stderr.splitlines() if "was sent SIGTERM" not in line]
        told = sorted({re.sub(r"\[\d[^\]]*\]|\d+", "*", line) for line in lines})
        seen.append((files, told, result.stdout, result.returncode))
    expect_alike(seen)


def warm_up(server: ShimProcess) -> None:
    """Until each worker has its table. The first connection of a process waits for it 300 ms at most, and not beyond a
    signal; then the kernel serves the VIP, and asks the name server for a name, which is not here."""
    expected: Set[int] = set()
    met: Set[int] = set()

    def look() -> bool:
        answer = ask(ADDRESS, "/pid")
        if answer.isdigit():
            met.add(int(answer))
        expected.clear()
        expected.update(workers(server.pid))
        return len(expected) == WORKERS and met >= expected

    wait_until("an answer of each worker", look, lambda: (met, expected), server.result)


def workers(master: int) -> Set[int]:
    return set(tree(master)[1:])


def replaced(master: int, before: Set[int]) -> bool:
    now = workers(master)
    return len(now) == WORKERS and not now & before
