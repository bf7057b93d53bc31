# SPDX-License-Identifier: Apache-2.0
"""scripts/check-commits finds long subjects of commits that are not on the main branch yet, and nothing where it cannot tell."""
import subprocess
from pathlib import Path
from typing import Tuple

from tests.harness import expect

CHECK = Path(__file__).resolve().parents[2] / "scripts/check-commits"
LONG = "x" * 73


def git(repository: Path, *arguments: str) -> None:
    names = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", repository, *names, *arguments], check=True, stdin=subprocess.DEVNULL)


def commit(repository: Path, subject: str) -> None:
    git(repository, "commit", "--quiet", "--allow-empty", "-m", subject)


def check(repository: Path) -> Tuple[int, str]:
    result = subprocess.run([CHECK, repository], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    expect(result.stderr, "")
    return result.returncode, result.stdout


def test_only_what_is_not_on_main(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "-b", "main")
    commit(tmp_path, LONG)
    expect(check(tmp_path), (0, ""))
    git(tmp_path, "checkout", "--quiet", "-b", "work")
    commit(tmp_path, "ü" * 72)
    expect(check(tmp_path), (0, ""))
    commit(tmp_path, LONG)
    code, told = check(tmp_path)
    assert (code, told.count("\n")) == (1, 1) and f"73 characters, more than 72: {LONG}" in told, told


def test_a_clone_on_main_is_compared_with_its_origin(tmp_path: Path) -> None:
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git(origin, "init", "--quiet", "-b", "main")
    commit(origin, "first")
    git(tmp_path, "clone", "--quiet", f"file://{origin}", str(clone))
    commit(clone, LONG)
    expect(check(clone)[0], 1)


def test_a_shallow_clone_of_a_branch_passes(tmp_path: Path) -> None:
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git(origin, "init", "--quiet", "-b", "main")
    git(origin, "checkout", "--quiet", "-b", "work")
    commit(origin, "first")
    commit(origin, LONG)
    git(tmp_path, "clone", "--quiet", "--depth=1", "--branch=work", f"file://{origin}", str(clone))
    expect(check(clone), (0, ""))


def test_a_tree_without_git_passes(tmp_path: Path) -> None:
    expect(check(tmp_path), (0, ""))
