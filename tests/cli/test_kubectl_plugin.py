# SPDX-License-Identifier: Apache-2.0
"""kubectl k8slb with the real API server. No kubelet is here: what exec would run in the Pod runs beside it, and the end of an
ephemeral container is told by the test, as the kubelet would."""
import hashlib
import shlex
import subprocess
import tarfile
import threading
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests.cli.laptop import Laptop, executable
from tests.e2e.common import three
from tests.harness import Build, expect, wait_until

pytestmark = pytest.mark.clusters("real")

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "deploy/krew/kubectl-k8slb"


class Plugin:
    """The plugin in PATH, and a kubectl whose exec and logs are ours."""

    def __init__(self, cluster: Any, directory: Path) -> None:
        self.laptop = Laptop(cluster, directory)
        self.calls = directory / "calls"
        real = shlex.join(cluster.kubectl_command)
        (self.laptop.bin / "kubectl-k8slb").symlink_to(PLUGIN)
        executable(
            self.laptop.bin / "kubectl",
            f"""#!/bin/sh
all="$*"
for word; do
    case $word in
    exec) echo "$all" >> {self.calls}
        while [ "$1" != -- ]; do shift; done
        shift; exec "$@" ;;
    logs) echo "what it said"; exit 0 ;;
    --*|-n) ;;
    *) break ;;
    esac
done
exec {real} "$@"
""",
        )
        # With all rights, as those of somebody who looks into a Pod.
        self.env = self.laptop.env(Path(cluster.kubeconfig), KUBECTL_PLUGIN_WAIT_S="30")

    def __call__(self, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        command = ["kubectl", "k8slb", *arguments]
        return subprocess.run(command, env={**self.env, **env}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


@pytest.fixture
def plugin(cluster: Any, tmp_path: Path) -> Plugin:
    return Plugin(cluster, tmp_path)


def container(build: Build, env: Dict[str, str], **fields: Any) -> Dict[str, Any]:
    variables = [{"name": name, "value": value} for name, value in {"LD_PRELOAD": f"/lib/other.so {build.shim}", **env}.items()]
    return {"name": "main", "image": "registry.example/app", "env": variables, **fields}


def test_by_exec(cluster: Any, build: Build, plugin: Plugin) -> None:
    three(cluster)
    env = cluster.env("web", K8SLB_NAMES="always")
    cluster.add_pod("app", {"app": "app"}, containers=[container(build, env)])
    cluster.add_pod("bare", {"app": "bare"})
    result = plugin("doctor", "-n", "default", "app", "--", "-q", "--", "curl", **env)
    expect((result.returncode, result.stdout), (0, "Nothing is wrong.\n"), result)
    expect(plugin.calls.read_text(), f"--namespace=default exec app -c main -- {build.directory}/k8slb doctor -q -- curl\n")
    result = plugin("doctor", "pod/app", "--", "-q", **{**env, "K8SLB_SERVICES": "wep"})
    expect((result.returncode, result.stdout.splitlines()[0]), (1, "K8SLB027: there is no Service default/wep"), result)
    result = plugin("explain", "app", "--", "web")
    expect((result.returncode, result.stdout), (1, ""), result)
    assert "no program of this user shares a table now" in result.stderr, result
    for arguments, words in (
        (["doctor", "nope"], "Pod nope cannot be read; kubectl get pods"),
        (["doctor", "-c", "nope", "app"], "Pod app has no container nope; it has: main"),
        (["doctor", "bare"], "no libk8slb.so is in LD_PRELOAD of container main (K8SLB003); inject it"),
        (["doctor"], "a Pod is missing; name it"),
        (["frobnicate", "app"], "frobnicate: no such command; doctor"),
        (["doctor", "--image"], "--image: its value is missing; kubectl k8slb --help"),
    ):
        result = plugin(*arguments)
        expect((result.returncode, result.stdout), (125, ""), result)
        assert words in result.stderr, result


def test_by_an_ephemeral_container(cluster: Any, build: Build, plugin: Plugin) -> None:
    """As the user of the target, with its variables and its volumes."""
    mounts = [{"name": "tables", "mountPath": "/run/k8slb"}]
    main = container(build, {"K8SLB_SERVICES": "web"}, securityContext={"runAsUser": 1234, "runAsGroup": 77}, volumeMounts=mounts)
    cluster.add_pod("app", {"app": "app"}, containers=[main], volumes=[{"name": "tables", "emptyDir": {}}])
    path = "/api/v1/namespaces/default/pods/app"

    def ephemeral() -> List[Dict[str, Any]]:
        found: List[Dict[str, Any]] = cluster.request("GET", path)[1]["spec"].get("ephemeralContainers", [])
        return found

    def be_the_kubelet() -> None:
        (one,) = wait_until("the ephemeral container", ephemeral)
        state = {"terminated": {"exitCode": 1, "startedAt": None, "finishedAt": None}}
        status = {"name": one["name"], "image": "i", "imageID": "i", "ready": False, "restartCount": 0, "state": state}
        cluster.request("PATCH", path + "/status", {"status": {"ephemeralContainerStatuses": [status]}})

    kubelet = threading.Thread(target=be_the_kubelet)
    kubelet.start()
    result = plugin("doctor", "--image", "registry.example/k8slb", "app", "--", "-q")
    kubelet.join()
    expect((result.returncode, result.stdout), (1, "what it said\n"), result)
    (one,) = ephemeral()
    expect((one["image"], one["targetContainerName"], one["command"]), ("registry.example/k8slb", "main", ["/k8slb", "doctor", "-q"]))
    expect((one["securityContext"]["runAsUser"], one["securityContext"]["runAsGroup"]), (1234, 77), one)
    expect({"name": "K8SLB_SERVICES", "value": "web"} in one["env"], True, one)
    expect(one["volumeMounts"], mounts)


def test_an_unknown_user(cluster: Any, build: Build, plugin: Plugin) -> None:
    cluster.add_pod("app", {"app": "app"}, containers=[container(build, {})])
    result = plugin("doctor", "--image", "registry.example/k8slb", "app")
    expect((result.returncode, result.stdout), (125, ""), result)
    assert "its table may be another user's (K8SLB034); set runAsUser" in result.stderr, result


def test_krews_layout(tmp_path: Path) -> None:
    url = "https://downloads.example/kubectl-k8slb.tar.gz"
    for folder in ("a", "b"):
        subprocess.run([str(ROOT / "scripts/make-krew"), "0.2.0", url, str(tmp_path / folder)], check=True)
    archive = tmp_path / "a" / "kubectl-k8slb.tar.gz"
    expect(archive.read_bytes() == (tmp_path / "b" / "kubectl-k8slb.tar.gz").read_bytes(), True)
    with tarfile.open(archive) as packed:
        expect([(one.name, one.mode) for one in packed], [("kubectl-k8slb", 0o755)])
    manifest = (tmp_path / "a" / "k8slb.yaml").read_text()
    assert f"sha256: {hashlib.sha256(archive.read_bytes()).hexdigest()}\n" in manifest, manifest
    assert f"uri: {url}\n" in manifest and "version: v0.2.0\n" in manifest and "@" not in manifest, manifest
