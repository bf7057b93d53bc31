# SPDX-License-Identifier: Apache-2.0
"""Programs that the shim does not balance and must not harm: Go makes its system calls by itself, with cgo too, where the shim
is loaded and K8SLB_GO=off leaves them alone (else: test_go.py); a static program has no loader that would read LD_PRELOAD. Their
connections go by the VIP, as without it."""
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.harness import expect
from tests.programs.common import World

pytestmark = pytest.mark.clusters("double")

GO = Path(__file__).with_name("go")
CONNECT_LOOP = Path(__file__).parents[1] / "preload" / "programs" / "connect_loop.c"
Compile = Callable[[str], Path]
GO_SETTINGS = {"GO111MODULE": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local"}


def make(*command: Any, **env: str) -> None:
    words = [str(word) for word in command]
    made = subprocess.run(words, cwd=GO, env={**os.environ, **env}, capture_output=True, text=True)
    expect(made.returncode, 0, made.args, made.stdout, made.stderr)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """program("go"), "cgo" or "c": a program to call with HOST PORT COUNT."""
    directory = tmp_path_factory.mktemp("unhooked")
    # Where Debian's Go is too old for the tests, one is beside their Python.
    go = shutil.which("go", path=f"{os.environ['PATH']}:{Path(sys.executable).parent}")

    def compiled(name: str) -> Path:
        target = directory / name
        if name == "c":
            make("gcc", "-std=gnu11", "-static", "-o", target, CONNECT_LOOP)
        else:
            make(go, "build", "-o", target, CGO_ENABLED=str(int(name == "cgo")), **GO_SETTINGS)
        return target

    return compiled


@pytest.mark.parametrize("name, loaded", [("go", False), ("cgo", True), ("c", False)])
def test_it_is_unharmed(world: World, program: Compile, name: str, loaded: bool) -> None:
    web = world.web()
    command = [program(name), web.vip, web.port, 30]
    world.both(command, {web: 30}, caught=False, env={"K8SLB_GO": "off"})
    # Whether the shim is in the process at all.
    strace = ["strace", "-f", "-e", "trace=openat", "-E", f"LD_PRELOAD={world.build.preload()}"]
    traced = world.run_shim([*strace, *command], preload=False)
    expect((traced.returncode, str(world.build.shim) in traced.stderr), (0, loaded), traced)


def test_cgo_asks_libc_for_a_name(world: World, program: Compile) -> None:
    web = world.web()
    ask, by_libc = program("cgo"), {"GODEBUG": "netdns=cgo", "K8SLB_GO": "off"}
    world.both([ask, web.name, web.port, 30], {web: 30}, caught=False, env=by_libc)
    world.both([ask, "no-such.default.svc.cluster.local", web.port, 1], {web: 0}, env=by_libc, returncode=1)
