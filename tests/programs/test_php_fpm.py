# SPDX-License-Identifier: Apache-2.0
"""PHP-FPM: a process manager whose workers give up root and wipe their environment, and which runs itself anew on reload
with its sockets inherited. PHP loads its extensions with RTLD_DEEPBIND, curl, sockets and redis among them; here with opcache."""
import glob
import os
import re
import signal
from pathlib import Path
from typing import Any, List, Set
from urllib.parse import urlencode

import pytest

from tests.harness import ShimProcess, counts, expect, wait_until
from tests.programs.common import MODES, World, expect_alike, files_of_tree, tree
from tests.programs.load import Address, ask, ask_often, expect_only
from tests.programs.servers import needs_real_root, nginx

pytestmark = [pytest.mark.clusters("double"), needs_real_root]

SCRIPT = Path(__file__).with_name("clients") / "fpm.php"
FPM: Address = ("127.0.0.1", 18303)
WEB: Address = ("127.0.0.1", 18304)
COUNT = counts(30, 300)
WORKERS = 2
CONFIG = """
[global]
daemonize = no
error_log = /dev/stderr
pid = {directory}/pid
[www]
user = nobody
listen = {address}
pm = static
pm.max_children = {workers}
catch_workers_output = yes
"""
FRONT = """
    listen {web};
    location / {{
        fastcgi_pass {fpm};
        include /etc/nginx/fastcgi_params;
        fastcgi_param SCRIPT_FILENAME {script};
    }}
"""


def path(how: str, host: str = "", port: int = 0) -> str:
    return "/?" + urlencode({"how": how, "host": host, "port": port})


@pytest.fixture
def front(world: World) -> Path:
    """An nginx without the shim before the address where PHP-FPM will listen; the directory of both."""
    directory = world.public_directory()
    script = directory / SCRIPT.name
    script.write_bytes(SCRIPT.read_bytes())
    script.chmod(0o644)
    os.utime(script, (10**9, 10**9))  # opcache does not keep what has just changed
    lines = FRONT.format(web="%s:%d" % WEB, fpm="%s:%d" % FPM, script=script)
    world.start(nginx(world.new_directory("nginx"), lines), preload=False, listening=WEB)
    return directory


def fpm(directory: Path) -> List[Any]:
    config = directory / "fpm.conf"
    config.write_text(CONFIG.format(directory=directory, address="%s:%d" % FPM, workers=WORKERS))
    return [sorted(glob.glob("/usr/sbin/php-fpm*"))[-1], "-F", "-y", config]


@pytest.mark.parametrize("by", ["vip", "name"])
def test_workers(world: World, front: Path, by: str) -> None:
    web = world.web()
    host = getattr(web, by)
    seen = []
    for preload in MODES:
        with world.mode(preload):
            server = world.start(fpm(front), preload, env=world.public_env(), listening=FPM)
            warm_up(server, host, web.port)
            for how in "stream", "socket":
                with world.counting({web: COUNT}, preload, uneven=WORKERS, shown=server.result):
                    expect_only(ask_often(WEB, COUNT, path(how, host, web.port)), web.pod_names, server.result())
            expect(ask(WEB, path("name", host)), web.vip, server.result())
            files = [files_of_tree(server.pid, numbered=False)]
            before = workers(server.pid)
            # Requests to PHP-FPM itself are lost while it runs itself anew, with the shim or without.
            os.kill(server.pid, signal.SIGUSR2)
            wait_until("other workers", lambda: replaced(server.pid, before), server.result)
            warm_up(server, host, web.port)
            with world.counting({web: COUNT}, preload, uneven=WORKERS, shown=server.result):
                expect_only(ask_often(WEB, COUNT, path("stream", host, web.port)), web.pod_names, server.result())
            files.append(files_of_tree(server.pid, numbered=False))
            os.kill(server.pid, signal.SIGTERM)
            result = server.wait()
        told = re.sub(r"\d\d-\w{3}-\d{4} [\d:]+|0x\w+|pid \d+", "*", result.stderr)
        seen.append((files, told.splitlines(), result.stdout, result.returncode))
    expect_alike(seen)


def test_extensions(world: World, front: Path) -> None:
    web = world.web()
    for preload in MODES:
        server = world.start(fpm(front), preload, env=world.public_env(), listening=FPM)
        warm_up(server, web.vip, web.port)
        for how in "curl", "sockets", "redis":
            with world.counting({web: COUNT}, preload, uneven=WORKERS, shown=server.result):
                expect_only(ask_often(WEB, COUNT, path(how, web.vip, web.port)), web.pod_names, server.result())
        expect(ask(WEB, path("opcache", web.vip, web.port)), "cached", server.result())
        os.kill(server.pid, signal.SIGTERM)
        expect(server.wait().returncode, 0, server.result())


def warm_up(server: ShimProcess, host: str, port: int) -> None:
    """Until each worker has its table."""
    met: Set[str] = set()

    def look() -> bool:
        met.add(ask(WEB, path("pid", host, port)))
        return met >= {str(pid) for pid in workers(server.pid)}

    wait_until("an answer of each worker", look, lambda: met, server.result)


def workers(master: int) -> Set[int]:
    return set(tree(master)[1:])


def replaced(master: int, before: Set[int]) -> bool:
    now = workers(master)
    return len(now) == WORKERS and not now & before
