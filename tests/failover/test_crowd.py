# SPDX-License-Identifier: Apache-2.0
"""Many threads connect at once, in all the ways that programs do, while a pod dies and comes back again and again."""
import itertools

import pytest

from tests.e2e.common import stand_in
from tests.failover.common import Firewall
from tests.harness import Build, ShimRunner, counts, expect, wait_until
from tests.kube.cluster import Cluster
from tests.preload.common import web

pytestmark = pytest.mark.clusters("double")

THREADS = 8
ECONNREFUSED, EISCONN = 111, 106
LONGEST_S = counts(100, 300)


@pytest.mark.timeout(LONGEST_S + 20)
def test_threads_learn_from_each_other(cluster: Cluster, run_shim: ShimRunner, build: Build, firewall: Firewall) -> None:
    service, pods = web(cluster)
    stand_in(cluster, service)
    each = counts(1000, 20000)
    turns = itertools.cycle([lambda: firewall.refuse(pods[1]), firewall.allow_all])

    process = run_shim.start([build.programs / "crowd", service.vip, service.port, THREADS, each], env=cluster.env("web"))

    def ended() -> bool:
        next(turns)()
        return process.process.poll() is not None

    wait_until("its end", ended, process.result, pause=0.1, timeout=LONGEST_S)
    result = process.result()
    expect((result.returncode, result.stderr), (0, ""), result)
    told = {int(error): int(number) for error, number in (line.split() for line in result.stdout.splitlines())}
    # Three of five ways tell an outcome; a connection that was made is 0, or EISCONN to the second connect().
    expect(set(told) <= {0, EISCONN, ECONNREFUSED}, True, result)
    expect(sum(told.values()), THREADS * each * 3 // 5, result)
    # Without a memory of failures it were a third of the two ways that are not blocking, half of the time.
    expect(told.get(ECONNREFUSED, 0) < sum(told.values()) / 20, True, result)
