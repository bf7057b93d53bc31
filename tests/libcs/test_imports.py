# SPDX-License-Identifier: Apache-2.0
"""The list of what libk8slb.so may import: true on every libc, and closed by the linker.

A naive build takes each symbol in the newest version of the build machine's libc: then no program of an older system
starts any more.
"""
import os
import re
import subprocess
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Set, Tuple

import pytest

from tests.harness import Build, expect
from tests.libcs import places

ROOT = Path(__file__).resolve().parents[2]
# Weak and of no library: programs under ThreadSanitizer define it, and in others it is 0 (lib/engine/thread_setup.c).
ASKED_FOR = "__tsan_init"
LIBRARIES = ("libc.so.6", "libpthread.so.0", "libdl.so.2")


class Import(NamedTuple):
    name: str
    version: str
    library: str


def allowed() -> List[Import]:
    lines = (ROOT / "shim/imports/symbols").read_text().splitlines()
    return [Import(*line.split()[:3]) for line in lines if line and not line.startswith("#")]


def output(*command: object) -> str:
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def exported(library: Path) -> Iterator[Tuple[str, str]]:
    """(name, version) of what a library defines; no version where it has none."""
    for line in output("readelf", "--dyn-syms", "-W", library).splitlines():
        match = re.match(r" *\d+: .* (?:GLOBAL|WEAK) +\w+ +(?!UND)\w+ (\w+)(?:@@?([\w.]+))?$", line)
        if match:
            yield match[1], match[2] or ""


def test_it_has_each_symbol_once() -> None:
    names = [one.name for one in allowed()]
    expect(names, sorted(set(names)))


def test_it_asks_nothing_newer_than_glibc_2_17() -> None:
    newer = [one for one in allowed() if [int(part) for part in one.version[len("GLIBC_"):].split(".")] > [2, 17]]
    expect(newer, [])


def test_glibc_has_them_there() -> None:
    """bullseye's is the oldest glibc here and one of those whose threads are a library of their own."""
    folder = places.made("bullseye") / "lib/x86_64-linux-gnu"
    there = {Import(name, version, library) for library in LIBRARIES for name, version in exported(folder / library)}
    expect(sorted(set(allowed()) - there), [])


def test_glibc_on_arm64_has_them_in_its_first_version() -> None:
    folder = places.ARM64_LIBC / "lib"
    there = {symbol for library in LIBRARIES for symbol in exported(folder / library)}
    expect(sorted({(one.name, "GLIBC_2.17") for one in allowed()} - there), [])


def test_musl_has_them() -> None:
    [musl] = Path("/usr/lib").glob("*-linux-musl/libc.so")
    there = {name for name, _version in exported(musl)}
    expect(sorted({one.name for one in allowed()} - there), [])


@pytest.mark.parametrize("machine", ["x86_64", "arm64"])
def test_the_shim_imports_nothing_else(build: Build, machine: str) -> None:
    shim = build.shim if machine == "x86_64" else places.cross_build(build) / "libk8slb.so"
    versions = {one.name: one.version if machine == "x86_64" else "GLIBC_2.17" for one in allowed()}
    found: Dict[str, str] = {}
    for line in output("readelf", "--dyn-syms", "-W", shim).splitlines():
        match = re.search(r" (GLOBAL|WEAK) .* UND (\w+)(?:@([\w.]+))?", line)
        if match and match.groups() != ("WEAK", ASKED_FOR, None):
            found[match[2]] = match[3] or "no version"
    assert "connect" not in found and len(found) > 50, found
    expect({name: version for name, version in found.items() if versions.get(name) != version}, {})


WANTED = {
    "newer than 2.17": "arc4random",
    "not in any old glibc": "strlcpy",
    "in 2.17 but not in the list": "pthread_join",
    "fortified": "__printf_chk",
    "a stream": "stderr",
    "thread-local storage of the general model": "__tls_get_addr",
}


def linked(build: Build, directory: Path, name: str) -> "subprocess.CompletedProcess[str]":
    """The shim of this build with one more object, by the Makefile's own rule, somewhere else."""
    source, shim = directory / "more.c", directory / "libk8slb.so"
    # A constructor: the linker drops what nobody calls before it looks what that calls.
    constructor = "__attribute__((constructor)) static void more(void)"
    source.write_text(f"extern char {name}[];\nstatic void *volatile kept;\n{constructor} {{ kept = {name}; }}\n")
    subprocess.run(["cc", "-c", "-w", "-fPIC", "-o", str(source.with_suffix(".o")), str(source)], check=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", f"BUILD={build.directory}", f"SHIM={shim}", f"LDFLAGS={source.with_suffix('.o')}", str(shim)],
        cwd=ROOT, env={**environment, "MAKELEVEL": "1"}, capture_output=True, text=True,
    )


# The last two are what newer headers than those of the oldest build machine make of strtol() and sscanf().
@pytest.mark.parametrize("name", ["getpid", "__isoc23_strtol", "__isoc23_sscanf"])
def test_a_listed_symbol_links(build: Build, tmp_path: Path, name: str) -> None:
    result = linked(build, tmp_path, name)
    expect(result.returncode, 0, result.stdout, result.stderr)


@pytest.mark.parametrize("why", WANTED)
def test_any_other_symbol_fails_the_link(build: Build, tmp_path: Path, why: str) -> None:
    result = linked(build, tmp_path, WANTED[why])

    assert result.returncode != 0, f"{WANTED[why]} linked\n{result.stdout}"
    undefined: Set[str] = set(re.findall(r"undefined reference to `(\w+)'", result.stderr))
    expect(undefined, {WANTED[why]}, result.stdout, result.stderr)
