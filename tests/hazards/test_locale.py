# SPDX-License-Identifier: Apache-2.0
"""Hazard: the program's locale writes numbers with a decimal comma, and changes while the engine parses.

A naive shim parses JSON with strtod(), which ends at the point of 1.5 then, so that a whole answer is thrown away; or it calls
setlocale() and changes the program's output. Ours parses every number of JSON in every locale.
"""
import subprocess
from pathlib import Path

import pytest

from tests.harness import ShimRunner, expect
from tests.hazards.isolation import expect_clean, target
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import python, tally

pytestmark = pytest.mark.clusters("double")

PROGRAM = """
import locale, socket, sys
print(locale.setlocale(locale.LC_ALL, "de_DE.UTF-8"))
for name in sys.argv[3:]:
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as s:
        s.sendall(b"WHO\\n")
        print(s.recv(100).decode().strip())
print(locale.localeconv()["decimal_point"], locale.str(1.5))
"""


def test_a_decimal_comma(cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path) -> None:
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", str(tmp_path / "de_DE.UTF-8")], capture_output=True, text=True
    )
    expect(made.returncode, 0, made.stdout, made.stderr)
    web = target(cluster)
    # Numbers that JSON allows, in a field that nobody knows and in one that is read.
    (slice_,) = [one for one in cluster.server.list("endpointslices") if one["metadata"]["name"].startswith("web-")]
    slice_["ports"][0]["port"] = 8.08e3
    slice_["weights"] = [0.5, -1.25e-3, 1e300]
    cluster.server.put("endpointslices", slice_)

    result = run_shim(python(PROGRAM, *web.arguments, *web.names), env=cluster.env("web", LOCPATH=str(tmp_path)))

    expect_clean(result)
    lines = result.stdout.splitlines()
    expect((lines[0], lines[-1]), ("de_DE.UTF-8", ", 1,5"), result)
    expect(tally("\n".join(lines[1:-1]) + "\n"), {name: 1 for name in web.names}, result)
