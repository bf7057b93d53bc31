# SPDX-License-Identifier: Apache-2.0
"""Hazard: the program, or a library before us, exports names that our static parts define too: curl_easy_init, SSL_new,
SSL_connect, X509_verify_cert, cJSON_Parse.

A naive shim is linked with libcurl and OpenSSL, and its calls bind to the program's functions of these names, of another version
or another meaning. All names of ours but the hooks are hidden and bound when the object is linked.
"""
import ctypes.util
import subprocess
from pathlib import Path
from typing import List

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.hazards.isolation import by_point, evenly, expect_clean, preload_beside, target
from tests.kube.cluster import Cluster

pytestmark = pytest.mark.clusters("double")

TRAPS = """
#include <string.h>
#include <unistd.h>
static void trap(const char *name)
{
	ssize_t written = write(2, name, strlen(name));
	_exit(written < 0 ? 98 : 99);
}
#define TRAP(name) __attribute__((visibility("default"))) void name(void) { trap(#name "() was called\\n"); }
"""


def test_a_program_that_exports_them(cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
    assert cluster.url.startswith("https:"), "TLS must be used"
    web = target(cluster)

    result = run_shim([build.programs / "exporting_host", *web.arguments, 30], env=cluster.env("web"))

    expect_clean(result)
    expect(by_point(result), {"main": evenly(web.pods, 10)}, result)


def functions_of(path: Path) -> List[str]:
    """Every function of an object: those of the symbol table that stands beside the shipped file."""
    lines = subprocess.run(["nm", "--defined-only", str(path)], check=True, capture_output=True, text=True).stdout.splitlines()
    fields = [line.split() for line in lines]
    return sorted({name for _address, kind, name in fields if kind in "tT" and name.isidentifier()})


def library_of_traps(directory: Path, names: List[str]) -> Path:
    source, made = directory / "traps.c", directory / "traps.so"
    source.write_text(TRAPS + "".join(f"TRAP({name})\n" for name in names))
    command = ["cc", "-w", "-O0", "-fno-builtin", "-fPIC", "-shared", "-o", str(made), str(source)]
    result = subprocess.run(command, capture_output=True, text=True)
    expect(result.returncode, 0, result.stderr)
    return made


def test_a_library_that_exports_every_name_of_ours(
    cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path
) -> None:
    libc = ctypes.CDLL(ctypes.util.find_library("c"))
    functions = functions_of(Path(f"{build.shim}.debug"))
    # What libc calls so, the hooks among them, is the program's too; names with _ in front are the compiler's.
    names = [name for name in functions if not name.startswith("_") and not hasattr(libc, name)]
    for known in ("curl_easy_init", "curl_multi_perform", "ares_getaddrinfo", "SSL_connect", "X509_verify_cert", "cJSON_ParseWithLengthOpts"):
        assert known in names, (known, len(names))
    web = target(cluster)
    preload = preload_beside(build, library_of_traps(tmp_path, names), first=True)

    result = run_shim([build.programs / "lifetime", *web.arguments, "main"], env=cluster.env("web", LD_PRELOAD=preload))

    expect_clean(result)
    expect(by_point(result), {"main": evenly(web.pods)}, result)
    print(f"\n{len(names)} names, none of them called")


def test_the_traps_work(cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path) -> None:
    """The system's libcurl falls into them, as a shim would that is linked with it."""
    web = target(cluster)
    traps = library_of_traps(tmp_path, ["SSL_CTX_new", "OPENSSL_init_ssl", "curl_multi_perform"])

    result = run_shim(["curl", "-s", f"http://{':'.join(web.arguments)}/"], env={"LD_PRELOAD": str(traps)}, preload=False)

    expect(result.returncode, 99, result)
    assert "() was called" in result.stderr, result
