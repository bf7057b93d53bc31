# SPDX-License-Identifier: Apache-2.0
"""Apache httpd: processes of many threads (event MPM) that give up root, connect by mod_proxy, and are replaced gracefully; and with
PHP in it (prefork MPM), which opens its extensions with RTLD_DEEPBIND and is closed and opened again with each reload."""
import glob
import os
import re
import signal
from pathlib import Path
from typing import Set

import pytest

from tests.harness import counts, wait_until
from tests.programs.common import MODES, World, expect_alike, files_of_tree, tree
from tests.programs.load import ask, ask_often, asking, expect_only
from tests.programs.servers import needs_real_root

pytestmark = [pytest.mark.clusters("double"), needs_real_root]

ADDRESS = ("127.0.0.1", 18302)
COUNT = counts(30, 300)
PROCESSES = 2
CONFIG = """
ServerName localhost
ServerRoot {directory}
PidFile {directory}/pid
DefaultRuntimeDir {directory}
ErrorLog /dev/stderr
LogLevel notice
User nobody
Group nogroup
Listen {address[0]}:{address[1]}
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
"""
PROXY = CONFIG + """
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
StartServers {processes}
ServerLimit 8
ThreadsPerChild 5
MinSpareThreads 1
MaxSpareThreads 40
MaxRequestWorkers 40
ProxyPass / http://{host}:{port}/ disablereuse=on
"""
PHP = CONFIG + """
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule php_module {module}
StartServers {processes}
MinSpareServers 1
MaxSpareServers 4
MaxRequestWorkers 4
DocumentRoot {directory}
<FilesMatch \\.php$>
    SetHandler application/x-httpd-php
</FilesMatch>
"""


@pytest.mark.parametrize("by", ["vip", "name"])
def test_mod_proxy(world: World, by: str) -> None:
    web = world.web()
    seen = []
    for preload in MODES:
        directory = world.public_directory() / str(preload)
        directory.mkdir()
        config = PROXY.format(directory=directory, address=ADDRESS, processes=PROCESSES, host=getattr(web, by), port=web.port)
        (directory / "httpd.conf").write_text(config)
        with world.mode(preload):
            command = ["apache2", "-D", "FOREGROUND", "-f", directory / "httpd.conf"]
            server = world.start(command, preload, env=world.public_env(), cwd=directory, listening=ADDRESS)
            wait_until("its processes", lambda: len(children(server.pid)) == PROCESSES, server.result)
            with world.counting({web: COUNT}, preload, uneven=PROCESSES, shown=server.result):
                expect_only(ask_often(ADDRESS, COUNT), web.pod_names, server.result())
            files = [files_of_tree(server.pid, numbered=False)]
            before = children(server.pid)
            with asking(ADDRESS) as found:
                os.kill(server.pid, signal.SIGUSR1)
                wait_until("other processes", lambda: replaced(server.pid, before), server.result)
                wait_until("requests", lambda: sum(found.values()) >= COUNT, server.result)
            expect_only(found, web.pod_names, server.result())
            with world.counting({web: COUNT}, preload, uneven=PROCESSES, shown=server.result):
                expect_only(ask_often(ADDRESS, COUNT), web.pod_names, server.result())
            files.append(files_of_tree(server.pid, numbered=False))
            os.kill(server.pid, signal.SIGTERM)
            result = server.wait()
        told = re.sub(r"^\[.*?\] |\[pid \d+:tid \d+\] ", "", result.stderr, flags=re.MULTILINE)
        told = told.replace(str(directory), "DIRECTORY")
        seen.append((files, told, result.stdout, result.returncode))
    expect_alike(seen)


def test_mod_php(world: World) -> None:
    """Its streams, and what its extensions call."""
    web = world.web()
    seen = []
    for preload in MODES:
        directory = world.public_directory() / str(preload)
        directory.mkdir()
        script = directory / "fpm.php"
        script.write_bytes((Path(__file__).with_name("clients") / "fpm.php").read_bytes())
        script.chmod(0o644)
        module = sorted(glob.glob("/usr/lib/apache2/modules/libphp*.so"))[-1]
        (directory / "httpd.conf").write_text(PHP.format(directory=directory, address=ADDRESS, processes=PROCESSES, module=module))
        command = ["apache2", "-D", "FOREGROUND", "-f", directory / "httpd.conf"]
        server = world.start(command, preload, env=world.public_env(), cwd=directory, listening=ADDRESS)
        wait_until("its processes", lambda: len(children(server.pid)) == PROCESSES, server.result)
        for again in (False, True):
            if again:
                before = children(server.pid)
                os.kill(server.pid, signal.SIGUSR1)
                wait_until("other processes", lambda: not children(server.pid) & before, server.result)
                wait_until("an answer", lambda: ask(ADDRESS, f"/fpm.php?how=stream&host={web.vip}&port={web.port}") in web.pod_names)
            for how in "stream", "curl", "sockets", "redis":
                path = f"/fpm.php?how={how}&host={web.vip}&port={web.port}"
                # One process after the other answers, in any order: each goes round by itself.
                with world.counting({web: COUNT}, preload, uneven=8, shown=server.result):
                    expect_only(ask_often(ADDRESS, COUNT, path), web.pod_names, server.result())
        os.kill(server.pid, signal.SIGTERM)
        result = server.wait()
        seen.append((result.stdout, result.returncode, [line for line in result.stderr.splitlines() if ":notice]" not in line]))
    expect_alike(seen)


def children(parent: int) -> Set[int]:
    return set(tree(parent)[1:])


def replaced(parent: int, before: Set[int]) -> bool:
    now = children(parent)
    return len(now) == PROCESSES and not now & before
