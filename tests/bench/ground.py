# SPDX-License-Identifier: Apache-2.0
"""What the measurements run on: an API server double with many Services, and the programs under the shim.

All addresses, VIPs 10.96.0.0/13 and pods 10.244.0.0/13, are local ones of the network namespace, by one route.
"""
import ipaddress
import json
import os
import select
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from tests.kube import namespace as netns
from tests.kube.double import Double

PORT = 80  # of every Service
POD_PORT = 8080
PODS = ("10.244.0.1", "10.244.0.2", "10.244.0.3")
ANSWER_TIMEOUT = 60.0
Pods = Sequence[str]


class Worker:
    """A program of tests/bench: one line of JSON for each command, or of its own accord."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self._name = " ".join(Path(word).name for word in command[:1]) + " " + " ".join(command[1:])
        self._process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(env), bufsize=0
        )
        self._received = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, command: str) -> Dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(command.encode() + b"\n")
        return self.line()

    def line(self, timeout: float = ANSWER_TIMEOUT) -> Dict[str, Any]:
        """Its next line; raises RuntimeError when none comes in time or it has ended."""
        assert self._process.stdout
        deadline = time.monotonic() + timeout
        while b"\n" not in self._received:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self._process.stdout.fileno(), 65536) if ready else b""
            if not data:
                raise RuntimeError(f"{self._name}: {'ended early' if ready else f'no answer in {timeout:.0f} s'}")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        answer: Dict[str, Any] = json.loads(line)
        return answer

    def end_input(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()

    def stop(self) -> None:
        """The end of its input ends it; whoever does not listen is killed."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Services:
    """The Services service-00000... of one namespace of the double, with consecutive VIPs."""

    def __init__(self, double: Double, namespace: str, first_vip: str, count: int) -> None:
        self.namespace, self.count = namespace, count
        self.first_vip = first_vip
        self._double = double
        self._base = int(ipaddress.IPv4Address(first_vip))

    @property
    def setting(self) -> str:
        """All of them, as K8SLB_SERVICES."""
        return f"{self.namespace}/*"

    def load(self, endpoints: int, first: Pods) -> None:
        """Each gets so many endpoints that nobody listens on, but for the first one, which gets those given."""
        self._double.load("services", (self._service(index) for index in range(self.count)))
        base = int(ipaddress.IPv4Address("10.245.0.0"))
        self._double.load(
            "endpointslices",
            (
                slice_object(self.namespace, _name(index), first if index == 0 else [
                    str(ipaddress.IPv4Address(base + index % 6000 * endpoints + number)) for number in range(endpoints)
                ])
                for index in range(self.count)
            ),
        )

    def move_first(self, pods: Pods) -> None:
        """One write to the API server: the first Service has these pods now."""
        self._double.put("endpointslices", slice_object(self.namespace, _name(0), pods))

    def _service(self, index: int) -> Dict[str, Any]:
        vip = str(ipaddress.IPv4Address(self._base + index))
        return {
            "metadata": {"name": _name(index), "namespace": self.namespace},
            "spec": {
                "clusterIP": vip,
                "clusterIPs": [vip],
                "ipFamilies": ["IPv4"],
                "type": "ClusterIP",
                "internalTrafficPolicy": "Cluster",
                "sessionAffinity": "None",
                # Without a selector, whose slices are not the controller's: it would look at each of them.
                "ports": [{"name": "http", "port": PORT, "protocol": "TCP", "targetPort": POD_PORT}],
            },
        }


class Ground:
    def __init__(self, build: Path) -> None:
        self.build = build
        self._programs = build / "bench"
        self.shim = str(build / "libk8slb.so")
        self.cli = build / "k8slb"
        self.stub = str(self._programs / "stub_calls.so")
        self.refuse = str(build / "tests/programs/refuse")
        self.empty = str(self._programs / "empty.so")
        self._double: Optional[Double] = None
        self._services: Dict[str, Services] = {}
        self._workers: List[Worker] = []
        self._directory = tempfile.TemporaryDirectory(prefix="k8slb-bench-")

    def __enter__(self) -> "Ground":
        if not netns.has_netns():
            raise RuntimeError("network namespaces are not permitted here: 10.0.0.0/8 is not ours to connect to")
        # The node's route to its pods is longer, and the kernel looks no further than the longest.
        netns.ip("route", "del", "10.244.0.0/16", "dev", "node0")
        netns.ip("route", "replace", "local", "10.0.0.0/8", "dev", "lo")
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop_workers()
        if self._double:
            self._double.stop()
        self._directory.cleanup()

    @property
    def double(self) -> Double:
        if self._double is None:
            self._double = Double(ip_base="10.103").start()
        return self._double

    def file(self, name: str) -> Path:
        """A path for a file that goes when the run ends."""
        return Path(self._directory.name) / name

    def program(self, name: str) -> str:
        return str(self._programs / name)

    def services(self, purpose: str, count: int, endpoints: int = 10, first: Pods = PODS) -> Services:
        """A namespace with so many Services; made once for each purpose and count."""
        namespace = f"{purpose}-{count}"
        if namespace not in self._services:
            # 128 blocks of 64 Ki addresses are more than any run has namespaces.
            block = 96 + len(self._services)
            services = Services(self.double, namespace, f"10.{block}.1.0", count)
            services.load(endpoints, first)
            self._services[namespace] = services
        return self._services[namespace]

    def env(self, services: Optional[Services] = None, preload: Sequence[str] = ()) -> Dict[str, str]:
        """The caller's environment without its settings of the shim, with the shim's for these Services."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("K8SLB_", "LD_PRELOAD"))}
        if services:
            env["K8SLB_SERVICES"] = services.setting
            env["K8SLB_API"] = self.double.url
        if preload:
            env["LD_PRELOAD"] = " ".join(preload)
        return env

    def start(
        self, program: str, *arguments: Any, services: Optional[Services] = None, preload: Sequence[str] = (),
        under: Sequence[str] = (),
    ) -> Worker:
        """Starts a program of tests/bench. under: the words of a command that is to start it."""
        command = [*under, self.program(program), *(str(argument) for argument in arguments)]
        worker = Worker(command, self.env(services, preload))
        self._workers.append(worker)
        return worker

    def run(self, program: str, *arguments: Any) -> Dict[str, Any]:
        """Runs a program that prints one line and ends."""
        worker = self.start(program, *arguments)
        answer = worker.line()
        worker.stop()
        self._workers.remove(worker)
        return answer

    def stop_workers(self) -> None:
        while self._workers:
            self._workers.pop().stop()


def _name(index: int) -> str:
    return f"service-{index:05d}"


def slice_object(namespace: str, service: str, pods: Pods) -> Dict[str, Any]:
    """An EndpointSlice as the controller writes it; the same name for the same Service."""
    return {
        "metadata": {
            "name": f"{service}-x7k2p",
            "namespace": namespace,
            "generateName": f"{service}-",
            "labels": {
                "app": service,
                "endpointslice.kubernetes.io/managed-by": "staff",
                "kubernetes.io/service-name": service,
            },
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": [address],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "nodeName": f"node-{number % 50}",
                "zone": "zone-a",
                "targetRef": {
                    "kind": "Pod",
                    "namespace": namespace,
                    "name": f"{service}-{number}",
                    "uid": f"8f3c1f0e-7b1d-4f7e-9d55-{int(ipaddress.IPv4Address(address)):012x}",
                },
            }
            for number, address in enumerate(pods)
        ],
        "ports": [{"name": "http", "port": POD_PORT, "protocol": "TCP"}],
    }
