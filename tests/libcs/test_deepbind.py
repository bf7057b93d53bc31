# SPDX-License-Identifier: Apache-2.0
"""Code that is opened with RTLD_DEEPBIND (tests/hazards/test_deepbind.py) on older and newer glibc, and on arm64."""
import shutil
import subprocess
from pathlib import Path
from typing import List

import pytest

from tests.hazards.isolation import by_point, evenly, expect_clean, library
from tests.harness import Build, ShimRunner, counts, expect
from tests.kube.double_cluster import DoubleCluster
from tests.libcs import places
from tests.libcs.places import PATIENCE, Place
from tests.preload.common import web

pytestmark = pytest.mark.clusters("double")

HAZARDS = Path(__file__).resolve().parent.parent / "hazards"
# The smallest package of Python has no ctypes, but import opens what it finds with these flags: its constructor connects.
IMPORT = """
import os, sys
sys.path.insert(0, sys.argv[1])
sys.setdlopenflags(os.RTLD_DEEPBIND | getattr(os, sys.argv[2]))
for name in sys.argv[3:]:
    try:
        __import__(name)
    except ImportError:
        pass
"""
LINKED = {"lazy": ["-Wl,-z,lazy", "-Wl,-z,relro"], "sealed": ["-Wl,-z,now", "-Wl,-z,relro"]}


@pytest.mark.parametrize("how", ["RTLD_LAZY", "RTLD_NOW"])
@pytest.mark.parametrize("place", places.RELEASES, indirect=True)
def test_on_a_release(place: Place, cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, how: str) -> None:
    """In glibc before 2.34 connect() is in two libraries: the object's is libc's, ours may be libpthread's."""
    service, pods = web(cluster)
    names = [f"dialing{i}" for i in range(3 * counts(1, 20))]
    for name in names:
        shutil.copy(library(build, "dialing_library"), tmp_path / f"{name}.so")
    tmp_path.chmod(0o755)

    command = ["/usr/bin/python3", "-c", IMPORT, place.file(tmp_path), how, *names]
    result = place.run(run_shim, command, {**cluster.env("web", **PATIENCE), "DIAL_AT": f"{service.vip}:{service.port}"})

    expect_clean(result)
    expect(by_point(result)["constructor"], evenly(pods, len(names) // 3), result)


@pytest.mark.parametrize("linked, how", [("lazy", "lazy"), ("sealed", "now")])
@pytest.mark.parametrize("place", ["arm64"], indirect=True)
def test_on_arm64(
    place: Place, cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path, linked: str, how: str
) -> None:
    service, pods = web(cluster)
    compiled = [f"{places.ARM64}-gcc", "-O1", "-D_GNU_SOURCE"]
    program, plugin = tmp_path / "plugins", tmp_path / "plugin.so"
    subprocess.run([*compiled, "-pthread", "-o", program, HAZARDS / "programs/plugins.c", "-ldl"], check=True)
    shared: List[str] = [*compiled, "-shared", "-fPIC", *LINKED[linked]]
    subprocess.run([*shared, "-o", str(plugin), str(HAZARDS / "preload/dialing_library.c")], check=True)
    steps = [f"{how}:{plugin}", "mapped", *["dial"] * 3, "mapped", "close", f"again:3:{plugin}"]
    command = [program, str(service.vip), str(service.port), "own", *steps]
    result = place.run(run_shim, command, cluster.env("web", **PATIENCE))

    expect_clean(result)
    found = by_point(result)
    expect((found["program"] + found["library"]).keys(), {pod.name for pod in pods}, result)
    expect((sum(found["program"].values()), sum(found["library"].values())), (1, 6), result)
    assert not [rights for rights in found["mapped"] if "wx" in rights], result
