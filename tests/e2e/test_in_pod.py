# SPDX-License-Identifier: Apache-2.0
"""Configured as in a Pod: nothing but K8SLB_SERVICES, with the files and variables that the kubelet gives."""
from collections import Counter

import pytest

from tests.e2e.common import three
from tests.harness import ShimRunner, expect
from tests.kube.real_cluster import RealCluster
from tests.preload.common import client, tally

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
# The files go where they belong, on a tmpfs that only this process tree sees.
AS_IN_A_POD = f"""
token=$(cat "$TOKEN"; echo x) ca=$(cat "$CA")
mount -t tmpfs none "$(readlink -f /var/run)" && mkdir -p {ACCOUNT} || exit 1
printf %s "${{token%x}}" > {ACCOUNT}/token; echo "$ca" > {ACCOUNT}/ca.crt; printf shop > {ACCOUNT}/namespace
exec "$@"
"""


@pytest.mark.clusters("real")
def test_only_the_services_are_named(cluster: RealCluster, run_shim: ShimRunner) -> None:
    cluster.create_namespace("shop")
    three(cluster)  # the same name in another namespace
    service = cluster.create_service("web", namespace="shop")
    pods = [cluster.add_pod(f"shop-{number}", {"app": "web"}, namespace="shop") for number in range(3)]
    cluster.wait_endpoints(service, 3)
    host, port = cluster.url[len("https://"):].split(":")
    env = {
        "K8SLB_SERVICES": "web",
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
        "TOKEN": cluster.token_file,
        "CA": cluster.ca_file,
    }
    command = ["unshare", "-m", "sh", "-c", AS_IN_A_POD, "sh", *client("web.shop.svc", service.port, 30)]

    result = run_shim(command, env=env)

    expect(tally(result.stdout), Counter({pod.name: 10 for pod in pods}), result, cluster.logs())
