# SPDX-License-Identifier: Apache-2.0
"""What the tests of the agent share: one that runs, and programs that read its table."""
import os
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Tuple

from tests.harness import PATIENCE_S, Build, Environment, wait_until
from tests.kube.cluster import Cluster

# What a reader may know of the API server: nothing, and an address at which nobody is.
NO_API = {"K8SLB_API": "http://127.0.0.1:1", "K8SLB_NAMESPACE": "default"}
STRANGER = ["setpriv", "--reuid=4711", "--regid=4711", "--clear-groups"]


def reader_env(path: Path, services: str = "web", **extra: Optional[str]) -> Dict[str, Optional[str]]:
    return {**NO_API, "K8SLB_TABLE": str(path), "K8SLB_SERVICES": services, **extra}


class Agent:
    """k8slb agent, its standard error in a file."""

    def __init__(self, build: Build, directory: Path, table: Path, env: Mapping[str, str], *arguments: object) -> None:
        self.table = table
        self._log = directory / f"agent{len(list(directory.glob('agent*.log')))}.log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("K8SLB_", "NOTIFY_"))}
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [str(build.cli), "agent", "--table", str(table), *map(str, arguments)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**clean, **env},
            )

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_log(self, text: str) -> str:
        def look() -> Optional[str]:
            return next((line for line in self.log().splitlines() if text in line), None)

        return wait_until(f"the agent's line {text!r}", look, self.log) or ""

    def wait_serving(self) -> "Agent":
        self.wait_log(f"serves {self.table}")
        return self

    def http(self) -> str:
        """Base URL of --listen 127.0.0.1:0."""
        return "http://" + self.wait_log("/healthz, /livez and /metrics at").rsplit(" ", 1)[1]

    def get(self, target: str) -> Tuple[int, str]:
        try:
            with urllib.request.urlopen(self.http() + target, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metrics(self) -> Dict[str, float]:
        lines = [line for line in self.get("/metrics")[1].splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def end(self, number: int = signal.SIGTERM, timeout: float = PATIENCE_S) -> int:
        """Its exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Agents:
    """Starts agents for one test, and ends them with it."""

    def __init__(self, build: Build, directory: Path) -> None:
        self._build = build
        self._directory = directory
        self._all: List[Agent] = []

    def start(self, cluster: Cluster, table: Path, *arguments: object, env: Optional[Environment] = None) -> Agent:
        settings = {name: value for name, value in {**cluster.env(""), **(env or {})}.items() if value is not None}
        self._all.append(Agent(self._build, self._directory, table, settings, *arguments))
        return self._all[-1]

    def run(self, cluster: Cluster, table: Path, *arguments: object, env: Optional[Environment] = None) -> Agent:
        """One that serves."""
        return self.start(cluster, table, *arguments, env=env).wait_serving()

    def close(self) -> None:
        for agent in self._all:
            agent.kill()
