# SPDX-License-Identifier: Apache-2.0
"""The pods of a headless Service have names of their own, as those of a StatefulSet."""
from typing import List

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.kube.cluster import Cluster, Pod


def stateful(cluster: Cluster, count: int = 3) -> List[Pod]:
    """Pods db-0, db-1, ... of the headless Service db."""
    service = cluster.create_service("db", cluster_ip="None")
    pods = [cluster.add_pod(f"db-{i}", {"app": "db"}, hostname=f"db-{i}", subdomain="db") for i in range(count)]
    cluster.wait_endpoints(service, count)
    return pods


@pytest.mark.parametrize("form", ["{}.db", "{}.db.default", "{}.db.default.svc", "{}.db.default.svc.cluster.local", "{}.DB.default.svc.cluster.local."])
def test_every_pod_answers_to_its_name(cluster: Cluster, run_shim: ShimRunner, build: Build, form: str) -> None:
    for pod in stateful(cluster):
        result = run_shim([build.programs / "lookup", "gethostbyname", form.format(pod.name)], env=cluster.env("db"))
        expect(result.stdout.split()[:1] + result.stdout.split()[3:4], [f"{pod.name}.db.default.svc.cluster.local", pod.ip], result)


def test_a_name_that_no_pod_has_is_left_to_libc(cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
    stateful(cluster)
    command = [build.programs / "lookup", "gethostbyname", "db-9.db"]
    plain = run_shim(command, preload=False)
    expect(run_shim(command, env=cluster.env("db")).stdout, plain.stdout)


@pytest.mark.unsanitized("curl does not start with a sanitizer's runtime preloaded: setlocale() of glibc 2.36 blocks")
def test_a_program_reaches_the_pod_that_it_names(cluster: Cluster, run_shim: ShimRunner) -> None:
    for pod in stateful(cluster):
        result = run_shim(["curl", "-sS", f"http://{pod.name}.db:8080/"], env=cluster.env("db"))
        expect(result.stdout.strip(), pod.name, result)
