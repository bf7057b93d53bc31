# SPDX-License-Identifier: Apache-2.0
"""The bearer token: a new one on disk is used, none is ever shown, and one without rights costs nothing but the balancing."""
import re
import time
from pathlib import Path
from typing import Callable, Dict, Tuple

import pytest

from tests.e2e.common import Follower, expect_followed, names, stand_in, three
from tests.harness import ShimRunner, expect
from tests.kube.cluster import Cluster
from tests.kube.double_cluster import DoubleCluster
from tests.kube.real_cluster import RealCluster


def secrets_seen(follower: Follower, directory: Path, *tokens: str) -> "list[str]":
    """Where one of the tokens, or half of one, can be read by others."""
    process = Path(f"/proc/{follower.process.pid}")
    places = [process / "environ", process / "cmdline", process / "comm"]
    places += [path for path in directory.iterdir() if path.is_file() and "token" not in path.name]
    found = []
    for token in tokens:
        half = token[: len(token) // 2].encode()
        found += [f"{place}: {token[:8]}..." for place in places if half in place.read_bytes()]
    return found


@pytest.mark.clusters("double")
def test_a_token_that_rotates_on_disk_is_used(cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path) -> None:
    service, pods = three(cluster)
    stand_in(cluster, service)
    follower = Follower(run_shim, service, cluster.env("web", K8SLB_RETRY_DELAY="1"))
    follower.wait_results(names(pods))
    old, new = str(cluster.token), "second-token-of-this-test-run"
    index = cluster.server.auth.add_token(new, "system:serviceaccount:default:k8slb")

    cluster.write_token(new)
    cluster.server.auth.revoke(old)
    begin = time.monotonic()
    cluster.server.restart()  # the next requests come now
    cluster.delete_pod(pods[0])
    expect_followed(follower, names(pods[1:]))

    records = cluster.server.requests(since=begin)
    refused = [record for record in records if record.status == 401]
    assert len(refused) <= 2, cluster.logs()  # one of each collection, then the file was read again
    expect({record.token for record in records if record.status == 200}, {index}, cluster.logs(), follower)
    expect(follower.results(), names(pods), follower)
    expect(secrets_seen(follower, tmp_path, old, new), [], follower)


@pytest.mark.clusters("double")
def test_a_refused_token_is_read_again_until_it_is_good(cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path) -> None:
    service, pods = three(cluster)
    stand_in(cluster, service)
    cluster.write_token("stale-token-that-nobody-knows")
    follower = Follower(run_shim, service, cluster.env("web", K8SLB_RETRY_DELAY="1"))
    follower.wait_log("error.*401")
    follower.wait_results({"vip"})
    expect(follower.results(), {"vip"}, follower)

    cluster.write_token(str(cluster.token))
    expect_followed(follower, names(pods))

    expect(secrets_seen(follower, tmp_path, "stale-token-that-nobody-knows", str(cluster.token)), [], follower)


@pytest.mark.clusters("double")
@pytest.mark.parametrize("content", ["", "\n", "two\nlines", "with\x00nul", "\u00e4"], ids=ascii)
def test_a_file_that_holds_no_token(cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path, content: str) -> None:
    service, _pods = three(cluster)
    stand_in(cluster, service)
    (tmp_path / "token").write_text(content)
    env = cluster.env("web", K8SLB_TOKEN_FILE=str(tmp_path / "token"))
    follower = Follower(run_shim, service, env)
    follower.wait_log("error.*[Tt]oken")
    follower.wait_results({"vip"})
    expect(follower.results(), {"vip"}, follower)


def big(path: Path) -> None:
    path.write_bytes(b"t" * (1024 * 1024 + 1))


# What is at the path, and what the log says about it.
UNUSABLE: Dict[str, Tuple[Callable[[Path], object], str]] = {
    "absent": (lambda path: None, "No such file"),
    "directory": (Path.mkdir, "Is a directory"),
    "empty": (Path.touch, "expected one token"),
    "nul": (lambda path: path.write_bytes(b"with\0nul"), "expected one token"),
    "large": (big, "File too large"),
}


@pytest.mark.clusters("double")
@pytest.mark.parametrize("what", UNUSABLE)
def test_an_unusable_file_is_named(cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path, what: str) -> None:
    service, _pods = three(cluster)
    stand_in(cluster, service)
    make, reason = UNUSABLE[what]
    make(tmp_path / "token")
    follower = Follower(run_shim, service, cluster.env("web", K8SLB_TOKEN_FILE=str(tmp_path / "token")))
    follower.wait_log(f"error.*{re.escape(str(tmp_path / 'token'))}: {reason}")
    follower.wait_results({"vip"})
    expect(follower.results(), {"vip"}, follower)


@pytest.mark.clusters("real")
def test_a_real_service_account_token(cluster: RealCluster, run_shim: ShimRunner, tmp_path: Path) -> None:
    service, pods = three(cluster)
    follower = Follower(run_shim, service, cluster.env("*/*"))
    expect_followed(follower, names(pods))
    expect(secrets_seen(follower, tmp_path, str(cluster.token)), [], follower)


@pytest.mark.clusters("real")
def test_a_token_without_rights_leaves_the_vip_to_the_kernel(cluster: RealCluster, run_shim: ShimRunner, tmp_path: Path) -> None:
    service, _pods = three(cluster)
    stand_in(cluster, service)
    token = tmp_path / "token"
    token.write_text(cluster.create_token("norights"))
    follower = Follower(run_shim, service, cluster.env("web", K8SLB_TOKEN_FILE=str(token)))
    follower.watch(1, follower.began)

    follower.wait_results({"vip"})
    expect(follower.results(), {"vip"}, follower)
    refusals = [line for line in follower.log().splitlines() if "403" in line and "error" in line]
    for resource in ("services", "endpointslices", "endpoints"):
        expect(sum(f'resource "{resource}"' in line for line in refusals), 1, f"the refusal of {resource}", follower)
    expect(secrets_seen(follower, tmp_path, token.read_text()), [], follower)


@pytest.mark.clusters("real")
def test_a_wrong_token_on_a_real_server(cluster: Cluster, run_shim: ShimRunner, tmp_path: Path) -> None:
    service, _pods = three(cluster)
    stand_in(cluster, service)
    (tmp_path / "token").write_text("not-a-token-of-this-server")
    follower = Follower(run_shim, service, cluster.env("web", K8SLB_TOKEN_FILE=str(tmp_path / "token")))
    follower.wait_log("error.*401 Unauthorized")
    follower.wait_results({"vip"})
    expect(follower.results(), {"vip"}, follower)
