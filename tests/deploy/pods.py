# SPDX-License-Identifier: Apache-2.0
"""Pods as a user writes them, what the API server makes of them, and what injection is to add."""
import copy
from typing import Any, Dict, List, Mapping, Optional, Tuple

from tests.kube.real_cluster import RealCluster

Object = Dict[str, Any]

LIBRARY = "/opt/k8slb/libk8slb.so"
IMAGE = "registry.example/k8slb:0.2.0"
SKIPPED = "clickhouse clickhouse-server clickhouse-keeper clickhouse-client clickhouse-local scylla iotune redpanda"
INJECT = "k8slb.io/inject"


def container(name: str = "app", *env: Object, **fields: Any) -> Object:
    made: Object = {"name": name, "image": "registry.example/app", **fields}
    if env:
        made["env"] = list(env)
    return made


def pod(*containers: Object, labels: Optional[Mapping[str, str]] = None, annotations: Optional[Mapping[str, str]] = None, **spec: Any) -> Object:
    metadata: Object = {"name": "app"}
    if labels:
        metadata["labels"] = dict(labels)
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"metadata": metadata, "spec": {"containers": list(containers or [container()]), **spec}}


def value(name: str, text: str) -> Object:
    return {"name": name, "value": text}


def from_field(name: str, path: str) -> Object:
    # apiVersion is the API server's default.
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def from_config(name: str) -> Object:
    return {"name": name, "valueFrom": {"configMapKeyRef": {"name": "settings", "key": name}}}


SERVICES = value("K8SLB_SERVICES", "*")
NAMESPACE = from_field("K8SLB_NAMESPACE", "metadata.namespace")
NODE = from_field("K8SLB_NODE", "spec.nodeName")
SKIP = value("K8SLB_SKIP", SKIPPED)
PRELOAD = value("LD_PRELOAD", LIBRARY)
ADDED = [PRELOAD, SERVICES, NAMESPACE, NODE, SKIP]
MOUNT = {"name": "k8slb", "mountPath": "/opt/k8slb", "readOnly": True}
IMAGE_VOLUME = {"name": "k8slb", "image": {"reference": IMAGE, "pullPolicy": "IfNotPresent"}}


def create(cluster: RealCluster, namespace: str, body: Mapping[str, Any], resource: str = "/api/v1/namespaces/{}/pods", keep: bool = False) -> Tuple[int, Object]:
    """The answer to a POST, which leaves nothing behind unless keep; admission sees no difference."""
    return cluster.request("POST", resource.format(namespace) + ("" if keep else "?dryRun=All"), body)


def bare(answer: Mapping[str, Any]) -> Object:
    """A created object without what differs each time."""
    made: Object = copy.deepcopy(dict(answer))
    for name in ("uid", "creationTimestamp", "managedFields", "namespace", "resourceVersion", "generation"):
        made["metadata"].pop(name, None)
    made.pop("status", None)
    return made


def injected(plain: Mapping[str, Any], env: Mapping[str, List[Object]], volume: Object = IMAGE_VOLUME) -> Object:
    """What this created Pod is to be when each of these containers, in the order of env, gets the library and has this env."""
    made: Object = copy.deepcopy(dict(plain))
    made["spec"].setdefault("volumes", []).append(volume)
    made["metadata"].setdefault("annotations", {})["k8slb.io/injected"] = ",".join(env)
    for one in made["spec"]["containers"] + made["spec"].get("initContainers", []):
        if one["name"] in env:
            one["env"] = env[one["name"]]
            one.setdefault("volumeMounts", []).append(MOUNT)
    return made
