# SPDX-License-Identifier: Apache-2.0
"""What the tests about a program's resources share: who else to be, what to ask, and what must have answered."""
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Iterator, List, Sequence, Set

import pytest

from tests.harness import Build, Result, expect
from tests.kube.cluster import Pod

NOBODY = 65534

# ask(n): n connections to the address of the first two arguments, one line for each: who answered, or the error.
ASK = """
import ctypes, errno, json, os, resource, signal, socket, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
ADDRESS = (sys.argv[1], int(sys.argv[2]))
def ask_once():
    try:
        with socket.socket() as s:
            for bound in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):  # as settimeout(), but blocking
                s.setsockopt(socket.SOL_SOCKET, bound, struct.pack("@ll", 5, 0))
            s.connect(ADDRESS)
            s.sendall(b"WHO\\n")
            return s.recv(100).decode().strip()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
def ask(count):
    for _ in range(count):
        os.write(1, (ask_once() + "\\n").encode())
def threads():
    return sorted(int(task) for task in os.listdir("/proc/self/task"))
"""


def as_user(uid: int) -> List[str]:
    """The words before a command line that run it as somebody, without any privilege."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]


def as_nobody(command: Sequence[Any]) -> List[Any]:
    return [*as_user(NOBODY), *command]


def needs_root() -> None:
    """Becoming somebody else takes an identity to change to, which the owner of a user namespace alone has not."""
    with open("/proc/self/uid_map") as ids:
        if os.geteuid() != 0 or all(int(line.split()[2]) <= NOBODY for line in ids):
            pytest.skip("needs root, not the owner of a user namespace")


def public_directory() -> Iterator[Path]:
    """A directory that everybody may enter, unlike those of pytest."""
    needs_root()
    directory = Path(tempfile.mkdtemp(prefix="k8slb-hazards-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def public_build(build: Build, directory: Path) -> Build:
    """The library and the programs where everybody may read them."""
    shutil.copy(build.shim, directory)
    shutil.copytree(build.programs, directory / "tests" / "programs")
    for path in directory.rglob("*"):
        path.chmod(0o755)
    return Build(directory)


def public_credentials(env: "dict[str, str]", directory: Path) -> "dict[str, str]":
    """The same settings with credentials that everybody may read."""
    result = dict(env)
    for name in ("K8SLB_TOKEN_FILE", "K8SLB_CA_FILE"):
        copy = directory / name
        shutil.copy(env[name], copy)
        copy.chmod(0o644)
        result[name] = str(copy)
    return result


def names(pods: Sequence[Pod]) -> Set[str]:
    return {pod.name for pod in pods}


def expect_balanced(answers: Sequence[str], pods: Sequence[Pod], *logs: Any) -> None:
    """Each pod answered, and nobody else did."""
    expect(set(answers), names(pods), *logs)


def expect_same(shimmed: Result, bare: Result) -> None:
    """Exit status and standard error are those of the bare run."""
    expect((shimmed.returncode, shimmed.stderr), (bare.returncode, bare.stderr), shimmed, bare)
