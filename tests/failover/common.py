# SPDX-License-Identifier: Apache-2.0
"""Pods that are dead in each of the ways a pod can be, and a client that tells the time of each connection."""
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence

import pytest

from tests.harness import Build, Result
from tests.kube import namespace as netns
from tests.kube.cluster import Pod, Service
from tests.kube.process import go_program

_CLIENT = Path(__file__).with_name("client.py")
_IN_CONTAINER = Path(__file__).with_name("in_container.py")

TIMEOUT_MS = 300  # K8SLB_CONNECT_TIMEOUT by default
KERNEL_MS = 1000  # where the kernel ends a try it does so at the first retransmission
EARLY_MS = 10  # the clock by which a try is due is exact to one tick
SLACK_MS = 100


class Way(NamedTuple):
    """How a try is bounded (docs/failover.md): where it is so, and what the environment has to have."""

    name: str
    filter: str = ""  # "container": the one that Docker gives, which refuses pidfd_getfd(); "busy": shutdown() says EBUSY
    env: Dict[str, str] = {}
    timeout_ms: int = TIMEOUT_MS

    def command(self, build: Build, words: Sequence[object]) -> List[object]:
        if self.filter == "container":
            return [sys.executable, _IN_CONTAINER, go_program("docker"), *words]
        return [build.programs / "refuse", "shutdown", *words] if self.filter else list(words)


WAYS = [
    Way("own table"),
    Way("shared table", "container", {"WITH_THREAD": "1", "K8SLB_EVENTS": "on"}),
    Way("kernel", "container", timeout_ms=KERNEL_MS),
]


def marked(ways: Sequence[Way]) -> List[Any]:
    """As parameters of a test."""
    return [pytest.param(way, marks=[] if way.filter else [pytest.mark.own_table]) for way in ways]


# Kernels that refuse to shut down a socket that connects.
BUSY = Way("busy", "busy", timeout_ms=KERNEL_MS)


@pytest.fixture
def firewall() -> "Iterator[Firewall]":
    made = Firewall()
    try:
        yield made
    finally:
        made.close()


@contextmanager
def sysctl(name: str, value: object) -> Iterator[None]:
    """A setting of the tests' network namespace, net.ipv4.NAME."""
    setting = Path("/proc/sys/net/ipv4", name)
    before = setting.read_text()
    setting.write_text(str(value))
    try:
        yield
    finally:
        setting.write_text(before)


class Firewall:
    """Rules of nftables in front of pods; all of them are gone with close()."""

    def __init__(self) -> None:
        _nft("add table inet failover", "add chain inet failover in { type filter hook input priority 0; }")

    def drop(self, *pods: Pod) -> None:
        """Their SYNs vanish, as those to a dead node do."""
        self._rule(pods, "drop")

    def reject(self, *pods: Pod) -> None:
        """A router answers for them: no route to host."""
        self._rule(pods, "reject with icmp type host-unreachable")

    def refuse(self, *pods: Pod) -> None:
        """They refuse, as pods whose program has ended do; listeners and open connections stay."""
        self._rule(pods, "reject with tcp reset")

    def allow_all(self) -> None:
        _nft("flush chain inet failover in")

    def close(self) -> None:
        _nft("delete table inet failover")

    @staticmethod
    def _rule(pods: Sequence[Pod], verdict: str) -> None:
        addresses = ", ".join(pod.ip for pod in pods)
        _nft(f"add rule inet failover in ip daddr {{ {addresses} }} tcp flags & (syn|ack) == syn {verdict}")


def _nft(*lines: str) -> None:
    result = subprocess.run(["nft", "-f", "-"], input="\n".join(lines) + "\n", capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"nft: {lines}: {result.stderr}")


def refuse(*pods: Pod) -> None:
    """They are in the table, and nobody listens."""
    for pod in pods:
        for listener in pod.listeners:
            listener.stop()


def revive(*pods: Pod) -> None:
    for pod in pods:
        for listener in pod.listeners:
            listener.start()


def no_route(kind: str, pod: Pod) -> None:
    """The node itself knows no way to the pod. kind: unreachable (EHOSTUNREACH), throw (ENETUNREACH) or blackhole (EINVAL)."""
    netns.remove_address(*pod.ips)
    netns.ip("route", "add", kind, f"{pod.ip}/32")


def route_again(kind: str, pod: Pod) -> None:
    netns.ip("route", "del", kind, f"{pod.ip}/32", check=False)


class Connection(NamedTuple):
    ms: float
    result: str  # the pod that answered, or the name of the error


def client(*arguments: object) -> List[str]:
    """The command line of client.py."""
    return [sys.executable, str(_CLIENT), *(str(argument) for argument in arguments)]


def nonblocking(way: str, service: Service, *arguments: object) -> List[str]:
    """The command line of nonblocking.py."""
    words = (_CLIENT.with_name("nonblocking.py"), way, service.vip, service.port, *arguments)
    return [sys.executable, *(str(word) for word in words)]


def connections(result: Result) -> List[Connection]:
    """What client.py told."""
    lines = [line.split() for line in result.stdout.splitlines() if line]
    return [Connection(float(ms), name) for ms, name in lines]


def make_fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path
