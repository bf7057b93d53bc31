# SPDX-License-Identifier: Apache-2.0
"""The manifests, on the real API server: accepted, and enough for what they are for."""
import json
import re
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from tests.harness import ShimRunner, expect, wait_until
from tests.kube.process import go_program
from tests.kube.real_cluster import RealCluster
from tests.preload.common import web

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
RIGHTS = DEPLOY / "rbac/one-namespace/rbac.yaml"
NAMESPACE = "deploy"

pytestmark = pytest.mark.clusters("real")


@pytest.fixture
def rights(cluster: RealCluster) -> Iterator[None]:
    """What a user does first."""
    cluster.create_namespace(NAMESPACE)
    cluster.kubectl("apply", "-n", NAMESPACE, "-f", str(RIGHTS))
    yield
    cluster.kubectl("delete", "-n", NAMESPACE, "-f", str(RIGHTS))


def token_file(cluster: RealCluster, directory: Path) -> Path:
    """The token that Kubernetes would mount into a Pod of deploy/."""
    token = cluster.kubectl("create", "token", "-n", NAMESPACE, "k8slb")
    path = directory / "token"
    path.write_text(token)
    return path


def accepted(answer: str) -> List[str]:
    """Kind and name of what a server's dry run says; it must say nothing else."""
    lines = answer.splitlines()
    expect([line for line in lines if not re.search(r" (created|configured|unchanged) \(server dry run\)$", line)], [], answer)
    return [re.sub(r"^([a-z]*)\S*/(\S+) .*", r"\1/\2", line) for line in lines]


POLICIES = [
    "mutatingadmissionpolicy/inject.k8slb.io", "mutatingadmissionpolicybinding/inject-namespaces.k8slb.io",
    "mutatingadmissionpolicybinding/inject-pods.k8slb.io",
]  # fmt: skip
WORDS = ["validatingadmissionpolicy/say-why.k8slb.io", "validatingadmissionpolicybinding/say-why.k8slb.io"]
ALL = ["clusterrole/k8slb-reader", "clusterrolebinding/k8slb-reader"]
ACCOUNT = ["serviceaccount/k8slb", "role/k8slb-reader", "rolebinding/k8slb-reader"]
AGENT = ["namespace/k8slb-system", "serviceaccount/k8slb-agent", "clusterrole/k8slb-agent", "clusterrolebinding/k8slb-agent",
         "daemonset/k8slb-agent", "pod/app-with-node-agent"]  # fmt: skip
FOLDERS = {
    ".": [*ALL, *POLICIES, *WORDS],
    "inject": POLICIES,
    "inject-initcontainer": POLICIES,
    "say-why": WORDS,
    "rbac/all": ALL,
    "rbac/one-namespace": ACCOUNT,
    "rbac/names-only": ACCOUNT,
    "agent-daemonset": AGENT,
    "agent-sidecar": ["pod/app-with-agent"],
    "networkpolicy": ["networkpolicy/k8slb"],
    "example": ["service/web", "deployment/app", "deployment/web"],
}  # fmt: skip


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_api_server_accepts_a_folder(cluster: RealCluster, folder: str) -> None:
    # A dry run makes no Namespace for the objects behind it.
    cluster.create_namespace("k8slb-system")
    answer = cluster.kubectl("apply", "--dry-run=server", "-k", str(DEPLOY / folder))
    expect(sorted(accepted(answer)), sorted(FOLDERS[folder]), answer)


def test_every_folder_is_here() -> None:
    folders = {path.parent.relative_to(DEPLOY).as_posix() for path in DEPLOY.rglob("kustomization.yaml")}
    expect(folders, set(FOLDERS))


def objects(cluster: RealCluster, rendered: str) -> List[Dict[str, Any]]:
    """Those of a manifest, in one order."""
    text, found = cluster.kubectl("create", "--dry-run=client", "-o", "json", "-f", "-", input=rendered), []
    while text.strip():
        one, end = json.JSONDecoder().raw_decode(text.lstrip())
        found += one["items"] if one["kind"] == "List" else [one]
        text = text.lstrip()[end:]
    return sorted(found, key=lambda item: str((item["kind"], item["metadata"]["name"])))


def test_the_one_file_is_the_folder(cluster: RealCluster) -> None:
    one, folder = (DEPLOY / "k8slb.yaml").read_text(), cluster.kubectl("kustomize", str(DEPLOY))
    expect(objects(cluster, folder), objects(cluster, one))
    expect(len(objects(cluster, one)), len(FOLDERS["."]))


@pytest.mark.parametrize("manifest", ["pod-in-cluster.yaml", "pod-kubectl-proxy.yaml"])
def test_the_api_server_accepts_it(cluster: RealCluster, rights: None, manifest: str) -> None:
    answer = cluster.kubectl("apply", "-n", NAMESPACE, "--dry-run=server", "-f", str(DEPLOY / manifest))
    assert re.fullmatch(r"pod/app\S* created \(server dry run\)\n", answer), answer


def apply(cluster: RealCluster, manifest: Path) -> str:
    return cluster.kubectl("apply", "-n", NAMESPACE, "--dry-run=server", "-f", str(manifest))


@pytest.mark.parametrize("manifest", sorted(path.name for path in (ROOT / "examples").glob("*.yaml")))
def test_the_api_server_accepts_the_example(cluster: RealCluster, rights: None, manifest: str) -> None:
    answer = apply(cluster, ROOT / "examples" / manifest)
    assert re.fullmatch(r"pod/\S+ created \(server dry run\)\n", answer), answer


def readme_manifests() -> List[str]:
    """The yaml blocks of README.md; one that begins with its spec is a Pod's."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: readme}\n"
    return [pod + block if block.startswith("spec:") else block for block in blocks]


def test_the_api_server_accepts_the_readme(cluster: RealCluster, rights: None, tmp_path: Path) -> None:
    answers = []
    for number, manifest in enumerate(readme_manifests()):
        path = tmp_path / f"{number}.yaml"
        path.write_text(manifest)
        answers.append(apply(cluster, path))
    assert any(answer.startswith("pod/readme created") for answer in answers), answers
    assert all(answer.endswith("(server dry run)\n") for answer in answers), answers


def curl_pods(run_shim: ShimRunner, env: Dict[str, str], vip: str) -> List[str]:
    result = run_shim(["curl", "-sS", "-H", "Connection: close", f"http://{vip}/?[1-3]"], env=env)
    assert result.returncode == 0, result
    return sorted(result.stdout.split())


@pytest.mark.parametrize("discovery", ["endpointslices", "endpoints"])
def test_the_rights_are_enough(
    cluster: RealCluster, rights: None, run_shim: ShimRunner, tmp_path: Path, discovery: str
) -> None:
    service = cluster.create_service("web", NAMESPACE)
    pods = [cluster.add_pod(f"web-{i}", {"app": "web"}, NAMESPACE) for i in range(3)]
    cluster.wait_endpoints(service, 3)
    assert service.vip
    env = cluster.env(
        "web", K8SLB_NAMESPACE=NAMESPACE, K8SLB_TOKEN_FILE=str(token_file(cluster, tmp_path)), K8SLB_DISCOVERY=discovery
    )

    expect(curl_pods(run_shim, env, service.vip), [pod.name for pod in pods])


def test_the_rights_for_names_only(cluster: RealCluster, rights: None, run_shim: ShimRunner, tmp_path: Path) -> None:
    names_only = str(DEPLOY / "rbac/names-only/rbac.yaml")
    cluster.kubectl("apply", "-n", NAMESPACE, "-f", names_only)
    services = {name: cluster.create_service(name, NAMESPACE) for name in ("web", "db")}
    pods = [cluster.add_pod(f"{name}-{i}", {"app": name}, NAMESPACE) for name in services for i in range(3)]
    for service in services.values():
        cluster.wait_endpoints(service, 3)
    env = cluster.env(
        "web", K8SLB_NAMESPACE=NAMESPACE, K8SLB_TOKEN_FILE=str(token_file(cluster, tmp_path)), K8SLB_DISCOVERY="endpoints"
    )

    expect(curl_pods(run_shim, env, str(services["web"].vip)), [pod.name for pod in pods[:3]])

    command = ["curl", "-sS", "--max-time", "1", f"http://{services['db'].vip}/"]
    result = run_shim(command, env={**env, "K8SLB_SERVICES": "db"})
    assert "403" in result.log and result.returncode == 28, result


def test_the_rights_end_at_the_namespace(cluster: RealCluster, rights: None, run_shim: ShimRunner, tmp_path: Path) -> None:
    service, _pods = web(cluster)
    env = cluster.env("default/web", K8SLB_TOKEN_FILE=str(token_file(cluster, tmp_path)))

    result = run_shim(["curl", "-sS", "--max-time", "1", f"http://{service.vip}/"], env=env)

    assert "403" in result.log and result.returncode == 28, result


def proxy_command(cluster: RealCluster, directory: Path) -> List[str]:
    """The sidecar's command of pod-kubectl-proxy.yaml with the rights of its account, on any free port."""
    manifest = json.loads(
        cluster.kubectl("create", "--dry-run=client", "-o", "json", "-f", str(DEPLOY / "pod-kubectl-proxy.yaml"))
    )
    sidecar = next(c for c in manifest["spec"]["initContainers"] if c["name"] == "kubectl-proxy")
    words = [word for word in sidecar["command"][1:] if not word.startswith("--port=")]
    account = ["--server=" + cluster.url, f"--certificate-authority={cluster.ca_file}"]
    token = "--token=" + token_file(cluster, directory).read_text().strip()
    return [go_program("controlplane"), "kubectl", *words, "--port=0", "--kubeconfig=/dev/null", *account, token]


def test_the_proxy_passes_what_is_asked_for(
    cluster: RealCluster, rights: None, run_shim: ShimRunner, tmp_path: Path
) -> None:
    service = cluster.create_service("web", NAMESPACE)
    pods = [cluster.add_pod(f"web-{i}", {"app": "web"}, NAMESPACE) for i in range(3)]
    cluster.wait_endpoints(service, 3)
    assert service.vip
    log = tmp_path / "proxy.log"
    with open(log, "w") as output:
        proxy = subprocess.Popen(
            proxy_command(cluster, tmp_path), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        env = {"K8SLB_API": proxy_url(proxy, log), "K8SLB_NAMESPACE": NAMESPACE}
        for discovery in ("endpointslices", "endpoints"):
            found = curl_pods(run_shim, {**env, "K8SLB_SERVICES": "web", "K8SLB_DISCOVERY": discovery}, service.vip)
            expect(found, [pod.name for pod in pods], log.read_text())
    finally:
        proxy.kill()
        proxy.wait()


def proxy_url(proxy: "subprocess.Popen[bytes]", log: Path) -> str:
    def address() -> "re.Match[str] | None":
        assert proxy.poll() is None, log.read_text()
        return re.search(r"127\.0\.0\.1:\d+", log.read_text())

    match = wait_until("kubectl proxy", address, log.read_text)
    assert match
    return "http://" + match.group()
