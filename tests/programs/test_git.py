# SPDX-License-Identifier: Apache-2.0
"""git over its own protocol, over HTTP and over ssh: helpers at the other end of pipes, libcurl of its own."""
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, List

import pytest

from tests.harness import counts, expect
from tests.kube.cluster import Pod
from tests.programs.common import Backend, World
from tests.programs.servers import needs_real_root
from tests.programs.ssh import Ssh

pytestmark = pytest.mark.clusters("double")

COUNT = counts(12, 60)
GIT_HTTP = Path(__file__).with_name("pods") / "git_http.py"
# Nothing of the machine's own settings, and nobody's name but the test's.
SETTINGS = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    **{f"GIT_{who}_{what}": "test@example.net" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}
# Lists of remote names, a copy of everything, and what came since, each over connections of its own.
WORK = """
set -e
git -c init.defaultBranch=main clone "$1" copy
cd copy
git log --format=%H
git -c protocol.version=2 fetch --tags origin
git -c protocol.version=0 ls-remote origin
git fsck --strict
"""


def git(directory: Path, *words: Any) -> str:
    env = {**os.environ, **SETTINGS, "HOME": str(directory)}
    return subprocess.run(["git", *map(str, words)], cwd=directory, env=env, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repositories(world: World) -> Path:
    """A directory with one repository, "work.git": 20 commits, a branch and a tag."""
    directory = world.new_directory("repositories")
    git(directory, "-c", "init.defaultBranch=main", "init", "-q", "--bare", "work.git")
    history = ["blob\nmark :1\ndata 5\nhello\n"]
    for i in range(20):
        words = f"commit {i}"
        head = f"commit refs/heads/main\ncommitter A <a@example.net> {1700000000 + i} +0000\n"
        history.append(f"{head}data {len(words)}\n{words}\nM 100644 :1 file{i}\n\n")
    env = {**os.environ, **SETTINGS, "HOME": str(directory)}
    history += [f"reset {reference}\nfrom refs/heads/main\n\n" for reference in ("refs/heads/side", "refs/tags/v1")]
    subprocess.run(
        ["git", "-C", directory / "work.git", "fast-import", "--quiet"], input="".join(history), text=True, env=env, check=True
    )
    return directory


def daemon(world: World, repositories: Path) -> Backend:
    def command(pod: Pod, _directory: Path) -> List[Any]:
        daemon = ["git", "daemon", "--export-all", "--reuseaddr", f"--base-path={repositories}"]
        return [*daemon, f"--listen={pod.ip}", f"--port={pod.port}", repositories]

    return world.serve("git", 9418, command, env=SETTINGS)


def http(world: World, repositories: Path) -> Backend:
    def command(pod: Pod, _directory: Path) -> List[Any]:
        return [sys.executable, "-I", "-S", GIT_HTTP, pod.ip, pod.port, repositories]

    return world.serve("git", 80, command, env=SETTINGS)


@pytest.mark.parametrize("scheme", ["git", "http"])
@pytest.mark.parametrize("by", ["vip", "name"])
def test_clone_and_fetch(world: World, repositories: Path, scheme: str, by: str) -> None:
    pods = daemon(world, repositories) if scheme == "git" else http(world, repositories)
    url = f"{scheme}://{getattr(pods, by)}/work.git"
    plain, shim = world.both(["sh", "-c", WORK, "sh", url], {pods: 3}, uneven=3, env=SETTINGS)
    commits = git(repositories / "work.git", "rev-parse", "side", "v1")
    for run in plain, shim:
        expect(git(run.directory / "copy", "rev-parse", "origin/side", "v1"), commits, run.result)


@pytest.mark.parametrize("scheme", ["git", "http"])
def test_one_connection_for_each_process(world: World, repositories: Path, scheme: str) -> None:
    pods = daemon(world, repositories) if scheme == "git" else http(world, repositories)
    loop = 'for i in $(seq "$1"); do git ls-remote "$2" || exit; done'
    command = ["sh", "-c", loop, "sh", COUNT, f"{scheme}://{pods.vip}/work.git"]
    world.both(command, {pods: COUNT}, uneven=COUNT - 1, env=SETTINGS)


@needs_real_root
def test_over_ssh(world: World, repositories: Path) -> None:
    ssh = Ssh(world.directory)
    pods = ssh.serve(world)
    env = {**SETTINGS, "GIT_SSH_COMMAND": " ".join(["ssh", *map(str, ssh.options())])}
    world.both(["sh", "-c", WORK, "sh", f"ssh://{pods.vip}{repositories}/work.git"], {pods: 3}, uneven=3, env=env)


def test_nothing_there(world: World, repositories: Path) -> None:
    pods = daemon(world, repositories)
    world.both(["git", "clone", f"git://{pods.vip}/other.git"], {pods: 1}, returncode=128, env=SETTINGS)
    world.both(["git", "ls-remote", "git://127.0.0.1:9/work.git"], {pods: 0}, returncode=128, env=SETTINGS)
