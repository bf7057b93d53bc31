# SPDX-License-Identifier: Apache-2.0
"""deploy/inject-initcontainer: the same policy where image volumes are not to be had. Its init container is in nobody's way."""
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

from tests.deploy.pods import ADDED, IMAGE, Object, bare, container, create, injected, pod
from tests.deploy.test_inject import RESTRICTED
from tests.harness import expect, wait_until
from tests.kube.real_cluster import RealCluster

ROOT = Path(__file__).resolve().parents[2]
VOLUME: Object = {"name": "k8slb", "emptyDir": {}}
BETA, STABLE = "admissionregistration.k8s.io/v1beta1", "admissionregistration.k8s.io/v1"


@pytest.fixture(scope="module", params=["Ignore", "Fail"])
def policy(request: pytest.FixtureRequest, real_cluster: RealCluster, namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    shipped = (ROOT / "deploy/inject-initcontainer/inject.yaml").read_text()
    expect((shipped.count(BETA), shipped.count(STABLE + "\n")), (3, 0))
    path = tmp_path_factory.mktemp("policy") / "inject.yaml"
    path.write_text(shipped.replace("failurePolicy: Ignore", f"failurePolicy: {request.param}"))
    real_cluster.kubectl("apply", "-f", str(path))
    wait_until("injection", lambda: "volumes" in create(real_cluster, "labelled", pod())[1].get("spec", {}), real_cluster.logs)
    yield
    real_cluster.kubectl("delete", "-f", str(path))
    wait_until("its end", lambda: "volumes" not in create(real_cluster, "labelled", pod())[1]["spec"], real_cluster.logs)


def made(cluster: RealCluster, namespace: str, body: Object) -> Object:
    status, answer = create(cluster, namespace, body)
    expect(status, 201, answer)
    return bare(answer)


def init_container(not_root: bool = True, **fields: Any) -> Object:
    """As the API server completes it."""
    return {
        "name": "k8slb",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": ["copy", "/opt/k8slb"],
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [{"name": "k8slb", "mountPath": "/opt/k8slb"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": not_root,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **fields,
    }


LIMITS = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
PODS: Dict[str, Any] = {
    "plain": (pod(), ["app"], init_container()),
    "beside others": (
        pod(container("app"), initContainers=[container("setup"), container("sidecar", restartPolicy="Always")]),
        ["app", "sidecar"], init_container(),
    ),
    "root": (pod(securityContext={"runAsUser": 0}), ["app"], init_container(not_root=False)),
    # So that neither the quota of a Namespace nor the QoS class see a difference.
    "resources": (pod(container("app", resources=LIMITS), container("more")), ["app", "more"], init_container(resources=LIMITS)),
}  # fmt: skip


@pytest.mark.parametrize("case", PODS)
def test_the_pod(real_cluster: RealCluster, policy: None, case: str) -> None:
    body, names, init = PODS[case]
    wanted = injected(made(real_cluster, "plain", body), {name: ADDED for name in names}, VOLUME)
    wanted["spec"]["initContainers"] = [init, *wanted["spec"].get("initContainers", [])]
    expect(made(real_cluster, "labelled", body), wanted)


def test_the_qos_class_stays(real_cluster: RealCluster, policy: None) -> None:
    same = {"limits": {"cpu": "1", "memory": "1Gi"}}
    for resources, wanted in (({}, "BestEffort"), (same, "Guaranteed"), (LIMITS, "Burstable")):
        answer = create(real_cluster, "labelled", pod(container(resources=resources)))[1]
        expect((answer["status"]["qosClass"], len(answer["spec"]["initContainers"])), (wanted, 1))


def test_a_restricted_namespace(real_cluster: RealCluster, policy: None) -> None:
    answer = made(real_cluster, "restricted", pod(container(securityContext=RESTRICTED)))
    expect([one["name"] for one in answer["spec"]["initContainers"]], ["k8slb"])


def test_all_left_alone(real_cluster: RealCluster, policy: None) -> None:
    body = pod(annotations={"k8slb.io/skip-containers": "app"})
    expect(made(real_cluster, "labelled", body), made(real_cluster, "plain", body))
