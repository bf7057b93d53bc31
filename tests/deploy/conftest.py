# SPDX-License-Identifier: Apache-2.0
"""Namespaces with and without the label, and the policies as they are shipped."""
from typing import Iterator

import pytest

from tests.deploy.pods import INJECT
from tests.kube.real_cluster import RealCluster

LABELS = {
    "plain": {},
    "labelled": {INJECT: "true"},
    "restricted": {INJECT: "true", "pod-security.kubernetes.io/enforce": "restricted"},
    "off": {INJECT: "false"},
    "k8slb-system": {INJECT: "true"},
    "kube-system": {INJECT: "true"},
    "kube-public": {INJECT: "true"},
}


def label(cluster: RealCluster, name: str, **metadata: object) -> None:
    status, answer = cluster.request("PATCH", f"/api/v1/namespaces/{name}", {"metadata": metadata})
    assert status == 200, answer


@pytest.fixture(scope="module")
def namespaces(real_cluster: RealCluster) -> Iterator[None]:
    for name, labels in LABELS.items():
        real_cluster.create_namespace(name)
        label(real_cluster, name, labels=labels)
    yield
    for name, labels in LABELS.items():
        label(real_cluster, name, labels={key: None for key in labels})
