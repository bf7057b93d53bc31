# SPDX-License-Identifier: Apache-2.0
"""/etc/hosts comes before DNS for libc, and so it does before the table: a Pod's hostAliases mean what they say."""
from pathlib import Path

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.kube.cluster import Cluster
from tests.preload.common import web

pytestmark = pytest.mark.clusters("double")
BIND = 'mount --bind "$0" /etc/hosts && exec "$@"'


def lookup(run_shim: ShimRunner, build: Build, cluster: Cluster, hosts: Path, name: str, preload: bool = True) -> str:
    """What a program gets for the name with this /etc/hosts."""
    program = [build.programs / "lookup", "getaddrinfo", name, 80, 2, 1, 0]
    result = run_shim(["unshare", "-m", "sh", "-c", BIND, hosts, *program], env=cluster.env("*"), preload=preload)
    expect((result.returncode, result.stderr), (0, ""), result)
    return result.stdout


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.7 web\n",
        "127.0.0.1 localhost\n192.0.2.7\tother web # the old one\n",
        "192.0.2.7 WEB",
        "#" * 5000 + "\n" + "192.0.2.1 filler\n" * 2000 + "192.0.2.7   x   web   y\n",
    ],
    ids=["name", "alias", "case-and-no-end", "long"],
)
def test_a_name_that_the_file_has_is_libcs(cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path, text: str) -> None:
    web(cluster)
    hosts = tmp_path / "hosts"
    hosts.write_text(text)
    plain = lookup(run_shim, build, cluster, hosts, "web", preload=False)
    assert plain.endswith("192.0.2.7 80 type 1\n"), plain
    expect(lookup(run_shim, build, cluster, hosts, "web"), plain)


@pytest.mark.parametrize("text", ["", "192.0.2.7 webs we web.example\n", "# 192.0.2.7 web\n", "web 192.0.2.7\n", "192.0.2.7 other #web\n"])
def test_a_name_that_it_has_not_is_answered_from_the_table(cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path, text: str) -> None:
    service, _pods = web(cluster)
    hosts = tmp_path / "hosts"
    hosts.write_text(text)
    expect(lookup(run_shim, build, cluster, hosts, "web"), f"{service.vip} 80 type 1\n")
