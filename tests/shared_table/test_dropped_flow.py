# SPDX-License-Identifier: Apache-2.0
"""A firewall forgets the flows to the API server: nothing comes any more, and nobody says so."""
import contextlib
import subprocess
import time
from typing import Iterator
from urllib.parse import urlsplit

import pytest

from tests.harness import ShimRunner, expect
from tests.kube.double_cluster import DoubleCluster
from tests.shared_table.common import Guest, names, target

pytestmark = pytest.mark.clusters("double")

NOTICED_S = 45  # lib/kube/http_options.c


@contextlib.contextmanager
def dropped(port: int) -> Iterator[None]:
    """All that comes from or to this port."""
    chain = f"type filter hook input priority 0; tcp dport {port} drop; tcp sport {port} drop;"
    rules = f"table inet dropped {{\nchain input {{ {chain} }}\n}}\n"
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "delete", "table", "inet", "dropped"], check=True)


@pytest.mark.timeout(180)
def test_a_dropped_flow_is_noticed(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """By TCP itself, long before two bookmarks are missing."""
    service, pods = target(cluster)
    guest = Guest(run_shim, service, cluster.env("web"))
    guest.wait_asked(names(pods))
    with dropped(urlsplit(cluster.url).port or 443):
        began = time.monotonic()
        guest.process.wait_log("watch broke, watching again: ", 120)
        passed = time.monotonic() - began
    expect(passed < NOTICED_S, True, f"{passed:.1f} s", guest.process.result())
    pods.append(cluster.add_pod("late", {"app": "web"}))
    guest.wait_asked(names(pods), cluster.logs)
    print(f"noticed after {passed:.1f} s")
