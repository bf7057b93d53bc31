# SPDX-License-Identifier: Apache-2.0
"""deploy/chart: what it makes, and a release from its installation to its end, on the real API server."""
import json
import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set

import pytest

from tests.cli.common import run_cli
from tests.deploy.helm import CHART, NAMESPACE, Helm
from tests.deploy.pods import create, pod
from tests.harness import Build, expect, wait_until
from tests.kube.real_cluster import RealCluster

ROOT = Path(__file__).resolve().parents[2]
EVERYTHING = [
    "agent.enabled=true", "agentSidecar.enabled=true", "example.enabled=true", "networkPolicy.enabled=true",
    "inject.settings.K8SLB_LOG=info", "inject.excludedNamespaces={payments,db}", "image.digest=sha256:" + 64 * "a",
]  # fmt: skip
KINDS = [
    "mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "validatingadmissionpolicies", "validatingadmissionpolicybindings",
    "clusterroles", "clusterrolebindings", "roles", "rolebindings", "serviceaccounts", "daemonsets", "deployments", "services", "pods",
    "networkpolicies", "secrets", "configmaps",
]  # fmt: skip


def test_the_document_has_the_list_of_programs() -> None:
    """docs/inject.md as deploy/chart/files/programs.yaml."""
    listed = (CHART / "files/programs.yaml").read_text().split("\n- images: [")[1:]
    rows = {}
    for entry in listed:
        programs, reason = re.search(r"programs: \[(.*)\]", entry), re.search(r"reason: (.*)", entry)
        assert programs and reason, entry
        rows[entry.partition("]")[0]] = (programs[1] or "-", reason[1], re.findall(r"- (https://\S+)", entry))
    told = {}
    for line in re.findall(r"^\| (.*https://.*) \|$", (ROOT / "docs/inject.md").read_text(), re.MULTILINE):
        images, programs_told, reason_told, sources = line.split(" | ")
        told[images] = (programs_told, reason_told, re.findall(r"\((https://[^)]+)\)", sources))
    expect((len(rows) > 3, told), (True, rows))


def values(*given: str) -> List[str]:
    return [word for one in given for word in ("--set", one)]


@pytest.fixture
def helm(real_cluster: RealCluster, namespaces: None, tmp_path: Path) -> Helm:
    return Helm(real_cluster, tmp_path)


@pytest.fixture
def release(real_cluster: RealCluster, helm: Helm) -> Iterator[None]:
    """Whatever the test installs is gone after it."""
    yield
    helm.run("uninstall", "k8slb", "--ignore-not-found")
    wait_until("the end of injection", lambda: "volumes" not in create(real_cluster, "labelled", pod())[1]["spec"], real_cluster.logs)


def objects(cluster: RealCluster) -> Set[str]:
    """Names of all objects there are of the kinds that the chart may make."""
    found = json.loads(cluster.kubectl("get", "-A", "-o", "json", ",".join(KINDS)))["items"]
    return {f"{one['kind']} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}" for one in found}


def test_the_manifests_are_what_the_chart_makes() -> None:
    result = subprocess.run([ROOT / "scripts/render-deploy", "--check"], capture_output=True, text=True)
    expect((result.returncode, result.stdout, result.stderr), (0, "", ""))


def test_lint(helm: Helm) -> None:
    for given in ([], EVERYTHING, ["inject.delivery=initContainer", "rbac.scope=account"]):
        output = helm("lint", "--strict", CHART, *values(*given))
        assert "1 chart(s) linted, 0 chart(s) failed" in output, output


WRONG = [
    "inject.delivery=webhook", "inject.failurePolicy=ignore", "rbac.scope=cluster", "rbac.namespaces={Shop}", "image.digest=sha1:00",
    'image.repository=a"b', "inject.settings.K8SLB_NODE=n1", "inject.settings.LD_PRELOAD=a.so", "agent.port=0", "agents.enabled=true",
]  # fmt: skip


def test_wrong_values_are_refused(helm: Helm) -> None:
    for wrong in WRONG:
        result = helm.run("template", "k8slb", CHART, *values(wrong))
        expect((result.returncode != 0, "values don't meet the specifications of the schema" in result.stderr), (True, True), result)


@pytest.mark.parametrize("given", [[], EVERYTHING, ["rbac.scope=namespaces", "rbac.namespaces={plain,labelled}"]], ids=["default", "all", "namespaces"])
def test_the_api_server_accepts_it(real_cluster: RealCluster, helm: Helm, tmp_path: Path, given: List[str]) -> None:
    path = tmp_path / "rendered.yaml"
    path.write_text(helm("template", "k8slb", CHART, *values(*given)))
    answer = real_cluster.run_kubectl("apply", "--dry-run=server", "-f", str(path))
    expect((answer.returncode, answer.stderr), (0, ""), answer)
    made = answer.stdout.splitlines()
    expect([line for line in made if not line.endswith(" created (server dry run)")], [])
    expect(len(made), path.read_text().count("\nkind: "))


def injected_image(cluster: RealCluster) -> str:
    volumes: List[Dict[str, Any]] = create(cluster, "labelled", pod())[1]["spec"].get("volumes", [])
    return "".join(one["image"]["reference"] for one in volumes if one["name"] == "k8slb")


def test_a_release(real_cluster: RealCluster, helm: Helm, release: None, tmp_path: Path) -> None:
    """Installed as the version before, upgraded, rolled back, and gone without a trace."""
    before = objects(real_cluster)
    # The chart that is, but for its version and one object more: what an upgrade has to take away.
    old = shutil.copytree(CHART, tmp_path / "old")
    chart = (old / "Chart.yaml").read_text()
    (old / "Chart.yaml").write_text(re.sub(r"(?m)^(version|appVersion): .*", r"\1: 0.1.0", chart))
    (old / "templates" / "old.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: k8slb-old}\n")

    output = helm("install", "k8slb", old, "--create-namespace")
    assert "k8slb.io/inject=true" in output and "image.repository is still an example" in output, output
    wait_until("0.1.0", lambda: injected_image(real_cluster) == "registry.example/k8slb:0.1.0", real_cluster.logs)

    helm("upgrade", "k8slb", CHART, *values("image.repository=mirror.example/k8slb", "agent.enabled=true"))
    wait_until("0.2.0", lambda: injected_image(real_cluster) == "mirror.example/k8slb:0.2.0", real_cluster.logs)
    added = objects(real_cluster) - before
    expect(("ConfigMap k8slb-system/k8slb-old" in added, "DaemonSet k8slb-system/k8slb-agent" in added), (False, True), added)

    helm("rollback", "k8slb", "1")
    wait_until("0.1.0 again", lambda: injected_image(real_cluster) == "registry.example/k8slb:0.1.0", real_cluster.logs)

    helm("uninstall", "k8slb")
    wait_until("its end", lambda: injected_image(real_cluster) == "", real_cluster.logs)
    expect(sorted(objects(real_cluster) - before), [])


def test_helm_test(real_cluster: RealCluster, helm: Helm, release: None, build: Build, tmp_path: Path) -> None:
    """Its Pod does in the cluster what its command does here, with the rights of the chart and the account of its Namespace."""
    helm("install", "k8slb", CHART)
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/k8slb-check"
    seen: List[Dict[str, Any]] = []

    def kubelet() -> None:
        seen.append(wait_until("its Pod", lambda: [one for one in [real_cluster.request("GET", path)] if one[0] == 200], real_cluster.logs)[0][1])
        real_cluster.request("PATCH", path + "/status", {"status": {"phase": "Succeeded"}})

    thread = threading.Thread(target=kubelet)
    thread.start()
    try:
        output = helm("test", "k8slb", "--timeout", "60s")
    finally:
        thread.join()
    assert re.search(r"TEST SUITE:\s+k8slb-check\n.*\n.*\nPhase:\s+Succeeded", output), output

    service = real_cluster.create_service("web")
    token = tmp_path / "token"
    token.write_text(real_cluster.kubectl("create", "token", "-n", NAMESPACE, seen[0]["spec"].get("serviceAccountName", "default")))
    command = seen[0]["spec"]["containers"][0]["command"]
    env = {**real_cluster.env("*/*", K8SLB_TOKEN_FILE=str(token))}
    env.pop("K8SLB_SERVICES")
    result = run_cli(build, *command[1:], env=env)
    real_cluster.delete_service(service)
    expect((command[0], result.returncode, result.stderr), ("/opt/k8slb/k8slb", 0, ""), result)
    assert "default/web" in result.stdout, result
