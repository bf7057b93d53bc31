# SPDX-License-Identifier: Apache-2.0
"""Go programs of the tests, built as people build them, and one run of tests/programs/godial under the shim."""
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from tests.harness import Environment, Result, ShimProcess, counts, expect
from tests.programs.common import Backend, World

GODIAL = Path(__file__).with_name("godial")
GOCLIENTS = Path(__file__).with_name("goclients")
PATCHED = r"this Go program's connections are balanced \(\d+ us\)"
REFUSED = "this Go program's connections are not balanced: "
HAS_TABLE = r"writes the table|the table that was left|the agent at .* keeps the table|table \d+: "
# Each is one of Go's minor versions; scripts/setup brings those that this machine has not got.
TWICE, ABSENT = "the function that makes its system calls is there twice", "the function that makes its system calls is not known"
UNREADABLE, NO_MEMORY = "its text may not be read", "memory that may be executed is not to be had"
NO_ROOM, CHANGED = "memory for it is not to be had", "its text is not the file's"
VERSIONS = ("1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.27.3")

# name -> (options of go build, its environment)
BUILDS: Dict[str, Tuple[Sequence[str], Mapping[str, str]]] = {
    "cgo": ([], {"CGO_ENABLED": "1"}),
    "cgo pie": (["-buildmode=pie"], {"CGO_ENABLED": "1"}),
    "pie": (["-buildmode=pie"], {"CGO_ENABLED": "0"}),
    "stripped": (["-ldflags=-s -w", "-trimpath"], {"CGO_ENABLED": "1"}),
    "race": (["-race"], {"CGO_ENABLED": "1"}),
    "static": ([], {"CGO_ENABLED": "0"}),
    "no id": (["-ldflags=-buildid="], {"CGO_ENABLED": "1"}),
    "twice": (["-tags=twice"], {"CGO_ENABLED": "1"}),
    "musl": ([], {"CGO_ENABLED": "1", "CC": "musl-gcc"}),
    "arm64": ([], {"CGO_ENABLED": "1", "GOARCH": "arm64", "CC": "aarch64-linux-gnu-gcc"}),
    "plugged": (["-tags=plugged"], {"CGO_ENABLED": "1"}),
    "plugin": (["-buildmode=plugin"], {"CGO_ENABLED": "1"}),
}


def cache() -> Path:
    return Path(os.environ.get("CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "k8slb")


def find_go(version: str = "") -> str:
    """The go command: the machine's own or that beside the tests' Python; with a version the one that scripts/setup made."""
    if version:
        return str(cache() / f"go-{version}" / "go" / "bin" / "go")
    return shutil.which("go", path=f"{os.environ['PATH']}:{Path(sys.executable).parent}") or "go"


def built(kind: str = "cgo", version: str = "", source: Path = GODIAL) -> Path:
    """One of BUILDS, made once and kept in the cache under a name that says what it was made from."""
    options, settings = BUILDS[kind]
    folder = source / "plug" if kind == "plugin" else source
    go = find_go(version)
    own = {"GOFLAGS": "", "GOTOOLCHAIN": "local", "GOWORK": "off", **({"GOROOT": str(Path(go).parents[1])} if version else {})}
    env = {**os.environ, **own, **settings}
    known = hashlib.sha256(subprocess.run([go, "version"], env=env, check=True, stdout=subprocess.PIPE).stdout)
    for file in sorted([*source.rglob("*.go"), *source.glob("go.*")]):
        known.update(file.read_bytes())
    target = cache() / f"{source.name}-{known.hexdigest()[:12]}" / kind.replace(" ", "-")
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            new = target.with_suffix(".new")
            words = [go, "build", "-buildvcs=false", *options, "-o", str(new), "."]
            made = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)
            expect(made.returncode, 0, made.args, made.stdout, made.stderr)
            new.rename(target)
    return target


def pods_of_go(world: World, program: Path, name: str = "web") -> Backend:
    """A Service whose pods are fast."""
    return world.serve(name, 8080, lambda pod, _directory: [program, "serve", f"{pod.ip}:{pod.port}", pod.name])


class GoRun:
    """godial under the shim, which waits until the test says that it may begin."""

    def __init__(self, world: World, command: Sequence[Any], env: Optional[Environment] = None, preload: bool = True) -> None:
        self._begin = world.new_directory("go") / "begin"
        self.process: ShimProcess = world.start(command, preload, env={"AFTER": str(self._begin), **(env or {})})

    def begin(self, *lines: str) -> "GoRun":
        """Once these lines are in the log."""
        for line in lines:
            self.process.wait_log(line)
        self._begin.touch()
        return self

    def told(self, timeout: float = 600) -> "Tuple[Dict[str, Any], Result]":
        """Its report."""
        result = self.process.wait(timeout)
        # What the runtime says of a faster profile than usual.
        said = result.stderr.replace("runtime: cannot set cpu profile rate until previous profile has finished.\n", "")
        expect((result.returncode, said), (0, ""), result)
        return json.loads(result.stdout), result


def balanced(world: World, program: Path, backend: Backend, count: int, goroutines: int = 1, mode: str = "dial", *more: str,
             env: Optional[Environment] = None) -> Dict[str, Any]:
    """So many connections of a patched program: all to the pods, in equal shares, and none failed."""
    command = [program, mode, f"{backend.vip}:{backend.port}", count, goroutines, *more]
    with world.counting({backend: count}, caught=True):
        told, result = GoRun(world, command, env).begin(PATCHED, HAS_TABLE).told()
    expect(told["Failures"], {}, result)
    shares = Counter(told["Answers"])
    expect(sum(shares.values()), count, result)
    assert max(shares.values()) - min(shares.values()) <= 1 and len(shares) == len(backend.pods), result
    return told


def main(what: str) -> None:
    """All that tests need, for scripts/setup: what is not in Go's cache takes minutes, and goclients a network."""
    if what == "libcs":
        for kind in ("pie", "musl", "arm64"):
            built(kind)
        return
    for kind in BUILDS:
        if kind not in ("musl", "arm64"):
            built(kind)
    if counts(0, 1):
        built(source=GOCLIENTS)
        for version in VERSIONS:
            for kind in ("cgo", "pie", "plugged", "plugin"):
                built(kind, version)


if __name__ == "__main__":
    main(sys.argv[1])
