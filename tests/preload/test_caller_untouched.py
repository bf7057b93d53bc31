# SPDX-License-Identifier: Apache-2.0
"""The caller's address, errno, descriptor and flags are as libc would leave them; no turn is lost."""
import pytest

from tests.harness import Build, ShimRunner, expect
from tests.kube.cluster import Cluster
from tests.preload.common import python, tally, web

pytestmark = pytest.mark.clusters("double")

EINPROGRESS, EISCONN = 115, 106


def test_address_errno_and_flags(cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
    service, pods = web(cluster)

    result = run_shim([build.programs / "probe_untouched", service.vip, service.port], env=cluster.env("web"))

    kept = f"address kept, flags kept, then 0, again -1 errno {EISCONN}"
    expected = {
        f"blocking: 0 errno 77, {kept}": 4,
        f"non-blocking: -1 errno {EINPROGRESS}, {kept}": 4,
        f"mapped: 0 errno 77, {kept}": 4,
    }
    expect(dict(tally(result.stdout)), expected, result)
    # The repeated calls took no turn: 12 connections, 4 for each pod.
    expect([pod.connections() for pod in pods], [4, 4, 4], result)


def test_a_failed_connect_tells_what_libc_tells(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster, pods=1)
    code = (
        "import socket, sys\n"
        "for _ in range(2):\n"
        "    with socket.socket() as s:\n"
        "        print(s.connect_ex((sys.argv[1], 80)))\n"
    )
    for listener in pods[0].listeners:
        listener.stop()

    result = run_shim(python(code, service.vip), env=cluster.env("web"))

    expect(result.stdout, "111\n111\n", result)
