# SPDX-License-Identifier: Apache-2.0
"""Programs that run with more rights than their caller has: a shim that got into them would act on the caller's environment
with those rights. The loader leaves every preload out of them, and sudo takes the variable away: they run as without us,
through kube-proxy."""
import os
import shutil
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests.e2e.common import stand_in
from tests.harness import Build, Result, ShimRunner, expect
from tests.hazards.guests import (
    NOBODY,
    as_nobody,
    expect_balanced,
    expect_same,
    public_build,
    public_credentials,
    public_directory,
)
from tests.kube.cluster import Pod
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import web

pytestmark = [
    pytest.mark.clusters("double"),
    pytest.mark.unsanitized("the loader leaves a sanitizer's runtime out as well, and says so"),
]
public = pytest.fixture(public_directory)

QUESTIONS = 6


class Stage:
    """A Service, its stand-in for kube-proxy, and the files of this build where everybody may read them."""

    def __init__(self, cluster: DoubleCluster, build: Build, directory: Path) -> None:
        self.service, self.pods = web(cluster)
        self.vip: Pod = stand_in(cluster, self.service)
        self.build = public_build(build, directory)
        self.env: Dict[str, str] = public_credentials(cluster.env("web", K8SLB_LOG="off"), directory)
        self.runner = ShimRunner(self.build, directory)
        self.program = self.build.programs / "connect_loop"
        directory.chmod(0o755)

    def arguments(self, program: Path) -> List[Any]:
        return [program, self.service.vip, 80, QUESTIONS, "plain"]

    def run(self, command: List[Any], preload: bool = True) -> Result:
        result = self.runner(command, env=self.env, preload=preload)
        expect(result.returncode, 0, result)
        return result

    def expect_left_alone(self, command: List[Any]) -> None:
        """The program is as without the shim, down to its standard error."""
        bare = self.run(command, preload=False)
        shimmed = self.run(command)
        expect_same(shimmed, bare)
        expect((shimmed.stdout, bare.stdout), (f"{self.vip.name}\n" * QUESTIONS,) * 2, shimmed)


@pytest.fixture
def stage(cluster: DoubleCluster, build: Build, public: Path) -> Stage:
    return Stage(cluster, build, public)


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_an_ordinary_program_is_balanced(stage: Stage, user: str) -> None:
    """What makes the difference in the tests below."""
    command = stage.arguments(stage.program)

    result = stage.run(as_nobody(command) if user == "nobody" else command)

    expect_balanced(result.stdout.splitlines(), stage.pods, result)


@pytest.mark.parametrize("bits", [0o4755, 0o2755, 0o6755], ids=oct)
@pytest.mark.parametrize("owner, user", [(NOBODY, "root"), (0, "nobody")])
def test_set_id_programs(stage: Stage, owner: int, user: str, bits: int) -> None:
    changed = stage.build.directory / "changed"
    shutil.copy(stage.program, changed)
    os.chown(changed, owner, owner)
    changed.chmod(bits)
    command = stage.arguments(changed)

    stage.expect_left_alone(as_nobody(command) if user == "nobody" else command)


def test_programs_with_file_capabilities(stage: Stage, run_shim: ShimRunner) -> None:
    capable = stage.build.directory / "capable"
    shutil.copy(stage.program, capable)
    capable.chmod(0o755)
    given = run_shim(["setcap", "cap_net_bind_service+ep", capable], preload=False)
    expect(given.returncode, 0, given)

    stage.expect_left_alone(as_nobody(stage.arguments(capable)))


def test_sudo_takes_the_variable_away(stage: Stage) -> None:
    """sudo itself, run by root, does have the shim, and is not disturbed by it."""
    stage.expect_left_alone(["sudo", "-n", *stage.arguments(stage.program)])
    stage.expect_left_alone(["sudo", "-n", "-u", "nobody", *stage.arguments(stage.program)])


def test_a_program_that_sudo_is_told_to_balance(stage: Stage) -> None:
    """The way to it: the variables are set behind sudo."""
    variables = [f"{name}={value}" for name, value in stage.runner.env(stage.env).items() if name.startswith(("K8SLB", "LD_PRE"))]

    result = stage.run(["sudo", "-n", "-u", "nobody", "env", *variables, *stage.arguments(stage.program)], preload=False)

    expect_balanced(result.stdout.splitlines(), stage.pods, result)
