# SPDX-License-Identifier: Apache-2.0
"""A machine outside of the cluster: kubeconfigs of every kind of login, and kubectl in its PATH."""
import base64
import json
import os
import shlex
import stat
from pathlib import Path
from typing import Any, Dict, Optional

from tests.cli.common import Object

ACCOUNT = "system:serviceaccount:default:k8slb"  # the one that may read the three lists, by cluster.py


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


class Laptop:
    """Files below `directory`."""

    def __init__(self, cluster: Any, directory: Path) -> None:
        self.cluster = cluster
        self.directory = directory
        self.bin = directory / "bin"
        self.bin.mkdir()
        executable(self.bin / "kubectl", f'#!/bin/sh\nexec {shlex.join(cluster.kubectl_command)} "$@"\n')

    def env(self, kubeconfig: Optional[Path] = None, **extra: str) -> Dict[str, str]:
        """Nothing of the Pod that the tests may run in, and a home without a kubeconfig."""
        env = {"PATH": f"{self.bin}:{os.environ['PATH']}", "HOME": str(self.directory), "LC_ALL": "C.UTF-8"}
        if kubeconfig:
            env["KUBECONFIG"] = str(kubeconfig)
        return {**env, **extra}

    def write(self, user: Object, namespace: str = "default", inline: bool = False, name: str = "kubeconfig", **cluster: Any) -> Path:
        """A kubeconfig with one context "here" of this user; inline: the authority stands in it."""
        ca: Object = {"certificate-authority": self.cluster.ca_file}
        if inline:
            ca = {"certificate-authority-data": encoded(self.cluster.ca_file)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "real", "cluster": {"server": self.cluster.url, **ca, **cluster}}],
            "users": [{"name": "me", "user": user}],
            "contexts": [{"name": "here", "context": {"cluster": "real", "user": "me", "namespace": namespace}}],
            "current-context": "here",
        }
        path = self.directory / name
        path.write_text(json.dumps(config))
        return path

    # ---- one kubeconfig for each kind of login

    def token_file(self) -> Path:
        return self.write({"tokenFile": self.cluster.token_file})

    def token(self) -> Path:
        return self.write({"token": self.cluster.token})

    def certificate(self) -> Path:
        certificate, key = self.cluster.clients.client_certificate(ACCOUNT)
        return self.write({"client-certificate": certificate, "client-key": key})

    def inline(self) -> Path:
        certificate, key = self.cluster.clients.client_certificate(ACCOUNT)
        return self.write({"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}, inline=True)

    def plugin(self) -> Path:
        answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": self.cluster.token}}
        login = executable(self.directory / "login", f"#!/bin/sh\ntouch {self.directory}/asked\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
        exec_ = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(login), "interactiveMode": "Never"}
        return self.write({"exec": exec_})


def encoded(path: str) -> str:
    return base64.b64encode(Path(path).read_bytes()).decode()


def add_mode(path: Path, mode: int) -> None:
    path.chmod(stat.S_IMODE(path.stat().st_mode) | mode)
