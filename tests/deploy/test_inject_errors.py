# SPDX-License-Identifier: Apache-2.0
"""deploy/inject with an error in it: as it is shipped, no Pod is kept from being created by that."""
from pathlib import Path

import pytest

from tests.deploy.pods import bare, create, pod
from tests.harness import expect, wait_until
from tests.kube.real_cluster import RealCluster

ROOT = Path(__file__).resolve().parents[2]
# An expression that fails when it runs, in each place that has one.
ERRORS = {
    "condition": ('object.spec.?volumes.orValue([]).all(v, v.name != "k8slb")', 'object.spec.containers[99].name != "k8slb"'),
    "variable": ("'\"/opt/k8slb/libk8slb.so\"'", "'object.spec.containers[99].name'"),
    "patch": ('path: "/spec/volumes/-"', 'path: "/spec/absent/-"'),
}


@pytest.mark.parametrize("place", ERRORS)
def test_an_error_keeps_no_pod_from_being_created(real_cluster: RealCluster, namespaces: None, tmp_path: Path, place: str) -> None:
    right, wrong = ERRORS[place]
    shipped = (ROOT / "deploy/inject/inject.yaml").read_text()
    expect(shipped.count(right), 1)
    broken = shipped.replace(right, wrong)
    path = tmp_path / "broken.yaml"
    path.write_text(broken.replace("failurePolicy: Ignore", "failurePolicy: Fail"))
    real_cluster.kubectl("apply", "-f", str(path))
    try:
        # So it is an error, and the API server has the policy.
        wait_until("a refusal", lambda: create(real_cluster, "labelled", pod())[0] >= 400, real_cluster.logs)

        path.write_text(broken)
        real_cluster.kubectl("apply", "-f", str(path))

        wait_until("no refusal", lambda: create(real_cluster, "labelled", pod())[0] == 201, real_cluster.logs)
        labelled, plain = (bare(create(real_cluster, namespace, pod())[1]) for namespace in ("labelled", "plain"))
        expect(labelled, plain)
    finally:
        real_cluster.kubectl("delete", "-f", str(path))
        wait_until("its end", lambda: create(real_cluster, "labelled", pod())[0] == 201, real_cluster.logs)
