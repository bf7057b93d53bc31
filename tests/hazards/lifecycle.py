# SPDX-License-Identifier: Apache-2.0
"""What the tests of a process's life share: how the API server may behave meanwhile, and what must not be left behind."""
import contextlib
import os
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

from tests.e2e.common import stand_in
from tests.harness import expect, wait_until
from tests.kube import namespace
from tests.kube.cluster import Pod, Service
from tests.kube.double_cluster import DoubleCluster
from tests.ours import OURS
from tests.preload.common import web

SILENT = "10.9.9.77"  # an address that takes packets and never answers

# How the API server behaves while processes come and go: each holds the engine's thread in another place.
SERVERS = ("normal", "connect", "handshake", "list", "body", "refused")


@contextlib.contextmanager
def server(cluster: DoubleCluster, behaviour: str, services: str = "web", **extra: Optional[str]) -> Iterator[Dict[str, str]]:
    """The environment for an API server that is normal, refuses, or is never done with connect, handshake, list or body."""
    env = cluster.env(services, **extra)
    if behaviour == "connect":
        namespace.add_silent_address(SILENT)
        env["K8SLB_API"] = f"https://{SILENT}:6443"
    elif behaviour == "handshake":
        cluster.server.fault("slow_handshake", times=None, seconds=None)
    elif behaviour == "list":
        cluster.server.fault("stall_headers", times=None, seconds=None)
    elif behaviour == "body":
        cluster.server.fault("stall", times=None, seconds=None)
    elif behaviour == "refused":
        cluster.stop_api()
    try:
        yield env
    finally:
        if behaviour == "connect":
            namespace.remove_silent_address(SILENT)
        cluster.server.clear_faults()
        cluster.start_api()


def three_and_vip(cluster: DoubleCluster) -> Tuple[Service, List[Pod]]:
    """A Service with three pods, and a listener at the VIP that answers "vip" to what was not balanced."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    return service, pods


def answers(output: str, tag: str) -> Dict[str, int]:
    """How often each pod answered in the lines "TAG POD"."""
    found: Dict[str, int] = {}
    for line in output.splitlines():
        word, _, name = line.partition(" ")
        if word == tag:
            found[name] = found.get(name, 0) + 1
    return found


def shared_memory() -> List[str]:
    """What is below /dev/shm but for the lock and the FIFO of each table, which are meant to stay. The tests'
    own namespace has the folder to itself."""
    meant = re.compile(r"/dev/shm/k8slb-\d+(/[0-9a-f]{16}\.(lock|held))?")
    return sorted(str(path) for path in Path("/dev/shm").rglob("*") if not meant.fullmatch(str(path)))


def threads(pid: int) -> List[str]:
    """The names of a process's threads, sorted."""
    return sorted(path.read_text().strip() for path in Path(f"/proc/{pid}/task").glob("*/comm"))


def descriptors(pid: int) -> List[int]:
    return sorted(int(name) for name in os.listdir(f"/proc/{pid}/fd"))


def expect_clean_survivor(pid: int, name: str, *logs: Any) -> None:
    """A process that went on has its own thread, those of ours, and standard input, output and error."""
    # A thread has its creator's name until it gives itself one.
    # Behind the filter of make pytest-refused there is a watchdog where the program had threads of its own.
    allowed = [sorted([name, *OURS]), sorted([name, "k8slb", "k8slb-watchdog"])]
    wait_until("the names of our threads", lambda: threads(pid) in allowed, lambda: threads(pid), *logs)
    expect(descriptors(pid), [0, 1, 2], *logs)


def is_gone(pid: int) -> bool:
    """It has ended; who reaps an orphan may take its time."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_gone(pid: int, *logs: Any) -> None:
    wait_until(f"end of process {pid}", lambda: is_gone(pid), *logs)


def wait_no_watch(cluster: DoubleCluster) -> None:
    """No engine is left: nobody watches any more."""
    wait_until("end of all watches", lambda: cluster.server.open_watches() == 0, cluster.logs)

