# SPDX-License-Identifier: Apache-2.0
"""What whoever may write 8 MiB of objects takes of an agent's memory and of a guest's: at most four times what a well-formed set of
so many Services and endpoints takes. The output is the table of it."""
import json
import re
import socketserver
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, Iterable, Iterator, List, Tuple

import pytest

from tests.agent.common import Agent
from tests.harness import Build, ShimRunner, counts, wait_until

SIZE = 8 << 20
MOST = 4
AGENT_LIMIT_MIB = 256  # deploy/
PORT = {"name": "http", "port": 80, "protocol": "TCP"}
READY = {"ready": True, "serving": True, "terminating": False}
# Connects once, which brings the table, and stays.
GUEST = """
import socket, sys, time
dialing = socket.socket()
dialing.setblocking(False)
dialing.connect_ex(("10.96.0.1", 80))
time.sleep(600)
"""
Item = Dict[str, Any]


def service(name: str, number: int = 0, ports: Iterable[Item] = (PORT,), **spec: Any) -> Item:
    address = f"10.{96 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
    return {"kind": "Service", "metadata": {"namespace": "a", "name": name}, "spec": {"clusterIP": address, "ports": list(ports), **spec}}


def slice_of(name: str, owner: str, endpoints: Iterable[Item], ports: Iterable[Item] = (PORT,)) -> Item:
    meta = {"namespace": "a", "name": name, "labels": {"kubernetes.io/service-name": owner}}
    return {"kind": "EndpointSlice", "metadata": meta, "addressType": "IPv4", "endpoints": list(endpoints), "ports": list(ports)}


def endpoints(count: int, first: int = 0, **other: Any) -> Iterator[Item]:
    for i in range(first, first + count):
        yield {"addresses": [f"10.{1 + (i >> 16)}.{i >> 8 & 255}.{i & 255}"], **other}


def numbered(count: int) -> List[Item]:
    return [{"name": f"p{i}", "port": 1 + i} for i in range(count)]


def text_of(item: Item) -> str:
    return json.dumps(item, separators=(",", ":"))


def up_to_size(make: Callable[[int], Iterable[Item]]) -> Iterator[str]:
    """As much of make(0), make(1), ... as goes into SIZE."""
    written, number = 0, 0
    while True:
        part = [text_of(item) for item in make(number)]
        written += sum(map(len, part)) + len(part)
        if written > SIZE:
            return
        yield from part
        number += 1


def values(field: str) -> Iterator[str]:
    """Two objects whose text is nearly all small values."""
    for i in range(2):
        yield text_of(service(f"s{i}", i, junk="@")).replace('"@"', f"[{field}{(',' + field) * ((SIZE // 2 - 300) // (len(field) + 1))}]")


LONG = "z" * 63
HINTS = {"forZones": [{"name": f"{LONG[:-1]}{i}"} for i in range(8)], "forNodes": [{"name": f"{i}{'n' * 252}"} for i in range(8)]}


def tiny(number: int) -> List[Item]:
    return [service(f"s{number}", number, [{"port": 1}])]


def of_ports(count: int, endpoint_count: int, shared: bool = False, **spec: Any) -> Callable[[int], List[Item]]:
    def make(number: int) -> List[Item]:
        ports = numbered(count)
        ends = endpoints(endpoint_count, 0 if shared else endpoint_count * number)
        return [service(f"s{number}", number, ports, **spec), slice_of(f"s{number}", f"s{number}", ends, ports)]

    return make


def of_one_service(make: Callable[[int], Item]) -> Callable[[int], List[Item]]:
    return lambda number: ([service("s", 1)] if number == 0 else []) + [make(number)]


def long_texts_in_endpoints(number: int) -> List[Item]:
    ends = endpoints(100, 100 * number, hostname=LONG, zone=LONG, nodeName="n" * 253, hints=HINTS)
    return [service(f"s{number}", number, clusterIP="None"), slice_of(f"s{number}", f"s{number}", ends)]


SETS: Dict[str, Callable[[], Iterable[str]]] = {
    "tiny Services": lambda: up_to_size(tiny),
    "Services without ports": lambda: up_to_size(lambda n: [service(f"s{n}", n, [])]),
    "Services of 256 ports": lambda: up_to_size(lambda n: [service(f"s{n}", n, numbered(256))]),
    "256 ports of 1000 endpoints": lambda: up_to_size(of_ports(256, 1000, shared=True)),
    "8 ports of 1000 endpoints": lambda: up_to_size(of_ports(8, 1000)),
    "headless with 256 ports": lambda: up_to_size(of_ports(256, 30, clusterIP="None")),
    "100 000 equal ports": lambda: map(text_of, [service("s"), slice_of("s", "s", endpoints(42950), [{"name": "http", "port": 80}] * 100_000)]),
    "long texts in endpoints": lambda: up_to_size(long_texts_in_endpoints),
    "slices of one endpoint": lambda: up_to_size(of_one_service(lambda n: slice_of(f"e{n}", "s", endpoints(1, n)))),
    "slices of no Service": lambda: up_to_size(lambda n: [slice_of(f"e{n}", f"t{n}", endpoints(1, n))]),
    "empty slices": lambda: up_to_size(lambda n: [slice_of(f"e{n}", f"t{n}", [], [])]),
    "one address for ever": lambda: up_to_size(of_one_service(lambda n: slice_of(f"e{n}", "s", [{"addresses": ["10.1.0.1"]}] * 1000))),
    "numbers": lambda: values("0"),
    "empty objects": lambda: values("{}"),
    "escapes": lambda: values('"\\u0000"'),
    "long texts": lambda: (text_of({**service(f"s{n}", n), "x": LONG * ((SIZE // 4 - 400) // 63)}) for n in range(4)),
}


def well_formed(services: int, endpoint_count: int) -> Iterator[str]:
    """As the API server writes them: at least so many Services, each with a slice, and endpoints, and SIZE bytes."""
    written = number = ends = 0
    while written < SIZE or number < services or ends < endpoint_count:
        left = max(services - number, 1)
        count = min(100, max(1, (endpoint_count - ends) // left))
        name = f"shop-{number}"
        pods = [
            {**end, "conditions": READY, "nodeName": f"node-{i % 50}", "zone": "zone-a",
             "targetRef": {"kind": "Pod", "name": f"{name}-{i}", "namespace": "a", "uid": f"00000000-0000-4000-8000-{ends + i:012d}"}}
            for i, end in enumerate(endpoints(count, ends))
        ]
        for item in (service(name, number, type="ClusterIP", sessionAffinity="None"), slice_of(f"{name}-abcde", name, pods)):
            text = text_of(item)
            written += len(text)
            yield text
        number, ends = number + 1, ends + count


def write(path: Path, items: Iterable[str]) -> Tuple[int, int]:
    """Writes the dump; how many Services or slices it has, and endpoints."""
    counted = {"Service": 0, "EndpointSlice": 0, "endpoints": 0}
    with open(path, "w", encoding="ascii") as file:
        file.write('{"kind":"List","items":[')
        for number, text in enumerate(items):
            file.write("," * bool(number) + text)
            counted["EndpointSlice" if text.startswith('{"kind":"EndpointSlice"') else "Service"] += 1
            counted["endpoints"] += text.count('"addresses"')
        file.write("]}")
    return max(counted["Service"], counted["EndpointSlice"]), counted["endpoints"]


def peak_kib(pid: int) -> int:
    """The largest resident size so far."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0])


@dataclass
class Running:
    pid: int
    log: Callable[[], str]

    def wait_log(self, pattern: str) -> None:
        wait_until(f"log line {pattern!r}", lambda: re.search(pattern, self.log()), self.log)


class Ground:
    """An agent and a guest, which take all Services of K8SLB_API=api."""

    def __init__(self, build: Build, run_shim: ShimRunner, directory: Path) -> None:
        self._build, self._run, self._directory = build, run_shim, directory

    @contextmanager
    def agent(self, api: str) -> Iterator[Running]:
        settings = {"K8SLB_API": api, "K8SLB_NAMESPACE": "a"}
        agent = Agent(self._build, self._directory, self._directory / "table", settings, (), "--all")
        try:
            yield Running(agent.process.pid, agent.log)
        finally:
            agent.process.kill()
            agent.process.wait()

    @contextmanager
    def guest(self, api: str) -> Iterator[Running]:
        settings = {"K8SLB_API": api, "K8SLB_NAMESPACE": "a", "K8SLB_SERVICES": "*/*"}
        guest = self._run.start([sys.executable, "-c", GUEST], env=settings)
        try:
            yield Running(guest.pid, lambda: guest.result().log)
        finally:
            guest.stop()

    def both(self) -> Dict[str, Callable[[str], ContextManager[Running]]]:
        return {"agent": self.agent, "guest": self.guest}


@pytest.fixture
def ground(network: None, build: Build, run_shim: ShimRunner, tmp_path: Path) -> Ground:
    return Ground(build, run_shim, tmp_path)


def cost_mib(run: Callable[[str], ContextManager[Running]], dump: Path) -> float:
    """The peak of a program that has this dump."""
    with run(f"file:{dump}") as program:
        program.wait_log(r"table \d+: \d+ Services|serves ")
        return peak_kib(program.pid) / 1024


# In make test the worst ones; with them it was 85 to 1594 MiB and one SIGSEGV before there were limits.
WORST = ["100 000 equal ports", "headless with 256 ports", "256 ports of 1000 endpoints", "tiny Services", "numbers", "escapes"]


@pytest.mark.parametrize("name", [*SETS][: counts(quick=0, full=len(SETS))] or WORST)
def test_a_tenants_objects(ground: Ground, tmp_path: Path, name: str) -> None:
    alone, hostile, fair = (tmp_path / f"{which}.json" for which in ("alone", "hostile", "fair"))
    write(alone, [text_of(service("s"))])
    objects, ends = write(hostile, SETS[name]())
    write(fair, well_formed(objects, ends))
    most = min(MOST * (cost_mib(ground.agent, fair) - cost_mib(ground.agent, alone)), AGENT_LIMIT_MIB)
    added = {who: cost_mib(run, hostile) - cost_mib(run, alone) for who, run in ground.both().items()}
    told = f"{name}: {objects} objects, {ends} endpoints: {added} MiB, at most {most}"
    print(told)
    assert max(added.values()) <= most, told


# ---- On a watch ----


class FloodServer(socketserver.ThreadingTCPServer):
    """An API server without objects, whose first watches of a resource have events for ever: SIZE bytes of them, all other objects."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, resource: str, size: int, make: Callable[[int], Item]) -> None:
        super().__init__(("127.0.0.1", 0), _Flooding)
        self.resource, self.size, self.make = resource, size, make
        self.sent = self.number = 0
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def events(self) -> Iterator[bytes]:
        while self.sent < self.size:
            item = self.make(self.number)
            self.number += 1
            item["metadata"]["resourceVersion"] = str(self.number + 1)
            line = b'{"type":"ADDED","object":' + text_of(item).encode() + b"}\n"
            self.sent += len(line)
            yield line


class _Flooding(socketserver.StreamRequestHandler):
    server: FloodServer

    def handle(self) -> None:
        line = self.rfile.readline().decode()
        while line:
            while self.rfile.readline().strip():
                pass
            if "watch=" in line:
                self._watch(line)
                return
            kind = "EndpointSliceList" if "endpointslices" in line else "ServiceList"
            body = json.dumps({"kind": kind, "metadata": {"resourceVersion": "1"}, "items": []})
            self.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            line = self.rfile.readline().decode()

    def _watch(self, line: str) -> None:
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
            for event in self.server.events() if self.server.resource in line else ():
                self.wfile.write(event)
            self.rfile.read()
        except OSError:
            pass  # the client had enough


def twenty_endpoints(number: int) -> Item:
    ends = [{**end, "conditions": READY, "nodeName": "node-1", "zone": "zone-a"} for end in endpoints(20, 20 * number)]
    return slice_of(f"e{number}", f"t{number}", ends)


# Before there were limits: 44 MiB of Services took 554 MiB, 660 MiB of slices 751.
FLOODS = [("services", 60, lambda n: tiny(n)[0]), ("endpointslices", 660, twenty_endpoints)][: counts(quick=1, full=2)]


@pytest.mark.parametrize("resource, mib, make", FLOODS, ids=[flood[0] for flood in FLOODS])
def test_a_watch_that_floods(ground: Ground, resource: str, mib: int, make: Callable[[int], Item]) -> None:
    peaks: Dict[str, float] = {}
    for who, run in ground.both().items():
        with FloodServer(resource, mib << 20, make) as server, run(f"http://127.0.0.1:{server.server_address[1]}") as program:

            def over() -> bool:
                peaks[who] = peak_kib(program.pid) / 1024
                return server.sent >= server.size or "the rest waits" in program.log() or peaks[who] > AGENT_LIMIT_MIB

            wait_until("the flood's end", over, program.log, timeout=240, pause=0.1)
            server.shutdown()
    told = f"{resource}: {mib} MiB of events: peaks of {peaks} MiB"
    print(told)
    assert max(peaks.values()) < AGENT_LIMIT_MIB, told
