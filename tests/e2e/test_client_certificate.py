# SPDX-License-Identifier: Apache-2.0
"""A client certificate instead of a token: what it opens, and what the log says when it does not."""
import re
from pathlib import Path
from typing import Callable, Dict

import pytest

from tests.e2e.common import Follower, expect_followed, names, stand_in, three
from tests.harness import ShimRunner, expect
from tests.kube.double.tls import Authority
from tests.kube.double_cluster import ACCOUNT, DoubleCluster

pytestmark = pytest.mark.clusters("double")


def certificate_env(cluster: DoubleCluster, certificate: object, key: object) -> Dict[str, str]:
    pair = {"K8SLB_CERT_FILE": str(certificate), "K8SLB_KEY_FILE": str(key)}
    return cluster.env("web", K8SLB_TOKEN_FILE=None, K8SLB_RETRY_DELAY="1", **pair)


def test_it_opens_the_api_server(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    service, pods = three(cluster)
    pair = cluster.server.tls.client_certificate(ACCOUNT)

    follower = Follower(run_shim, service, certificate_env(cluster, *pair))
    expect_followed(follower, names(pods))
    cluster.delete_pod(pods[0])
    expect_followed(follower, names(pods[1:]))

    answered = {(one.user, one.token, one.status) for one in cluster.server.requests() if one.status}
    expect(answered, {(ACCOUNT, None, 200)}, cluster.logs(), follower)


def expect_refused(cluster: DoubleCluster, run_shim: ShimRunner, env: Dict[str, str], log: str) -> None:
    """The VIP is left to the kernel, nobody is asked, and the log says why."""
    service, _pods = three(cluster)
    stand_in(cluster, service)
    follower = Follower(run_shim, service, env)
    follower.wait_log(f"error.*{log}")
    follower.wait_results({"vip"})
    expect(follower.results(), {"vip"}, follower)
    expect([record for record in cluster.server.requests() if record.status == 200], [], cluster.logs(), follower)
    assert "BEGIN" not in follower.log() and "PRIVATE" not in follower.log(), follower


def test_the_key_of_another_certificate(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    certificate, _key = cluster.server.tls.client_certificate(ACCOUNT)
    _other, key = cluster.server.tls.client_certificate("somebody-else")

    expect_refused(cluster, run_shim, certificate_env(cluster, certificate, key), "")


def test_a_certificate_of_another_authority(cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path) -> None:
    pair = Authority(tmp_path / "tls", "127.0.0.1").client_certificate(ACCOUNT)

    expect_refused(cluster, run_shim, certificate_env(cluster, *pair), "")


UNREADABLE: Dict[str, Callable[[Path], object]] = {
    "No such file": lambda path: None,
    "Is a directory": lambda path: path.mkdir(),
    "expected PEM": lambda path: path.write_text("no certificate"),
    "File too large": lambda path: path.write_bytes(b"-" * (1024 * 1024 + 1)),
}


@pytest.mark.parametrize("reason", UNREADABLE)
@pytest.mark.parametrize("which", [0, 1], ids=["certificate", "key"])
def test_an_unreadable_file_is_named(
    cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path, which: int, reason: str
) -> None:
    pair = list(cluster.server.tls.client_certificate(ACCOUNT))
    pair[which] = str(tmp_path / "unreadable.pem")
    UNREADABLE[reason](tmp_path / "unreadable.pem")

    expect_refused(cluster, run_shim, certificate_env(cluster, *pair), f"{re.escape(pair[which])}: {reason}")
