# SPDX-License-Identifier: Apache-2.0
"""Hazard: the program itself is built with AddressSanitizer, UndefinedBehaviorSanitizer or ThreadSanitizer, whose runtime stands
before libc's calls as we do.

A naive shim opens its parts with RTLD_DEEPBIND, which these runtimes refuse, takes memory past them, or finds libc's connect()
under the runtime's feet. Ours calls the next one, so that they see all that they saw.
"""
import os
import subprocess
from pathlib import Path
from typing import Dict, List, Tuple

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.hazards.isolation import by_point, evenly, expect_clean, target
from tests.kube.double_cluster import DoubleCluster

pytestmark = pytest.mark.clusters("double")

PROGRAMS = Path(__file__).with_name("programs")

# The compiler's arguments, and the runtime that must come first in LD_PRELOAD.
HOSTS: Dict[str, Tuple[List[str], str]] = {
    "asan": (["gcc", "-fsanitize=address"], "libasan.so"),
    "asan-static": (["gcc", "-fsanitize=address", "-static-libasan"], ""),
    "asan-clang": (["clang", "-fsanitize=address"], ""),
    "ubsan": (["gcc", "-fsanitize=undefined", "-fno-sanitize-recover=all"], ""),
    "tsan": (["gcc", "-fsanitize=thread"], "libtsan.so"),
    "tsan-clang": (["clang", "-fsanitize=thread"], ""),
}
OPTIONS = "exitcode=66:atexit_sleep_ms=0"


def built(directory: Path, host: str, program: str) -> Path:
    made = directory / program
    options = ["-g", "-O1", "-std=gnu11", "-D_GNU_SOURCE", "-pthread"]
    command = [*HOSTS[host][0], *options, "-o", str(made), str(PROGRAMS / f"{program}.c")]
    result = subprocess.run(command, capture_output=True, text=True)
    expect(result.returncode, 0, result.stderr)
    return made


def runtime(host: str) -> str:
    """Where the compiler has this runtime; "" for one that is linked in."""
    if not HOSTS[host][1]:
        return ""
    command = [HOSTS[host][0][0], f"-print-file-name={HOSTS[host][1]}"]
    return os.path.realpath(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


@pytest.mark.parametrize("host", HOSTS)
def test_real_work(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, host: str) -> None:
    web = target(cluster)
    preload = f"{runtime(host)} {build.preload()}".strip()
    env = {**{f"{name}SAN_OPTIONS": OPTIONS for name in ("A", "T")}, "UBSAN_OPTIONS": "halt_on_error=1"}
    shimmed = {**cluster.env("web"), **env, "LD_PRELOAD": preload}
    points = "init,thread,main,key,cxa_thread,atexit,fini"
    for program, arguments in (("churn", []), ("lifetime", [points])):
        command = [built(tmp_path, host, program), *web.arguments, *arguments]

        bare = run_shim(command, env=env, preload=False)
        result = run_shim(command, env=shimmed)

        expect_clean(bare)
        expect_clean(result)
        answers = by_point(result)
        expect(set(answers), set(by_point(bare)), result)
        expect(answers["main"], evenly(web.pods), result)


def test_a_report_is_still_made(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path) -> None:
    """AddressSanitizer watches the program as without us."""
    source, made = tmp_path / "overrun.c", tmp_path / "overrun"
    source.write_text(
        "#include <stdlib.h>\nint main(int argc, char **argv)\n"
        "{\n\tchar *volatile block = malloc(8);\n\tblock[8 + argc] = argv[0][0];\n\treturn 0;\n}\n"
    )
    subprocess.run(["gcc", "-fsanitize=address", "-o", str(made), str(source)], check=True)

    result = run_shim([made], env={**cluster.env("web"), "LD_PRELOAD": f"{runtime('asan')} {build.preload()}"})

    expect("heap-buffer-overflow" in result.stderr, True, result)
