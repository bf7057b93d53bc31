# SPDX-License-Identifier: Apache-2.0
"""k8slb explain --from: what a dump with everything in excess costs is one line, never memory or a crash."""
import json
from typing import List

from tests.cli.common import Object, document, endpoint, run_cli, service, slice_of
from tests.harness import Build, expect


def addresses(count: int) -> List[Object]:
    return [{"addresses": [f"10.{1 + (n >> 16)}.{n >> 8 & 255}.{n & 255}"]} for n in range(count)]


def compact(dump: Object) -> str:
    return json.dumps(dump, separators=(",", ":"))


def test_ports_times_addresses_beyond_32_bits(build: Build) -> None:
    """42 950 * 100 000 is 32 704 in 32 bits: what was counted so wrote past the end of the heap."""
    equal = slice_of("web", *addresses(42950), ports=[])
    equal["ports"] = [{"name": "http", "port": 80}] * 100_000
    result = run_cli(build, "explain", "--from", "-", "-o", "json", stdin=compact(document(service("web"), equal)))
    assert result.returncode == 0, result.stderr[-2000:]
    expect(len(json.loads(result.stdout)[0]["endpoints"]), 42950, result.stderr[-2000:])


def test_a_port_with_too_many_endpoints_is_left_out_and_named(build: Build) -> None:
    ports = [("http", 1 + n, "TCP") for n in range(9)]
    dump = document(service("many"), slice_of("many", *addresses(1000), ports=ports), service("web"), slice_of("web", endpoint("10.244.0.1")))
    result = run_cli(build, "explain", "--from", "-", "-o", "json", stdin=compact(dump))
    assert result.returncode == 0, result
    expect([port["service"] for port in json.loads(result.stdout)], ["web"], result)
    expect(
        result.stderr.splitlines(),
        ["k8slb explain: shop/many: too many endpoints for 1 of its ports: their connections are left to kube-proxy; docs/limits.md tells the limits"],
        result,
    )
