# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: a program that connects for as long as it is watched, and what stands in for kube-proxy."""
import itertools
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Callable, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from tests.harness import ShimProcess, ShimRunner, wait_until
from tests.kube.cluster import Cluster, Pod, Service

PROGRAMS = Path(__file__).with_name("programs")


class Line(NamedTuple):
    """One connection of programs/follow.py."""

    start: float  # time.monotonic()
    seconds: float
    result: str  # the pod that answered, or the name of the error


class Follower:
    """programs/follow.py under the shim, connecting until the test ends."""

    def __init__(
        self,
        run_shim: ShimRunner,
        service: Service,
        env: Mapping[str, str],
        pause_ms: float = 10,
        host: Optional[str] = None,
        before: Sequence[str] = (),
    ) -> None:
        self.began = time.monotonic()
        command = [*before, sys.executable, PROGRAMS / "follow.py", host or service.vip, service.port, pause_ms]
        self.process: ShimProcess = run_shim.start(command, env=env)

    def lines(self, since: float = 0) -> List[Line]:
        """The connections that began at or after this time.monotonic()."""
        complete = self.process.result().stdout.rpartition("\n")[0].splitlines()
        lines = [Line(float(start), float(seconds), result) for start, seconds, result in map(str.split, complete)]
        return [line for line in lines if line.start >= since]

    def results(self, since: float = 0) -> Set[str]:
        return {line.result for line in self.lines(since)}

    def results_by_table(self) -> Set[str]:
        """The results from the first answer of a pod (NAME-NUMBER) on. The program connects without blocking: a first table that takes
        longer than k8slb waits for then, 300 ms, finds the connections before it at the VIP."""
        balanced = itertools.dropwhile(lambda line: not re.fullmatch(r"[a-z]+-\d+", line.result), self.lines())
        return {line.result for line in balanced}

    def wait(self, what: str, condition: Callable[[List[Line]], object], since: float = 0) -> List[Line]:
        """Wait until the condition holds for the connections so far."""
        found: List[Line] = []

        def look() -> bool:
            ended = self.process.process.poll() is not None
            found[:] = self.lines(since)
            met = bool(condition(found))
            assert met or not ended, f"{what}: the program ended\n{self}"
            return met

        wait_until(what, look, self.__str__, pause=0.02)
        return found

    def wait_results(self, expected: Set[str], since: float = 0) -> List[Line]:
        """Wait until all of these answered, and possibly others."""
        return self.wait(f"answers of {sorted(expected)}", lambda lines: expected <= {line.result for line in lines}, since)

    def watch(self, seconds: float, since: float) -> List[Line]:
        """The connections since then, once one began at least so many seconds later."""
        return self.wait("enough connections", lambda lines: lines and lines[-1].start >= since + seconds, since)

    def wait_log(self, pattern: str) -> str:
        """The first line of the shim's log that the pattern is found in, once there is one."""
        return self.process.wait_log(pattern)

    def log(self) -> str:
        return self.process.result().log

    def peak_kib(self) -> int:
        """The largest resident size so far, KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0])

    def __str__(self) -> str:
        """The log, and the connections; those with pods of one name in a row are told in one line."""
        runs = [list(run) for _name, run in itertools.groupby(self.lines(), lambda line: line.result.rstrip("0123456789"))]
        told = []
        for run in runs:
            tally = sorted(Counter(line.result for line in run).items())
            longest = max(line.seconds for line in run)
            told.append(f"{run[0].start:.3f} {' '.join(f'{name}:{count}' for name, count in tally)}, longest {longest:.3f} s")
        result = self.process.result()
        return "\n".join(["--- connections", *told[-60:], "--- stderr", result.stderr, "--- shim log", *result.log.splitlines()[-60:]])


def stand_in(cluster: Cluster, service: Service) -> Pod:
    """A listener at the VIP itself that answers "vip": where kube-proxy would lead a connection that was not translated."""
    return cluster.add_pod("vip", {"app": "stand-in-for-kube-proxy"}, ip=service.vip, port=service.port)


def hold_table(run_shim: ShimRunner, cluster: Cluster, name: str = "web") -> None:
    """A process that has the table, and looks a name up for that as long as it takes, until the test's end: whoever connects without
    blocking waits for a first table no longer than CONFIG_NONBLOCKING_WAIT_MS."""
    code = "import socket, sys, time; socket.gethostbyname(sys.argv[1]); print('holds', flush=True); time.sleep(600)"
    run_shim.start([sys.executable, "-c", code, name], env=cluster.env(name)).wait_output("holds")


def most_requests(seconds: float, retry_delay: float = 5) -> int:
    """How many requests one collection may make in a time in which all fail: pauses begin at delay / 6 and double."""
    count, pause, spent = 1, retry_delay / 6, 0.0
    while spent + pause <= seconds:
        spent += pause
        pause = min(pause * 2, retry_delay * 6)
        count += 1
    return count


def expect_followed(follower: Follower, names: Set[str]) -> None:
    """From some moment on exactly these pods answer."""

    def settled(lines: List[Line]) -> bool:
        last = [line.result for line in lines[-4 * len(names):]]
        return len(last) >= 4 * len(names) and set(last) == names

    follower.wait(f"connections to exactly {sorted(names)}", settled)


def three(cluster: Cluster, name: str = "web") -> Tuple[Service, List[Pod]]:
    """A Service with three ready pods, made by the endpoint controller of the cluster."""
    service = cluster.create_service(name)
    pods = [cluster.add_pod(f"{name}-{number}", {"app": name}) for number in range(3)]
    cluster.wait_endpoints(service, {pod.endpoint for pod in pods})
    return service, pods


def names(pods: List[Pod]) -> Set[str]:
    return {pod.name for pod in pods}
