# SPDX-License-Identifier: Apache-2.0
"""Hazard: the program changes its environment while the engine works: setenv() in other threads, clearenv(), environ = NULL,
overwritten strings.

A naive shim asks getenv() when it needs a setting, or lets libcurl ask for proxies and libc for the time zone: setenv() moves the
array under it, and a thread that reads the old one crashes. Ours reads the environment once, before main(), and its thread makes
no call that reads it again.
"""
import signal
from pathlib import Path

import pytest

from tests.harness import Build, Result, ShimProcess, ShimRunner, counts, expect
from tests.hazards.isolation import by_point, evenly, expect_clean, library, preload_beside, target
from tests.kube.cluster import Cluster
from tests.kube.double_cluster import DoubleCluster

pytestmark = pytest.mark.clusters("double")

CHANGES = counts(6, 60)


@pytest.mark.parametrize("how", ["null", "clear", "strings"])
def test_without_an_environment(cluster: Cluster, run_shim: ShimRunner, build: Build, how: str) -> None:
    web = target(cluster)

    result = run_shim([build.programs / "environment_storm", *web.arguments, how, 0], env=cluster.env("web"))

    expect_clean(result)
    expect(by_point(result), {"main": {name: 1 for name in web.names}}, result)


def follow(cluster: DoubleCluster, program: ShimProcess, changes: int) -> Result:
    """A table that changes under the program, a broken watch, and a new connection to the API server with its handshake; then
    the program is ended."""
    program.wait_output("main web-2\n")
    cluster.server.fault("rst", "endpointslices")
    for number in range(changes):
        cluster.add_pod(f"late-{number}", {"app": "web"})
        program.wait_output(f" late-{number}\n")
    program.stop(signal.SIGTERM)
    result = program.result()
    expect((result.returncode, result.stderr), (-signal.SIGTERM, ""), result)
    expect(by_point(result)["main"]["vip"], 0, result)
    return result


def test_while_others_set_variables(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    web = target(cluster)
    command = [build.programs / "environment_storm", *web.arguments, "storm", 600]

    result = follow(cluster, run_shim.start(command, env=cluster.env("web", K8SLB_RETRY_DELAY="1")), CHANGES)

    print(f"\n{sum(by_point(result)['main'].values())} connections, {CHANGES} changes in {result.seconds:.0f} s")


def test_our_thread_reads_none_of_it(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    web = target(cluster)
    preload = preload_beside(build, library(build, "environment_trap"), first=True)
    env = cluster.env("web", LD_PRELOAD=preload, TZ="Europe/Berlin", https_proxy="http://127.0.0.1:1/", K8SLB_RETRY_DELAY="1")

    follow(cluster, run_shim.start([build.programs / "environment_storm", *web.arguments, "clear", 600], env=env), 2)


def test_what_tls_libraries_and_http_clients_read_is_ignored(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path
) -> None:
    """The program's file for TLS secrets, its CAs, its OpenSSL settings, its proxies, its .netrc."""
    web = target(cluster)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / ".netrc").write_text("default login somebody password else\n")
    (theirs / "openssl.cnf").write_text("openssl_conf = nonsense\n")
    (theirs / "ca.crt").write_text("no certificate\n")
    proxy = {name: "http://127.0.0.1:1/" for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")}
    files = {
        "SSLKEYLOGFILE": f"{theirs}/keys",
        "OPENSSL_CONF": f"{theirs}/openssl.cnf",
        "SSL_CERT_FILE": f"{theirs}/ca.crt",
        "SSL_CERT_DIR": str(theirs),
        "CURL_CA_BUNDLE": f"{theirs}/ca.crt",
        "OPENSSL_ia32cap": "0:0",
        "NETRC": f"{theirs}/.netrc",
        "HOME": str(theirs),
    }
    trace = tmp_path / "trace"
    preload = ["-E", f"LD_PRELOAD={build.preload()}"]
    command = ["strace", "-f", "-qq", "-e", "trace=file", "-o", trace, *preload, build.programs / "lifetime", *web.arguments, "main"]

    result = run_shim(command, env=cluster.env("web", **proxy, **files), preload=False)

    expect_clean(result)
    expect(by_point(result), {"main": evenly(web.pods)}, result)
    touched = [line for line in trace.read_text().splitlines() if str(theirs) in line and "execve(" not in line]
    expect((touched, sorted(path.name for path in theirs.iterdir())), ([], [".netrc", "ca.crt", "openssl.cnf"]))


def test_the_trap_works(run_shim: ShimRunner, build: Build) -> None:
    code = "import threading, time\nt = threading.Thread(target=time.localtime)\nt.start()\nt.join()\n"

    result = run_shim(["python3", "-c", code], env={"LD_PRELOAD": str(library(build, "environment_trap"))}, preload=False)

    expect(set(result.stderr.splitlines()), {"trapped localtime_r"}, result)
