# SPDX-License-Identifier: Apache-2.0
"""nginx: a master whose workers connect, give up root, and are replaced while requests go on."""
import os
import signal
from typing import Set

import pytest

from tests.harness import counts, expect, wait_until
from tests.programs.common import MODES, World, expect_alike, files_of_tree, tree
from tests.programs.load import ask_often, asking, expect_only
from tests.programs.servers import needs_real_root, nginx

pytestmark = pytest.mark.clusters("double")

ADDRESS = ("127.0.0.1", 18301)
COUNT = counts(30, 300)
WORKERS = 2
RELOADS = counts(2, 20)
USERS = ["root", pytest.param("nobody", marks=needs_real_root)]


@pytest.mark.parametrize("aio", ["", "aio threads;"], ids=["", "threads"])  # 32 in each worker, which end by pthread_exit()
@pytest.mark.parametrize("by", ["vip", "name"])
@pytest.mark.parametrize("user", USERS)
def test_proxy_pass(world: World, user: str, by: str, aio: str) -> None:
    web = world.web()
    server_lines = f"listen {ADDRESS[0]}:{ADDRESS[1]};\nlocation / {{ {aio} proxy_pass http://{getattr(web, by)}:{web.port}; }}"
    seen = []
    for preload in MODES:
        directory = world.public_directory() / str(preload)
        directory.mkdir()
        with world.mode(preload):
            command = nginx(directory, server_lines, WORKERS, user, level="notice")
            if preload:
                world.leave_table(world.public_env(), user)  # the workers'
            server = world.start(command, preload, env=world.public_env(), cwd=directory, listening=ADDRESS)
            with world.counting({web: COUNT}, preload, uneven=WORKERS, shown=server.result):
                expect_only(ask_often(ADDRESS, COUNT), web.pod_names, server.result())
            wait_until("its workers alone", lambda: len(workers(server.pid)) == WORKERS, server.result)
            files = [files_of_tree(server.pid, numbered=False)]
            with asking(ADDRESS) as found:
                for _ in range(RELOADS):
                    before = workers(server.pid)
                    os.kill(server.pid, signal.SIGHUP)
                    wait_until("other workers", lambda: replaced(server.pid, before), server.result)
                wait_until("requests", lambda: sum(found.values()) >= COUNT, server.result)
            expect_only(found, web.pod_names, server.result())
            with world.counting({web: COUNT}, preload, uneven=WORKERS, shown=server.result):
                expect_only(ask_often(ADDRESS, COUNT), web.pod_names, server.result())
            files.append(files_of_tree(server.pid, numbered=False))
            os.kill(server.pid, signal.SIGQUIT)
            result = server.wait()
        expect([line for line in result.stderr.splitlines() if "[notice]" not in line], [], result)
        ends = sum("exited with code 0" in line for line in result.stderr.splitlines())
        seen.append((files, ends, result.stdout, result.returncode))
    expect_alike(seen)


def workers(master: int) -> Set[int]:
    return set(tree(master)[1:])


def replaced(master: int, before: Set[int]) -> bool:
    now = workers(master)
    return len(now) == WORKERS and not now & before
