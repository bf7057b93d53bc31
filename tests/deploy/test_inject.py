# SPDX-License-Identifier: Apache-2.0
"""deploy/inject on the real API server: the Pod that it makes of each kind of Pod, whole. As it is shipped, where an error of the
policy would leave the Pod as it is, and with failurePolicy Fail, where it would refuse the Pod: so there is none."""
import copy
import json
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pytest

from tests.deploy.pods import (
    ADDED, INJECT, LIBRARY, MOUNT, NAMESPACE, NODE, PRELOAD, SERVICES, SKIP, Object, bare, container, create, from_config, from_field,
    injected, pod, value,
)  # fmt: skip
from tests.harness import expect, wait_until
from tests.kube.real_cluster import RealCluster

ROOT = Path(__file__).resolve().parents[2]
OPTED_IN = {INJECT: "true"}
DEPLOYMENTS = "/apis/apps/v1/namespaces/{}/deployments"
JOBS = "/apis/batch/v1/namespaces/{}/jobs"


@pytest.fixture(scope="module", params=["Ignore", "Fail"])
def policy(request: pytest.FixtureRequest, real_cluster: RealCluster, namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The policy and its two bindings; they work on return."""
    shipped = (ROOT / "deploy/inject/inject.yaml").read_text()
    expect(shipped.count("failurePolicy: Ignore"), 1)
    path = tmp_path_factory.mktemp("policy") / "inject.yaml"
    path.write_text(shipped.replace("failurePolicy: Ignore", f"failurePolicy: {request.param}"))
    real_cluster.kubectl("apply", "-f", str(path))
    for namespace, body in (("labelled", pod()), ("plain", pod(labels=OPTED_IN))):
        wait_until("injection", lambda: "volumes" in create(real_cluster, namespace, body)[1].get("spec", {}), real_cluster.logs)
    yield request.param
    real_cluster.kubectl("delete", "-f", str(path))
    gone = [("labelled", pod()), ("plain", pod(labels=OPTED_IN))]
    wait_until("its end", lambda: not any("volumes" in create(real_cluster, *one)[1]["spec"] for one in gone), real_cluster.logs)


def made(cluster: RealCluster, body: Object, namespace: str = "labelled") -> Object:
    status, answer = create(cluster, namespace, body)
    expect(status, 201, json.dumps(answer), json.dumps(body))
    return bare(answer)


def plain(cluster: RealCluster, body: Object) -> Object:
    """What the API server makes of it where nothing is injected."""
    return made(cluster, body, "plain")


def moved(env: List[Object]) -> List[Object]:
    """What is added to a container that has its own LD_PRELOAD."""
    return [*env, SERVICES, NAMESPACE, NODE, SKIP]


OWN = value("OWN", "1")
CASES: Dict[str, Any] = {
    "absent": ([], ADDED),
    "absent, others": ([OWN], [OWN, *ADDED]),
    "empty": ([value("LD_PRELOAD", "")], moved([PRELOAD])),
    "no value": ([{"name": "LD_PRELOAD"}], moved([PRELOAD])),
    "literal": ([value("LD_PRELOAD", "/usr/lib/libjemalloc.so.2"), OWN], moved([value("LD_PRELOAD", f"/usr/lib/libjemalloc.so.2:{LIBRARY}"), OWN])),
    "two in a literal": ([value("LD_PRELOAD", "a.so b.so")], moved([value("LD_PRELOAD", f"a.so b.so:{LIBRARY}")])),
    "refers to another": ([value("LD_PRELOAD", "$(OWN)/a.so"), OWN], moved([value("LD_PRELOAD", f"$(OWN)/a.so:{LIBRARY}"), OWN])),
    # The last one of a name counts.
    "twice": ([value("LD_PRELOAD", "a.so"), OWN, value("LD_PRELOAD", "b.so")],
              moved([value("LD_PRELOAD", f"a.so:{LIBRARY}"), OWN, value("LD_PRELOAD", f"b.so:{LIBRARY}")])),
    "others twice": ([OWN, value("OWN", "2")], [OWN, value("OWN", "2"), *ADDED]),
    "its own services": ([value("K8SLB_SERVICES", "web db:5432")], [value("K8SLB_SERVICES", "web db:5432"), PRELOAD, NAMESPACE, NODE, SKIP]),
    "services from elsewhere": ([from_config("K8SLB_SERVICES")], [from_config("K8SLB_SERVICES"), PRELOAD, NAMESPACE, NODE, SKIP]),
    "its own node": ([value("K8SLB_NODE", "n7")], [value("K8SLB_NODE", "n7"), PRELOAD, SERVICES, NAMESPACE, SKIP]),
    "its own namespace": ([from_field("K8SLB_NAMESPACE", "metadata.name")],
                          [from_field("K8SLB_NAMESPACE", "metadata.name"), PRELOAD, SERVICES, NODE, SKIP]),
    "its own skip": ([value("K8SLB_SKIP", "sh")], [value("K8SLB_SKIP", "sh"), PRELOAD, SERVICES, NAMESPACE, NODE]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_environment(real_cluster: RealCluster, policy: str, case: str) -> None:
    env, wanted = CASES[case]
    body = pod(container("app", *env))
    expect(made(real_cluster, body), injected(plain(real_cluster, body), {"app": wanted}))


def node_affinity(key: str, operator: str, *values: str) -> Object:
    terms = [{"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


LEFT_ALONE: Dict[str, Object] = {
    "LD_PRELOAD from a ConfigMap": pod(container("app", from_config("LD_PRELOAD"))),
    "LD_PRELOAD from a ConfigMap, and literal": pod(container("app", from_config("LD_PRELOAD"), value("LD_PRELOAD", "a.so"))),
    "the library is there": pod(container("app", value("LD_PRELOAD", "/k8slb/libk8slb.so"))),
    "something is at its place": pod(container("app", volumeMounts=[{"name": "data", "mountPath": "/opt/k8slb/"}]), volumes=[{"name": "data", "emptyDir": {}}]),
    "a volume of its name": pod(volumes=[{"name": "k8slb", "emptyDir": {}}]),
    "an init container of its name": pod(initContainers=[container("k8slb")]),
    "a container of its name": pod(container("k8slb")),
    "the label says no": pod(labels={INJECT: "false"}),
    "all skipped": pod(container("a"), container("b"), annotations={"k8slb.io/skip-containers": "a, b"}),
    "Windows by its name": pod(os={"name": "windows"}),
    "Windows by its node": pod(nodeSelector={"kubernetes.io/os": "windows"}),
    "Windows by affinity": pod(affinity=node_affinity("kubernetes.io/os", "In", "windows")),
    "Windows by its options": pod(securityContext={"windowsOptions": {"runAsUserName": "ContainerUser"}}),
    "a machine that the image has not": pod(nodeSelector={"kubernetes.io/arch": "s390x"}),
    "a device at its place": pod(
        container("app", volumeDevices=[{"name": "disk", "devicePath": "/opt/k8slb"}]),
        volumes=[{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}],
    ),
    "mirror": pod(annotations={"kubernetes.io/config.mirror": "1", "kubernetes.io/config.source": "file"}, nodeName="n1"),
    "ClickHouse": pod(container(image="clickhouse/clickhouse-server:24.8-alpine")),
    "ClickHouse by digest": pod(container(image="localhost:5000/clickhouse@sha256:" + 64 * "0")),
    "Scylla": pod(container(image="scylladb/scylla")),
}  # fmt: skip


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_a_pod_that_is_left_alone(real_cluster: RealCluster, policy: str, case: str) -> None:
    body = LEFT_ALONE[case]
    expect(made(real_cluster, body), plain(real_cluster, body))


def test_pods_that_name_a_node_which_will_do(real_cluster: RealCluster, policy: str) -> None:
    for where in (
        {"nodeSelector": {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}, "os": {"name": "linux"}},
        {"affinity": node_affinity("kubernetes.io/os", "NotIn", "windows"), "securityContext": {"runAsUser": 1000}},
        {"affinity": node_affinity("topology.kubernetes.io/zone", "In", "z1")},
        {"affinity": node_affinity("kubernetes.io/os", "In", "linux", "windows")},
    ):
        body = pod(**where)
        expect(made(real_cluster, body), injected(plain(real_cluster, body), {"app": ADDED}), where)


def test_images_that_are_only_called_alike(real_cluster: RealCluster, policy: str) -> None:
    for image in ("example/clickhouse-proxy", "scylla.example/app:1", "example/my-scylla:redpanda"):
        body = pod(container(image=image))
        expect(made(real_cluster, body), injected(plain(real_cluster, body), {"app": ADDED}))


@pytest.mark.parametrize("where", ["labelled", "plain", "off", "kube-system", "kube-public", "k8slb-system"])
def test_the_two_labels(real_cluster: RealCluster, policy: str, where: str) -> None:
    """Of the Namespace and of the Pod, by one binding each: both, one, none; the Pod's wins. Some Namespaces are never injected."""
    allowed = where in ("labelled", "plain", "off")
    for said, wanted in ((None, allowed and where == "labelled"), ("true", allowed), ("false", False)):
        body = pod(labels={INJECT: said} if said else {"app": "web"})
        answer = made(real_cluster, body, where)
        before = plain(real_cluster, pod(labels={"app": "web"}))
        before["metadata"]["labels"] = body["metadata"]["labels"]
        expect(answer, injected(before, {"app": ADDED}) if wanted else before, where, said)


def test_the_services(real_cluster: RealCluster, policy: str) -> None:
    """By the Pod's annotation, else its Namespace's, else all of the Namespace. Whatever stands in it is a value."""
    awkward = 'web:80 "db" \'x\' \\ ~1/0 $(OWN) \n é {"a":[1]} *'
    annotate(real_cluster, awkward)
    try:
        wait_until("the Namespace's annotation", lambda: env_of(made(real_cluster, pod()))["K8SLB_SERVICES"] == awkward, real_cluster.logs)
        for annotations, wanted in (({}, awkward), ({"k8slb.io/services": "shop/*"}, "shop/*"), ({"k8slb.io/services": ""}, "")):
            body = pod(annotations={"a.b/c": awkward, **annotations})
            services = value("K8SLB_SERVICES", wanted) if wanted else {"name": "K8SLB_SERVICES"}
            env = [services if one is SERVICES else one for one in ADDED]
            expect(made(real_cluster, body), injected(plain(real_cluster, body), {"app": env}))
    finally:
        annotate(real_cluster, None)
        wait_until("its end", lambda: env_of(made(real_cluster, pod()))["K8SLB_SERVICES"] == "*", real_cluster.logs)


def annotate(cluster: RealCluster, services: Optional[str]) -> None:
    patch = {"metadata": {"annotations": {"k8slb.io/services": services}}}
    expect(cluster.request("PATCH", "/api/v1/namespaces/labelled", patch)[0], 200)


def env_of(answer: Object) -> Dict[str, Any]:
    return {one["name"]: one.get("value") for one in answer["spec"]["containers"][0]["env"]}


def test_containers_of_every_kind(real_cluster: RealCluster, policy: str) -> None:
    """Sidecars too; init containers that end are left alone, and what the annotation names."""
    body = pod(
        container("one", OWN), container("two", volumeMounts=[{"name": "data", "mountPath": "/data"}]), container("three", from_config("LD_PRELOAD")),
        container("not-me"),
        annotations={"k8slb.io/skip-containers": " not-me ,nobody,not-me-either", "k8slb.io/other": "kept"},
        initContainers=[container("setup"), container("sidecar", OWN, restartPolicy="Always"), container("not-me-either", restartPolicy="Always"),
                        container("last")],
        volumes=[{"name": "data", "emptyDir": {}}],
    )  # fmt: skip
    wanted = {"one": [OWN, *ADDED], "two": ADDED, "sidecar": [OWN, *ADDED]}
    expect(made(real_cluster, body), injected(plain(real_cluster, body), wanted))


def test_fifty_containers(real_cluster: RealCluster, policy: str) -> None:
    """The cost that the API server allows an expression is far away."""
    names = ["c" + format(number, "02") + 60 * "x" for number in range(50)]
    own = [value(f"VARIABLE_{number}", "x" * 200) for number in range(40)]
    body = pod(*(container(name, *own, value("LD_PRELOAD", "a.so")) for name in names))
    env = moved([*own, value("LD_PRELOAD", f"a.so:{LIBRARY}")])
    expect(made(real_cluster, body), injected(plain(real_cluster, body), {name: env for name in names}))


RESTRICTED = {
    "runAsNonRoot": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip


def test_a_restricted_namespace(real_cluster: RealCluster, policy: str) -> None:
    body = pod(container(securityContext=RESTRICTED))
    expect(made(real_cluster, body, "restricted"), injected(plain(real_cluster, body), {"app": ADDED}))

    status, answer = create(real_cluster, "restricted", pod(container(securityContext=RESTRICTED), volumes=[{"name": "table", "hostPath": {"path": "/run/k8slb"}}]))
    expect((status, 'restricted volume type "hostPath"' in answer["message"]), (403, True), answer)


def test_an_ephemeral_container(real_cluster: RealCluster, policy: str) -> None:
    """Who debugs sees the Pod without us."""
    body = pod()
    body["metadata"]["name"] = "debugged"
    status, before = create(real_cluster, "labelled", body, keep=True)
    expect(status, 201, before)
    path = "/api/v1/namespaces/labelled/pods/debugged"
    try:
        debugger = {"spec": {"ephemeralContainers": [{"name": "debugger", "image": "registry.example/tools", "env": [OWN]}]}}
        status, after = real_cluster.request("PATCH", path + "/ephemeralcontainers", debugger, "application/strategic-merge-patch+json")
        expect(status, 200, after)
        found = after["spec"].pop("ephemeralContainers")
        expect([(one["name"], one["env"], "volumeMounts" in one) for one in found], [("debugger", [OWN], False)])
        expect(bare(after), bare(before))
    finally:
        real_cluster.request("DELETE", path + "?gracePeriodSeconds=0")


@pytest.mark.parametrize("kind", ["Job", "Deployment"])
def test_workloads_are_left_as_they_are(real_cluster: RealCluster, policy: str, kind: str) -> None:
    """Their Pods are injected, not they: who compares a workload with its file finds no difference."""
    template = pod(labels={"app": "x"})
    template["metadata"].pop("name")
    if kind == "Job":
        template["spec"]["restartPolicy"] = "Never"
        resource, spec = JOBS, {"template": template}
    else:
        resource, spec = DEPLOYMENTS, {"template": template, "selector": {"matchLabels": {"app": "x"}}}
    body = {"metadata": {"name": "work"}, "spec": spec}
    answers = {name: create(real_cluster, name, body, resource) for name in ("labelled", "plain")}
    expect([status for status, _answer in answers.values()], [201, 201], answers)
    labelled, elsewhere = (bare(answer) for _status, answer in answers.values())
    # What a Job's controller puts into it is another one's each time.
    shown = [re.sub(r'"[0-9a-f]{8}-[0-9a-f-]{27}"', '"UID"', json.dumps(one, sort_keys=True)) for one in (labelled, elsewhere)]
    expect(shown[0], shown[1])

    # As its controller makes the Pod.
    by_controller = copy.deepcopy(template)
    by_controller["metadata"].update({
        "generateName": "work-",
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": kind, "name": "work", "uid": "0", "controller": True, "blockOwnerDeletion": True}],
    })  # fmt: skip
    found, before = made(real_cluster, by_controller), plain(real_cluster, by_controller)
    for one in (found, before):
        one["metadata"].pop("name")
    expect(found, injected(before, {"app": ADDED}))


def test_a_copy_of_an_injected_pod(real_cluster: RealCluster, policy: str) -> None:
    """As who saves a Pod and creates it elsewhere: nothing is added twice."""
    once = made(real_cluster, pod())
    twice = made(real_cluster, {"metadata": once["metadata"], "spec": once["spec"]})
    expect(twice, once)
    expect(twice["spec"]["containers"][0]["volumeMounts"], [MOUNT])
