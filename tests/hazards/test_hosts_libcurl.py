# SPDX-License-Identifier: Apache-2.0
"""Hazard: the program uses the system's libcurl and OpenSSL itself, in several threads, linked, preloaded or by dlopen().

A naive shim shares that copy: its curl_global_init() races with the program's, its connections are in the program's caches, and
OpenSSL's exit handlers free what its thread still reads. Ours has its own copy, which nobody else sees.
"""
import sys
from pathlib import Path

import pytest

from tests.harness import Build, ShimRunner, counts, expect
from tests.hazards.isolation import PODS, evenly, expect_clean, target
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import tally

pytestmark = pytest.mark.clusters("double")

PROGRAM = Path(__file__).with_name("programs") / "libcurl_threads.py"
THREADS = 3
REQUESTS = counts(20, 100)  # of each thread
RUNS = counts(2, 5)

@pytest.mark.parametrize("how", ["RTLD_LOCAL", "RTLD_GLOBAL", "preloaded-before-us", "preloaded-behind-us"])
def test_three_threads_with_libcurl(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, how: str) -> None:
    web = target(cluster)
    preload = {
        "preloaded-before-us": f"libcurl.so.4 {build.preload()}",
        "preloaded-behind-us": f"{build.preload()} libcurl.so.4",
    }.get(how, build.preload())
    mode = how if how.startswith("RTLD") else "RTLD_LOCAL"
    command = [sys.executable, PROGRAM, mode, *web.arguments, cluster.url, cluster.ca_file, THREADS, REQUESTS]
    assert THREADS * REQUESTS % PODS == 0
    for _ in range(RUNS):
        result = run_shim(command, env=cluster.env("web", LD_PRELOAD=preload), timeout=60 + REQUESTS)

        expect_clean(result)
        expect(tally(result.stdout), evenly(web.pods, THREADS * REQUESTS // PODS), result)
