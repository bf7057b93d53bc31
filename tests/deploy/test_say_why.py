# SPDX-License-Identifier: Apache-2.0
"""deploy/say-why on the real API server, beside deploy/inject: the words that kubectl apply shows, and that nothing is refused."""
import json
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from tests.deploy.pods import INJECT, Object, container, create, from_config, pod, value
from tests.harness import expect, wait_until
from tests.kube.real_cluster import RealCluster

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
HEAD = "Validation failed for ValidatingAdmissionPolicy 'say-why.k8slb.io' with binding 'say-why.k8slb.io': k8slb: "
RESOURCES = {
    "Pod": "/api/v1/namespaces/{}/pods",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "CronJob": "/apis/batch/v1/namespaces/{}/cronjobs",
}


@pytest.fixture(scope="module")
def policies(real_cluster: RealCluster, namespaces: None) -> Iterator[None]:
    folders = [str(DEPLOY / name) for name in ("inject", "say-why")]
    for folder in folders:
        real_cluster.kubectl("apply", "-k", folder)
    wait_until("both", lambda: "volumes" in create(real_cluster, "labelled", pod())[1]["spec"], real_cluster.logs)
    wait_until("words", lambda: warnings(real_cluster, pod(labels={INJECT: "false"})), real_cluster.logs)
    yield
    for folder in folders:
        real_cluster.kubectl("delete", "-k", folder)
    wait_until("silence", lambda: not warnings(real_cluster, pod(labels={INJECT: "false"})), real_cluster.logs)
    wait_until("its end", lambda: "volumes" not in create(real_cluster, "labelled", pod())[1]["spec"], real_cluster.logs)


def warnings(cluster: RealCluster, body: Object, namespace: str = "labelled", kind: str = "Pod") -> List[str]:
    """What it warns of, without the words before it; the object is created."""
    status, answer = create(cluster, namespace, body, RESOURCES[kind])
    expect(status, 201, answer, json.dumps(body))
    said = cluster.warnings()
    expect([text for text in said if not text.startswith(HEAD)], [])
    return [text[len(HEAD):] for text in said]


OWN_VOLUME = [{"name": "k8slb", "emptyDir": {}}]
CASES: Dict[str, Any] = {
    "nothing": (pod(), []),
    "its own settings": (pod(container("app", value("LD_PRELOAD", "a.so"), value("K8SLB_SERVICES", "web"))), []),
    "opted out": (pod(labels={INJECT: "false"}), ['left alone: the Pod has the label k8slb.io/inject: "false"']),
    "valueFrom": (
        pod(container("a", from_config("LD_PRELOAD")), container("b"), container("c", from_config("LD_PRELOAD"))),
        ["left alone: LD_PRELOAD comes from valueFrom in a, c: write its value"],
    ),
    "valueFrom in all": (pod(container("a", from_config("LD_PRELOAD"))), ["left alone: LD_PRELOAD comes from valueFrom in a: write its value"]),
    "envFrom": (
        pod(container("a", envFrom=[{"configMapRef": {"name": "settings"}}])),
        ["envFrom is not seen here: an LD_PRELOAD or K8SLB_ setting that comes from it is replaced in a"],
    ),
    "Windows": (pod(os={"name": "windows"}), ["left alone: the Pod is for Windows"]),
    "another machine": (
        pod(nodeSelector={"kubernetes.io/arch": "s390x"}),
        ["left alone: the Pod is for a machine that the image is not made for, which has amd64 and arm64"],
    ),
    "ClickHouse": (
        pod(container("db", image="clickhouse/clickhouse-server:24.8")),
        ["left alone: db (clickhouse/clickhouse-server:24.8), which ends when LD_PRELOAD is set, or starts itself anew without it"],
    ),
    "Scylla beside another": (
        pod(container("db", image="scylladb/scylla"), container("app")),
        ["left alone: db (scylladb/scylla), which ends with status 110 when LD_PRELOAD is set"],
    ),
    "fluentd": (
        pod(container("log", image="fluent/fluentd:v1.16-1")),
        ["left alone: log (fluent/fluentd:v1.16-1), which has an LD_PRELOAD in its image, which is not seen here and would be replaced"],
    ),
    "its own library": (
        pod(container("a", value("LD_PRELOAD", "/k8slb/libk8slb.so"))),
        ["left alone: libk8slb.so, or something at /opt/k8slb, is there already in a"],
    ),
    "its own volume": (pod(volumes=OWN_VOLUME), ["left alone: the Pod has a volume or a container of the name k8slb already"]),
    "skipped": (pod(container("a"), container("b"), annotations={"k8slb.io/skip-containers": "a"}), []),
    "skipped, none of these": (
        pod(annotations={"k8slb.io/skip-containers": "ap, app2"}), ["k8slb.io/skip-containers names what is not there: ap, app2"],
    ),
    "no token": (
        pod(automountServiceAccountToken=False),
        ["not balanced: automountServiceAccountToken is false, so there is no token to ask the API server with"],
    ),
    "no token, an agent": (pod(container("a", value("K8SLB_TABLE", "/run/k8slb/table")), automountServiceAccountToken=False), []),
    "sidecar": (
        pod(initContainers=[container("s", from_config("LD_PRELOAD"), restartPolicy="Always"), container("i", from_config("LD_PRELOAD"))]),
        ["left alone: LD_PRELOAD comes from valueFrom in s: write its value"],
    ),
    "mirror": (pod(annotations={"kubernetes.io/config.mirror": "1", "kubernetes.io/config.source": "file"}, nodeName="n1"), []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_pod(real_cluster: RealCluster, policies: None, case: str) -> None:
    body, wanted = CASES[case]
    expect(warnings(real_cluster, body), wanted)
    # Nobody asked for it there.
    expect(warnings(real_cluster, body, "plain"), [])


def workload(kind: str, body: Object) -> Object:
    """A workload of this Pod."""
    template: Object = {"metadata": {**{key: one for key, one in body["metadata"].items() if key != "name"}}, "spec": dict(body["spec"])}
    if kind in ("Job", "CronJob"):
        template["spec"]["restartPolicy"] = "Never"
        spec: Object = {"template": template}
        if kind == "CronJob":
            spec = {"schedule": "0 0 * * *", "jobTemplate": {"spec": spec}}
    else:
        template["metadata"]["labels"] = {"app": "x", **template["metadata"].get("labels", {})}
        spec = {"template": template, "selector": {"matchLabels": {"app": "x"}}}
        if kind == "StatefulSet":
            spec["serviceName"] = "x"
    return {"metadata": {"name": "work"}, "spec": spec}


@pytest.mark.parametrize("kind", [kind for kind in RESOURCES if kind != "Pod"])
def test_a_workload(real_cluster: RealCluster, policies: None, kind: str) -> None:
    """Whose Pods are made by a controller, which reads no warnings."""
    for case in ("nothing", "valueFrom", "opted out", "envFrom", "Windows", "ClickHouse", "its own volume", "no token"):
        body, wanted = CASES[case]
        expect(warnings(real_cluster, workload(kind, body), kind=kind), wanted, case)
    asked = workload(kind, pod(container("a", from_config("LD_PRELOAD")), labels={INJECT: "true"}))
    expect(warnings(real_cluster, asked, "plain", kind), ["left alone: LD_PRELOAD comes from valueFrom in a: write its value"])


@pytest.mark.parametrize("namespace", ["kube-system", "k8slb-system"])
def test_a_namespace_that_is_never_injected(real_cluster: RealCluster, policies: None, namespace: str) -> None:
    expect(warnings(real_cluster, pod(), namespace), [f"left alone: the Namespace {namespace} is never injected"])


def test_kubectl_shows_it(real_cluster: RealCluster, policies: None, tmp_path: Path) -> None:
    body, wanted = CASES["valueFrom"]
    path = tmp_path / "pod.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", **body}))
    result = real_cluster.run_kubectl("apply", "--dry-run=server", "-n", "labelled", "-f", str(path))
    expect((result.returncode, result.stdout, result.stderr), (0, "pod/app created (server dry run)\n", f"Warning: {HEAD}{wanted[0]}\n"))


def test_the_types_are_right(real_cluster: RealCluster, policies: None) -> None:
    """The API server's own check of the expressions has no complaint."""
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/say-why.k8slb.io"
    wait_until("its check", lambda: "typeChecking" in real_cluster.request("GET", path)[1].get("status", {}), real_cluster.logs)
    expect(real_cluster.request("GET", path)[1]["status"]["typeChecking"], {})


def test_an_injection_that_did_not_happen(real_cluster: RealCluster, policies: None) -> None:
    """The policy is not there, or failed where that is ignored: silence otherwise."""
    real_cluster.kubectl("delete", "-k", str(DEPLOY / "inject"))
    try:
        wait_until("its end", lambda: "volumes" not in create(real_cluster, "labelled", pod())[1]["spec"], real_cluster.logs)
        expect(warnings(real_cluster, pod()), ["left alone: the policy inject.k8slb.io did not do it: is it there, with its two bindings?"])
        expect(warnings(real_cluster, pod(container("a", from_config("LD_PRELOAD")))), CASES["valueFrom in all"][1])
    finally:
        real_cluster.kubectl("apply", "-k", str(DEPLOY / "inject"))
        wait_until("injection", lambda: "volumes" in create(real_cluster, "labelled", pod())[1]["spec"], real_cluster.logs)
