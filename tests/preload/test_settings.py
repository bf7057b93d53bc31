# SPDX-License-Identifier: Apache-2.0
"""Each wrong setting gives one line in the log and costs only itself."""
from typing import List

import pytest

from tests.harness import Result, ShimRunner, expect
from tests.kube.cluster import Cluster
from tests.kube.namespace import NODE_IP
from tests.preload.common import client, web

pytestmark = pytest.mark.clusters("double")


def complaints(result: Result) -> List[str]:
    """The messages about settings in the log, without time and process."""
    return [line.split(": ", 1)[1] for line in result.log.splitlines() if ": K8SLB_" in line]


@pytest.mark.parametrize(
    "variable, value, expected",
    [
        ("K8SLB_POLICY", "rr", "round_robin or random"),
        ("K8SLB_RESOLVE", "pod", "vip or endpoint"),
        ("K8SLB_DISCOVERY", "dns", "auto, endpointslices or endpoints"),
        ("K8SLB_MESH", "off", "avoid or ignore"),
        ("K8SLB_SYNC_TIMEOUT", "2s", "0 to 60000"),
        ("K8SLB_CONNECT_TIMEOUT", "-1", "50 to 600000"),
        ("K8SLB_ATTEMPTS", "0", "1 to 16"),
        ("K8SLB_FALLBACK", "pod", "vip or none"),
        ("K8SLB_EVENTS", "1", "on or off"),
        ("K8SLB_SYNC_INTERVAL", "1e3", "1 to 86400"),
        ("K8SLB_RETRY_DELAY", "4294967297", "1 to 3600"),
        ("K8SLB_NODE", "n 1", '1 to 253 of letters, digits, "-", "_" and "."'),
        ("K8SLB_ZONE", "é", '1 to 63 of letters, digits, "-", "_" and "."'),
        ("K8SLB_TABLE", "table", "an absolute path"),
        ("K8SLB_TABLE_UID", "4294967295", "0 to 4294967294"),
        ("K8SLB_CERT_FILE", "/cert", "K8SLB_KEY_FILE beside it"),
        ("K8SLB_KEY_FILE", "key", "an absolute path"),
    ],
)
def test_a_wrong_value(cluster: Cluster, run_shim: ShimRunner, variable: str, value: str, expected: str) -> None:
    service, pods = web(cluster)

    result = run_shim(client(service.vip or "", 80), env=cluster.env("web", **{variable: value}))

    shown = "".join(c if " " <= c <= "~" else "??" for c in value)
    expect(complaints(result), [f'{variable}="{shown}": expected {expected}'], result)
    assert result.stdout.strip() in {pod.name for pod in pods}, result
    expect((result.returncode, result.stderr), (0, ""), result)


@pytest.mark.parametrize("variable", ["K8SLB_TOKEN_FILE", "K8SLB_KEY_FILE"])
@pytest.mark.parametrize("value", ["eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmVk", "first-half-of-it@second-half"])
def test_what_may_be_a_secret_is_not_shown(cluster: Cluster, run_shim: ShimRunner, variable: str, value: str) -> None:
    """Somebody gave the content instead of the path."""
    result = run_shim(client(NODE_IP, 80), env=cluster.env("web", **{variable: value}))

    (complaint,) = complaints(result)
    assert complaint.startswith(f"{variable}=") and complaint.endswith(": expected an absolute path"), result
    assert not any(part in result.log for part in value.split("@")), result


def test_a_wrong_namespace(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, _pods = web(cluster)

    result = run_shim(client(service.vip or "", 80), env=cluster.env("web", K8SLB_NAMESPACE="Default"))

    expected = 'K8SLB_NAMESPACE="Default": expected a namespace: 1 to 63 of a-z, 0-9 and inner "-"'
    expect(complaints(result), [expected], result)
    expect((result.returncode, result.stderr), (0, ""), result)


@pytest.mark.parametrize(
    "variable, value, shown",
    [
        ("K8SLB_API", "10.96.0.1:443", "10.96.0.1:443"),
        ("K8SLB_API", "https://user:secret@10.96.0.1", "...@10.96.0.1"),
        ("K8SLB_API", "h" * 300, "h" * 80 + "..."),
        ("K8SLB_TOKEN_FILE", "token", "token"),
        ("K8SLB_CA_FILE", "ca.crt", "ca.crt"),
    ],
)
def test_without_an_api_server_the_program_is_as_without_the_shim(
    cluster: Cluster, run_shim: ShimRunner, variable: str, value: str, shown: str
) -> None:
    program = client(NODE_IP, 80)
    plain = run_shim(program, preload=False)

    result = run_shim(program, env=cluster.env("*/*", **{variable: value}))

    expect([line.split(": expected")[0] for line in complaints(result)], [f'{variable}="{shown}"'], result)
    expect((result.returncode, result.stdout, result.stderr), (0, "ECONNREFUSED\n", ""), result)
    expect(result.stdout, plain.stdout, plain)
    assert "secret" not in result.log, result


def test_wrong_entries_leave_the_others(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster)

    result = run_shim(client(service.vip or "", 80), env=cluster.env(f"Web web:0,web {'x' * 300}"))

    entries = ["Web", "web:0", "x" * 80 + "..."]
    expect([line.split('": ')[0] for line in complaints(result)], [f'K8SLB_SERVICES entry "{entry}' for entry in entries], result)
    assert result.stdout.strip() in {pod.name for pod in pods}, result


def test_many_messages_are_bounded(cluster: Cluster, run_shim: ShimRunner) -> None:
    result = run_shim(["true"], env=cluster.env(" ".join(f"Wrong{i}" for i in range(1000))))

    lines = result.log.splitlines()
    assert 10 < len(lines) < 100, result
    assert lines[-1].endswith(f"{1000 - len(lines) + 1} more messages about settings"), result
    expect((result.returncode, result.stdout, result.stderr), (0, "", ""), result)


@pytest.mark.parametrize("value", ["verbose", "debug:", "debug:relative", "error:/nonexistent/file", ":", "DEBUG"])
def test_a_wrong_log_is_no_log(cluster: Cluster, run_shim: ShimRunner, value: str) -> None:
    service, pods = web(cluster)

    result = run_shim(client(service.vip or "", 80), env=cluster.env("web", K8SLB_LOG=value, K8SLB_POLICY="rr"))

    assert result.stdout.strip() in {pod.name for pod in pods}, result
    expect((result.returncode, result.stderr), (0, ""), result)
