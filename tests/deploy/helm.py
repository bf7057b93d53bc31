# SPDX-License-Identifier: Apache-2.0
"""Helm, of its Go module, on the real API server."""
import os
import subprocess
from pathlib import Path

from tests.kube.process import go_program
from tests.kube.real_cluster import RealCluster

CHART = Path(__file__).resolve().parents[2] / "deploy" / "chart"
NAMESPACE = "k8slb-system"


class Helm:
    """With all rights; what it keeps for itself is below this directory."""

    def __init__(self, cluster: RealCluster, directory: Path) -> None:
        self._command = [go_program("helm"), "--kubeconfig", cluster.kubeconfig, "--namespace", NAMESPACE]
        self._env = {**os.environ, "HELM_CACHE_HOME": f"{directory}/cache", "HELM_CONFIG_HOME": f"{directory}/config", "HELM_DATA_HOME": f"{directory}/data"}

    def run(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [*self._command, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=self._env, stdin=subprocess.DEVNULL)

    def __call__(self, *arguments: object) -> str:
        """Its output; raises with its words when it fails."""
        result = self.run(*arguments)
        if result.returncode:
            raise AssertionError(f"helm {' '.join(map(str, arguments))}: {result.stdout}{result.stderr}")
        return result.stdout
