# SPDX-License-Identifier: Apache-2.0
"""The C libraries that programs run on here, and how: in a root filesystem, by musl's loader, or for arm64 by qemu."""
import os
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from tests.harness import Build, Result, ShimRunner

HERE = Path(__file__).resolve().parent
ARM64 = "aarch64-linux-gnu"
QEMU = "qemu-aarch64-static"
ARM64_LIBC = Path("/usr") / ARM64  # where Debian's cross compiler has its libc, laid out as qemu's -L wants it
GUEST_PY = HERE / "programs" / "guest.py"
# qemu-user translates the cryptography of the first sync, too.
PATIENCE = {"K8SLB_SYNC_TIMEOUT": "20000"}


def made(what: str) -> Path:
    """What tests/libcs/make-root makes. scripts/setup has made it: inside of a namespace there is no network to do so."""
    return Path(subprocess.run([HERE / "make-root", what], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def cross_build(build: Build) -> Path:
    """What `make CROSS=aarch64-linux-gnu` made beside this build."""
    return build.directory.with_name(f"{build.directory.name}-{ARM64}")


@dataclass(frozen=True)
class Place:
    """A libc and a way to run programs on it: in the network, with the files, of the test."""

    name: str
    shim: Path
    cli: Path
    programs: Optional[Path]  # programs of tests/preload and tests/libcs built for it
    before: Tuple[str, ...] = ()  # what stands in front of every command
    within: str = ""  # where the test's files are, seen from there

    def run(
        self, runner: ShimRunner, command: Sequence[Any], env: Mapping[str, str], preload: bool = True, timeout: float = 60,
        under: Sequence[Any] = (),
    ) -> Result:
        """Run a command there; paths of the test in it go through file(). under: the words of one of this system that starts it."""
        log = Path(tempfile.mkstemp(prefix="k8slb-libcs-", suffix=".log")[1])
        settings = {name: self._setting(name, value) for name, value in env.items()}
        settings["K8SLB_LOG"] = f"debug:{self.file(log)}"
        if preload:
            settings["LD_PRELOAD"] = self.file(self.shim)
        try:
            result = runner([*under, *self._command(command, settings)], preload=False, timeout=timeout)
            return replace(result, log=log.read_text(errors="replace"))
        finally:
            log.unlink()

    def _command(self, command: Sequence[Any], settings: Mapping[str, str]) -> List[str]:
        words = [f"{name}={value}" for name, value in settings.items()]
        if QEMU in self.before:
            return [*self.before, *(word for setting in words for word in ("-E", setting)), *map(str, command)]
        return [*self.before, "env", *words, *map(str, command)]

    def _setting(self, name: str, value: str) -> str:
        return self.file(value) if name.endswith("_FILE") else value

    def file(self, path: object) -> str:
        """A file of the test, as programs there name it."""
        return f"{self.within}{path}"

    def guest(self, host: str, port: int, count: int) -> List[str]:
        """The command line of guest.c, or of guest.py where a C program of the build machine cannot run."""
        # Python 3.12 warns of a fork() in a process with threads, and counts the shim's.
        python = ["/usr/bin/python3", "-W", "ignore::DeprecationWarning", self.file(GUEST_PY)]
        program = [str(self.programs / "guest")] if self.programs else python
        return [*program, host, str(port), str(count)]


def root_place(build: Build, release: str) -> Place:
    root = made(release)
    _bind_into(root, [build.directory, HERE, Path(tempfile.gettempdir())])
    return Place(release, build.shim, build.cli, None, ("chroot", str(root)), "/mnt")


def musl_place(build: Build) -> Place:
    return Place("musl", build.shim, build.cli, build.directory / "tests" / "musl")


def arm64_place(build: Build) -> Place:
    """qemu-user remembers for all threads alike which descriptor is an eventfd, but the shim's thread has a descriptor table
    of its own: so the program's first numbers are taken."""
    cross = cross_build(build)
    low_numbers = ("sh", "-c", 'exec 3<&0 4<&0 5<&0 6<&0 7<&0 8<&0 9<&0; exec "$@"', "sh")
    before = (*low_numbers, QEMU, "-L", str(ARM64_LIBC))
    return Place("arm64", cross / "libk8slb.so", cross / "k8slb", cross / "tests" / "libcs", before)


RELEASES = {"bullseye": "glibc 2.31", "bookworm": "glibc 2.36", "trixie": "glibc 2.41"}
NAMES = (*RELEASES, "musl", "arm64")


def place(build: Build, name: str) -> Place:
    if name in RELEASES:
        return root_place(build, name)
    return musl_place(build) if name == "musl" else arm64_place(build)


def _bind_into(root: Path, folders: Sequence[Path]) -> None:
    """The test's files below /mnt of the root, and /proc and /dev. All of it lives in the mount namespace of this run of
    the tests: the root itself stays as it is."""
    _mount("-t", "tmpfs", "tmpfs", str(root / "mnt"))
    for folder in folders:
        target = root / "mnt" / str(folder).lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        _mount("--bind", str(folder), str(target))
    for name in ("proc", "dev"):
        _mount("--rbind", f"/{name}", str(root / name))
    # A resolver that would ask the cluster, as a Pod's: a copy, for the test's own may be a file that was unlinked.
    descriptor, resolver = tempfile.mkstemp(prefix="k8slb-resolv-")
    with open(descriptor, "w") as file:
        file.write(Path("/etc/resolv.conf").read_text())
    Path(resolver).chmod(0o644)
    _mount("--bind", resolver, str(root / "etc/resolv.conf"))


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, env={"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
