# SPDX-License-Identifier: Apache-2.0
"""Dead pods that are met again and again: what is noted of them is forgotten at once, who dials them is counted, and there are
some so far away that their refusal comes late."""
import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, Optional, Sequence

from tests.harness import Build, expect
from tests.kube import namespace as netns
from tests.kube.cluster import Cluster, Pod, Service
from tests.kube.pods import PodServer
from tests.pick_memory import pick_memories

_FAR = Path(__file__).with_name("far.py")
FAR_MS = 2  # one way


class Dials:
    """Counts what is dialled: the SYNs to each of these pods, wherever they are."""

    def __init__(self, pods: Sequence[Pod]) -> None:
        self._last: Optional[Dict[str, int]] = None
        lines = ["add table ip dials", "add chain ip dials out { type filter hook output priority 10; }"]
        for pod in pods:
            match = f"ip daddr {pod.ip} tcp flags & (syn|ack) == syn"
            lines += [f"add counter ip dials {pod.name}", f"add rule ip dials out {match} counter name {pod.name}"]
        _nft("-f", "-", text="\n".join(lines) + "\n")

    def counts(self) -> Dict[str, int]:
        if self._last is not None:
            return self._last
        listed = json.loads(_nft("-j", "list", "counters", "table", "ip", "dials"))["nftables"]
        return {item["counter"]["name"]: item["counter"]["packets"] for item in listed if "counter" in item}

    def close(self) -> None:
        self._last = self.counts()
        _nft("delete", "table", "ip", "dials")


@contextmanager
def dialled(pods: Sequence[Pod]) -> Iterator[Dials]:
    made = Dials(pods)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def forgetful(build: Build) -> Iterator[None]:
    """What is noted of dead pods is forgotten at once, by all processes. There has to be a pick memory: after a first connection."""
    (memory,) = pick_memories()
    process = subprocess.Popen([build.programs / "forget", str(memory["shmid"])])
    try:
        yield
        expect(process.poll(), None, "forget has ended")
    finally:
        process.kill()
        process.wait()


def taken_for_libcs(build: Build) -> Path:
    """surprising.so by a name that the library takes for a sanitizer's, whose calls are as good as libc's."""
    real = build.directory / "tests/preload/surprising.so"
    link = real.with_name("surprising-san.so")
    try:
        link.symlink_to(real.name)
    except FileExistsError:
        pass
    return link


class Far:
    """Pods of a Service whose packets take ms each way, give or take spread_ms; the first `dead` of them refuse."""

    def __init__(self, cluster: Cluster, port: int, dead: int, ms: float, spread_ms: float, pods: int = 3) -> None:
        ports = [{"name": "http", "port": 80, "targetPort": port, "protocol": "TCP"}]
        self.service: Service = cluster.create_service("web", ports=ports)
        self.pods = [cluster.add_pod(f"web-{i}", {"app": "web"}, port=port, listen=False) for i in range(pods)]
        addresses = [pod.ip for pod in self.pods]
        netns.remove_address(*addresses)
        command = [sys.executable, "-I", "-S", str(_FAR), str(ms), str(spread_ms), *addresses]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        expect(self._process.stdout.readline(), "ready\n")
        self._server = PodServer("nsenter", "-t", str(self._process.pid), "-n")
        for i, pod in enumerate(self.pods):
            if i >= dead:
                self._server.command(do="listen", ip=pod.ip, port=pod.port, name=pod.name)
        cluster.wait_endpoints(self.service, pods)

    def close(self) -> None:
        self._server.close()
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def far(cluster: Cluster, port: int = 8080, dead: int = 1, ms: float = FAR_MS, spread_ms: float = 0) -> Iterator[Far]:
    """Three of them."""
    made = Far(cluster, port, dead, ms, spread_ms)
    try:
        yield made
    finally:
        made.close()


def _nft(*words: str, text: str = "") -> str:
    result = subprocess.run(["nft", *words], input=text, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"nft: {words}: {result.stderr}\n{text}")
    return result.stdout
