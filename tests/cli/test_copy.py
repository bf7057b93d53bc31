# SPDX-License-Identifier: Apache-2.0
"""k8slb copy: what an init container of the image does."""
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import List

import pytest

from tests.cli.common import run_cli
from tests.harness import Build, expect

FILES = ["k8slb", "libk8slb.so"]


def image(build: Build, directory: Path) -> Path:
    """The command in a folder as in the image; without rights that anybody needs, but to run."""
    root = directory / "image"
    root.mkdir()
    for name in FILES:
        shutil.copy(build.directory / name, root / name)
        (root / name).chmod(0o555)
    return root / "k8slb"


def copy(command: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    # The umask of a strict image.
    return subprocess.run(["sh", "-c", 'umask 077; exec "$@"', "sh", command, "copy", *map(str, arguments)], capture_output=True, text=True, env={})


def found(directory: Path) -> List[str]:
    return sorted(path.name for path in directory.iterdir())


def expect_copied(build: Build, directory: Path) -> None:
    expect(found(directory), FILES)
    for name in FILES:
        assert (directory / name).read_bytes() == (build.directory / name).read_bytes(), name
        expect(oct(stat.S_IMODE((directory / name).stat().st_mode)), oct(0o755))


def test_both_files_for_everybody(build: Build, tmp_path: Path) -> None:
    command, target = image(build, tmp_path), tmp_path / "volume"
    for _time in range(2):  # the second time over those that are there
        result = copy(command, target)
        expect((result.returncode, result.stdout, result.stderr), (0, "", ""))
        expect_copied(build, target)


def test_from_elsewhere(build: Build, tmp_path: Path) -> None:
    result = run_cli(build, "copy", "--from", build.directory, tmp_path / "volume")
    expect((result.returncode, result.stdout, result.stderr), (0, "", ""))
    expect_copied(build, tmp_path / "volume")


def test_who_has_the_old_file_keeps_it(build: Build, tmp_path: Path) -> None:
    """A program that has it mapped would end by SIGBUS if it were written over."""
    command, target = image(build, tmp_path), tmp_path / "volume"
    target.mkdir()
    library = target / "libk8slb.so"
    library.write_text("old")
    # What a run that was killed left, and what somebody else may have put there.
    (target / ".k8slb.new").symlink_to(tmp_path / "victim")
    with open(library) as held:
        expect(copy(command, target).returncode, 0)
        expect((held.read(), os.fstat(held.fileno()).st_nlink), ("old", 0))
    expect_copied(build, target)
    expect((tmp_path / "victim").exists(), False)


@pytest.mark.parametrize("what", ["no such directory", "a file", "no library", "full"])
def test_what_cannot_be_copied(build: Build, tmp_path: Path, what: str) -> None:
    command, target = image(build, tmp_path), tmp_path / "volume"
    said = ""
    if what == "no such directory":
        target = tmp_path / "absent" / "volume"
        said = f"{target}: No such file or directory; mount a volume there that this user may write to"
    elif what == "a file":
        target.write_text("")
        said = f"{target}: Not a directory; mount a volume there that this user may write to"
    elif what == "no library":
        (command.parent / "libk8slb.so").unlink()
        said = f"libk8slb.so to {target}: No such file or directory; name by --from where libk8slb.so and k8slb are"
    else:
        target.mkdir()
        if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
            pytest.skip("no mount namespace here")
        script = 'mount -t tmpfs -o size=64k tmpfs "$1" && "$0" copy "$1"; status=$?; ls -A "$1"; exit $status'
        result = subprocess.run(["unshare", "-m", "sh", "-c", script, command, target], capture_output=True, text=True)
        said = f"libk8slb.so to {target}: No space left on device; the volume must have 12 MiB, and let this user write"
        expect((result.returncode, result.stdout, result.stderr), (1, "", f"k8slb copy: {said}\n"))
        return
    result = copy(command, target)
    expect((result.returncode, result.stdout, result.stderr), (1, "", f"k8slb copy: {said}\n"))


def test_a_wrong_command_line(build: Build) -> None:
    wrong = {(): "a directory is missing; name the one to copy into", ("a", "b"): 'unexpected argument "b"; k8slb copy --help tells the options'}
    for arguments, said in wrong.items():
        result = run_cli(build, "copy", *arguments)
        expect((result.returncode, result.stdout, result.stderr), (2, "", f"k8slb copy: {said}\n"))
    result = run_cli(build, "copy", "--help")
    expect((result.returncode, result.stderr, "Copy libk8slb.so" in result.stdout), (0, "", True))
