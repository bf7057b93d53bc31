# SPDX-License-Identifier: Apache-2.0
"""haproxy with a Service as its server line: requests, health checks, and a reload that hands its listeners on. It connects
without blocking, closes descriptors that it does not know at start, and looks a name up once."""
import os
import signal
import socket
from collections import Counter
from typing import List

import pytest

from tests.harness import ShimProcess, expect, wait_until
from tests.preload.common import tally
from tests.programs.common import MODES, Backend, World, files_of, without

pytestmark = pytest.mark.clusters("double")

FRONT = ("127.0.0.1", 18081)
CONFIG = """
global
    nbthread {threads}
    stats socket unix@control mode 600 level admin expose-fd listeners
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
    timeout check 5s
frontend front
    bind {front[0]}:{front[1]}
    default_backend back
backend back
    http-reuse never
    option httpchk GET /
    server service {host}:{port} {check}
"""


class Haproxy:
    """One configuration, its processes beginning with the first one."""

    def __init__(self, world: World, web: Backend, by: str, preload: bool, check: str = "", threads: int = 1) -> None:
        self._world = world
        self._preload = preload
        self._directory = world.new_directory("haproxy")
        config = CONFIG.format(front=FRONT, host=getattr(web, by), port=web.port, check=check, threads=threads)
        (self._directory / "haproxy.cfg").write_text(config)
        self.process = self._start()

    def _start(self, *options: str) -> ShimProcess:
        command = ["haproxy", "-db", "-f", "haproxy.cfg", *options]
        return self._world.start(command, self._preload, cwd=self._directory, listening=FRONT)

    def reload(self) -> ShimProcess:
        """A new process takes the listeners over; returns the old one, which ends when its connections are done."""
        old = self.process
        self.process = self._start("-x", "control", "-sf", str(old.pid))
        return old

    def figure(self, name: str, place: str = "back,service") -> str:
        """Of the statistics: status tells what the health checks do, stot counts the sessions."""
        # By a short path: that of a test's directory may be too long for a socket.
        here = os.open(self._directory, os.O_PATH)
        try:
            with socket.socket(socket.AF_UNIX) as control:
                control.connect(f"/proc/self/fd/{here}/control")
                control.sendall(b"show stat\n")
                head, *lines = control.makefile().read().splitlines()
        finally:
            os.close(here)
        (line,) = [line.split(",") for line in lines if line.startswith(place + ",")]
        return line[head.split(",").index(name)]

    def wait_status(self, wanted: str) -> None:
        wait_until(f"the status {wanted}", lambda: self.figure("status") == wanted, self.process.result, pause=0.05)


def curl(count: int) -> List[str]:
    return ["curl", "-sS", "-f", "-H", "Connection: close", f"http://{FRONT[0]}:{FRONT[1]}/[1-{count}]"]


@pytest.mark.parametrize("threads", [1, 2])  # the second one ends by pthread_exit()
@pytest.mark.parametrize("by", ["vip", "name"])
def test_requests(world: World, by: str, threads: int) -> None:
    web = world.web()
    told = []
    for preload in MODES:
        with world.mode(preload), world.counting({web: 30}, caught=preload):
            haproxy = Haproxy(world, web, by, preload, threads=threads)
            process = haproxy.process
            result = world.run_shim(curl(30), preload=False)
            expect((result.returncode, result.stderr, set(tally(result.stdout))), (0, "", web.pod_names), result)
            wait_until("its two listeners alone", lambda: list(files_of(process.pid).values()).count("socket") == 2)
            files = Counter(files_of(process.pid).values())  # which thread opens first numbers them
        process.process.send_signal(signal.SIGTERM)
        ended = process.wait()
        told.append((ended.returncode, ended.stdout, without(r"\(\d+\)")(ended.stderr), files))
    expect(told[1], told[0])


def test_health_checks(world: World) -> None:
    web = world.web()
    haproxy = Haproxy(world, web, "vip", preload=True, check="check inter 50ms fall 1 rise 1")
    wait_until("10 checks", lambda: sum(world.traffic(web).pods) >= 10, haproxy.process.result)
    haproxy.wait_status("UP")
    traffic = world.traffic(web)
    expect((traffic.vip, max(traffic.pods) - min(traffic.pods) <= 1), (0, True), traffic)
    with world.refusing(web):
        for pod in web.pods:
            world.cluster.set_ready(pod, False)
        haproxy.wait_status("DOWN")
        for pod in web.pods:
            world.cluster.set_ready(pod, True)
        haproxy.wait_status("UP")
    result = world.run_shim(curl(30), preload=False)
    expect((result.returncode, set(tally(result.stdout))), (0, web.pod_names), result)
    expect(world.traffic(web).vip, 0, haproxy.process.result())


@pytest.mark.parametrize("by", ["vip", "name"])
def test_reload_under_load(world: World, by: str) -> None:
    web = world.web()
    for preload in MODES:
        with world.mode(preload):
            before = world.traffic(web)
            haproxy = Haproxy(world, web, by, preload)
            stop = world.new_directory("client") / "stop"
            until_stop = ["sh", "-c", 'until test -e "$0"; do "$@" || exit; done', stop]
            client = world.run_shim.start([*until_stop, *curl(20)], preload=False)
            client.wait_output("web-1\n")
            ended = haproxy.reload().wait()
            wait_until("requests to the new one", lambda: int(haproxy.figure("stot")) >= 30, client.result, pause=0.05)
            stop.touch()
            result = client.wait()
        count, traffic = sum(tally(result.stdout).values()), world.traffic(web) - before
        expect((result.returncode, result.stderr, set(tally(result.stdout))), (0, "", web.pod_names), result)
        expect((sum(traffic.pods), traffic.vip), (count, 0 if preload else count), traffic, result)
        # Two processes, each of which goes round by itself.
        expect(max(traffic.pods) - min(traffic.pods) <= 2, True, traffic)
        expect((ended.returncode, ended.stdout), (0, ""), ended)
        haproxy.process.stop()
