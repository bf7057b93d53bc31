# SPDX-License-Identifier: Apache-2.0
"""One agent of a node with very many Services, under a storm of changes: what it takes, and what its readers see."""
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Dict, List, Tuple
from urllib.parse import urlsplit
from urllib.request import urlopen

from tests.harness import counts

from .freshness import SLICES, percentile, text
from .ground import PORT, Ground, Services, Worker, slice_object
from .report import Report

SERVICES, ENDPOINTS = 10_000, 10
RATE = 1000  # changes a second
SECONDS = counts(5, 60)
PROBE_EVERY = 50  # of these changes one is of the Service that the reader looks at
PODS = [(f"10.244.{number // 250}.{number % 250 + 1}",) for number in range(20_000)]


class Agent:
    def __init__(self, ground: Ground, services: Services) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="k8slb-bench-")
        self.table = Path(self._directory.name) / "table"
        self._log = ground.file("agent.log")
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [str(ground.cli), "agent", "--table", str(self.table), "--services", services.setting,
                 "--listen", "127.0.0.1:0", "--api", ground.double.url],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ground.env(),
            )
        started = time.monotonic()
        while "serves" not in self._log.read_text():
            if self._process.poll() is not None or time.monotonic() - started > 60:
                raise RuntimeError(f"the agent does not serve: {self._log.read_text()}")
            time.sleep(0.01)
        self.seconds_to_serve = time.monotonic() - started

    def metrics(self) -> Dict[str, float]:
        line = next(line for line in self._log.read_text().splitlines() if "/metrics at" in line)
        with urlopen(f"http://{line.rsplit(' ', 1)[1]}/metrics") as answer:
            lines = [one for one in answer.read().decode().splitlines() if not one.startswith("#")]
        return {name: float(value) for name, value in (one.rsplit(" ", 1) for one in lines)}

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self) -> Dict[str, float]:
        """anon: its own; shmem: the table, which its readers share."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Rss")}
        return {"anon": kib["RssAnon"] / 1024, "shmem": kib["RssShmem"] / 1024}

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._directory.cleanup()


class Watch:
    """A bare watch beside the agent's: what no client can beat on this machine."""

    def __init__(self, ground: Ground, services: Services) -> None:
        path = SLICES.format(services.namespace, ground.double.store.rv)
        self.heard: List[float] = []
        self._worker = ground.start("plain_watch", urlsplit(ground.double.url).port, path, '"name":"service-00000-x7k2p"')
        self._worker.line()
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        try:
            while True:
                self.heard.append(self._worker.line()["ns"])
        except (RuntimeError, OSError, ValueError):  # the end of the run
            return


class Lines:
    """What the reader prints, taken in as it comes, so that it never waits."""

    def __init__(self, reader: Worker) -> None:
        self.seen: Dict[str, float] = {}  # address -> when it was looked up first, ns
        self._reader = reader
        self._last: Dict[str, float] = {}
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        while not self._last:
            line = self._reader.line()
            if "ip" in line:
                self.seen[line["ip"]] = line["ns"]
            else:
                self._last = line

    def wait_for(self, ip: str) -> None:
        deadline = time.monotonic() + 10
        while ip not in self.seen and time.monotonic() < deadline:
            time.sleep(0.01)

    def end(self) -> Dict[str, float]:
        """The summary."""
        self._reader.end_input()
        self._thread.join(10)
        return self._last


def storm(services: Services, ground: Ground) -> Tuple[List[Tuple[str, float]], int, float]:
    """Changes at RATE; for each that the reader looks at the address and when its write began (ns). Prepared before, so
    that what is timed is the server's work and the agent's."""
    writes = []
    for number in range(RATE * SECONDS):
        if number % PROBE_EVERY == 0:
            writes.append((0, PODS[number // PROBE_EVERY % len(PODS)]))
        else:
            index = 1 + number * 7919 % (SERVICES - 1)
            writes.append((index, tuple(f"10.{246 + number % 3}.{number // 200 % 250}.{n + 1}" for n in range(ENDPOINTS))))
    marks = []
    started = time.monotonic()
    for number, (index, pods) in enumerate(writes):
        due = started + number / RATE
        while time.monotonic() < due:
            time.sleep(max(0.0, due - time.monotonic()))
        if index == 0:
            marks.append((pods[0], float(time.monotonic_ns())))
        ground.double.put("endpointslices", slice_object(services.namespace, f"service-{index:05d}", pods))
    return marks, len(writes), time.monotonic() - started


def run(ground: Ground, report: Report) -> None:
    services = ground.services("agent", SERVICES, ENDPOINTS, first=PODS[-1])
    agent = Agent(ground, services)
    try:
        measure(ground, report, services, agent)
    finally:
        agent.stop()


def measure(ground: Ground, report: Report, services: Services, agent: Agent) -> None:
    report.add(f"start to serving {SERVICES} Services, {SERVICES * ENDPOINTS} endpoints", f"{agent.seconds_to_serve:.2f} s")
    reader = ground.start("agent_reader", agent.table, services.first_vip, PORT)
    reader.line()
    cpu, publishes = agent.cpu_seconds(), agent.metrics()["k8slb_publishes_total"]
    lines = Lines(reader)
    watch = Watch(ground, services)
    found, count, took = storm(services, ground)
    lines.wait_for(found[-1][0])
    used, published = agent.cpu_seconds() - cpu, agent.metrics()["k8slb_publishes_total"] - publishes
    # A value that was overwritten before the next lookup is nobody's.
    delays = [(lines.seen[ip] - start) / 1e6 for ip, start in found if ip in lines.seen]
    memory = agent.memory_mib()
    report.add(f"{count} changes within {took:.1f} s ({count / took:.0f}/s): CPU of the agent",
               f"{100 * used / took:.0f} % of one core, {1e6 * used / count:.0f} us a change", cpu_s=used, seconds=took)
    report.add("    snapshots published", f"{published:.0f}, {count / max(published, 1):.1f} changes each", published=published)
    report.add("    memory of its own, and of the table", f"{memory['anon']:.0f} MiB, {memory['shmem']:.0f} MiB", **memory)
    heard = dict(zip((ip for ip, _start in found), watch.heard))
    if len(watch.heard) != len(found):
        raise RuntimeError(f"the bare watch heard {len(watch.heard)} of {len(found)} changes")
    bare = [(heard[ip] - start) / 1e6 for ip, start in found if ip in heard]
    beyond = [(lines.seen[ip] - heard[ip]) / 1e6 for ip in heard if ip in lines.seen]
    report.add(f"    write at the API server to a reader's lookup, {len(delays)} of {len(found)} seen", text(delays), ms=delays)
    report.add("    to a bare watch, which no client can beat", text(bare), ms=bare)
    report.add("    beyond the bare watch, paired", text(beyond), "p99 < 10 ms", percentile(beyond, 99) < 10, ms=beyond)
    lookups = lines.end()
    ok = lookups["failed"] == 0 and lookups["cpu_max"] < 1e6
    report.add(f"    {lookups['lookups']} lookups meanwhile, {lookups['failed']} failed",
               f"p50 {lookups['p50']} ns, p99 {lookups['p99']} ns, max {lookups['max'] / 1e3:.0f} us", "", None, **lookups)
    report.add("    the longest one, in time that it ran", f"{lookups['cpu_max'] / 1e3:.0f} us", "< 1 ms", ok)

