# SPDX-License-Identifier: Apache-2.0
"""Hazard: another preloaded library stands before connect() too: torsocks, proxychains, libfaketime, one of the tsocks kind.

A naive shim finds libc by its name and cuts the other one off, is called back for its own connections and recurses, or sends its
sync through the other's proxy. Ours calls the next one by RTLD_NEXT, each call once, and its engine passes by all of them.
"""
from collections import Counter
from pathlib import Path
from typing import List

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.hazards.isolation import by_point, evenly, expect_clean, library, preload_beside, system_library, target
from tests.hazards.socks import Proxy
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import client, tally

pytestmark = pytest.mark.clusters("double")

ORDERS = pytest.mark.parametrize("first", [True, False], ids=["before-us", "behind-us"])
COUNT = 6


@ORDERS
def test_a_hook_of_the_tsocks_kind(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, first: bool) -> None:
    web = target(cluster)
    log = tmp_path / "hooks"
    env = cluster.env("web", HOOK_LOG=str(log), LD_PRELOAD=preload_beside(build, library(build, "counting_connect"), first=first))

    result = run_shim(client("web", web.service.port, COUNT, "-p"), env=env)

    expect_clean(result)
    vip = f"{web.service.vip} {web.service.port}"
    expect(tally(result.stdout), Counter({f"{name} {vip}": COUNT // 3 for name in web.names}), result)
    # Before us it sees what the program asked for; behind us, what we made of it. Each call once, and none of the engine's.
    asked = {f"{web.service.vip}:{web.service.port}": COUNT} if first else {f"{pod.ip}:{pod.port}": COUNT // 3 for pod in web.pods}
    seen = Counter(log.read_text().splitlines())
    expect({line.split()[1]: n for line, n in seen.items() if line.startswith("connect")}, asked, result, seen)
    names = {line.split()[1]: n for line, n in seen.items() if line.startswith("getaddrinfo")}
    expect(names, {"web" if first else web.service.vip: COUNT}, result, seen)


def expect_direct(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, other: str, first: bool, **settings: str
) -> None:
    """With a preload that leaves the cluster's addresses alone all is as with ours only."""
    web = target(cluster)
    env = cluster.env("web", LD_PRELOAD=preload_beside(build, other, first=first), **settings)
    for host in (str(web.service.vip), "web"):
        result = run_shim(client(host, web.service.port, COUNT), env=env)
        expect_clean(result)
        expect(tally(result.stdout), evenly(web.pods, COUNT // 3), result)
    result = run_shim([build.programs / "lifetime", *web.arguments, "init,thread,main,key,atexit"], env=env)
    expect_clean(result)
    expect(by_point(result)["main"], evenly(web.pods), result)


def proxychains(directory: Path, port: int, *localnets: str) -> str:
    config = directory / "proxychains.conf"
    lines = ["strict_chain", "quiet_mode", *(f"localnet {net}" for net in localnets), "[ProxyList]", f"socks5 127.0.0.1 {port}"]
    config.write_text("\n".join(lines) + "\n")
    return str(config)


@ORDERS
def test_proxychains_with_a_direct_network(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, first: bool
) -> None:
    with Proxy() as proxy:
        settings = {"PROXYCHAINS_CONF_FILE": proxychains(tmp_path, proxy.port, "10.0.0.0/255.0.0.0"), "PROXYCHAINS_QUIET_MODE": "1"}
        expect_direct(cluster, run_shim, build, system_library("libproxychains.so.4"), first, **settings)
    expect(proxy.asked, [])


def through_proxy(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, proxy: Proxy, other: str, first: bool, **settings: str
) -> None:
    """With a preload that sends everything through a proxy: behind us it takes there what we picked, before us the VIP; the
    engine has no part in it."""
    web = target(cluster)
    env = cluster.env("web", LD_PRELOAD=preload_beside(build, other, first=first), **settings)
    command = client(str(web.service.vip), web.service.port, COUNT)

    result = run_shim(command, env=env)

    expect(result.returncode, 0, result)
    through: List[str] = [f"{host}:{port}" for host, port in proxy.asked]
    if first:
        expect(tally(result.stdout), {"vip": COUNT}, result, through)
        expect(Counter(through), {":".join(web.arguments): COUNT}, result)
    else:
        expect(tally(result.stdout), evenly(web.pods, COUNT // 3), result, through)
        expect(Counter(through), {f"{pod.ip}:{pod.port}": COUNT // 3 for pod in web.pods}, result)
    bare = run_shim(command, env={**settings, "LD_PRELOAD": other}, preload=False)
    expect((bare.returncode, bare.stderr), (result.returncode, result.stderr), bare, result)


@ORDERS
def test_proxychains(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, first: bool) -> None:
    with Proxy() as proxy:
        settings = {"PROXYCHAINS_CONF_FILE": proxychains(tmp_path, proxy.port), "PROXYCHAINS_QUIET_MODE": "1"}
        through_proxy(cluster, run_shim, build, proxy, system_library("libproxychains.so.4"), first, **settings)


@ORDERS
def test_torsocks(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, first: bool) -> None:
    config = tmp_path / "torsocks.conf"
    with Proxy() as proxy:
        config.write_text(f"TorAddress 127.0.0.1\nTorPort {proxy.port}\n")
        settings = {"TORSOCKS_CONF_FILE": str(config)}
        through_proxy(cluster, run_shim, build, proxy, system_library("torsocks/libtorsocks.so"), first, **settings)


@ORDERS
@pytest.mark.parametrize("faketime", ["+3h", "+20m x10"])
@pytest.mark.parametrize("name", ["libfaketime.so.1", "libfaketimeMT.so.1"])
def test_faketime(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, name: str, faketime: str, first: bool) -> None:
    expect_direct(cluster, run_shim, build, system_library(f"faketime/{name}"), first, FAKETIME=faketime)


@ORDERS
def test_a_certificate_of_another_time(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, first: bool) -> None:
    web = target(cluster)
    preload = preload_beside(build, system_library("faketime/libfaketime.so.1"), first=first)

    env = cluster.env("web", LD_PRELOAD=preload, FAKETIME="-40y")
    result = run_shim(client(str(web.service.vip), web.service.port, 3), env=env)

    # The program lives before the certificate of the API server: no table, and so the VIP.
    expect_clean(result)
    expect(tally(result.stdout), {"vip": 3}, result)
