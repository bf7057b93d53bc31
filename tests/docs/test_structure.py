# SPDX-License-Identifier: Apache-2.0
"""scripts/check-structure finds what it is there to find: each rule is broken in a copy of the tree."""
import os
import shutil
import subprocess
from pathlib import Path
from typing import List

import pytest

from tests.harness import Build, expect

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(build: Build, tmp_path: Path) -> Path:
    """What the rules are about, without objects but the command's: a test compiles the one that it has changed."""
    for folder in ("lib", "shim", "cli"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/check-structure", tmp_path / "scripts")
    copy = tmp_path / build.directory.name
    copy.mkdir()
    for name in ("libk8slb.so", "k8slb"):
        (copy / name).symlink_to(build.directory / name)
    (copy / "obj").mkdir()
    (copy / "obj/command").symlink_to(build.directory / "obj/command")
    return tmp_path


def build_of(tree: Path) -> Path:
    return next(tree.glob("build*"))


def append(tree: Path, name: str, text: str) -> None:
    with open(tree / name, "a", encoding="utf-8") as file:
        file.write(text)


def compile_object(tree: Path, name: str) -> None:
    target = build_of(tree) / "obj/static" / name.replace(".c", ".o")
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [os.environ.get("CC", "cc"), "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-fPIC", "-Ilib", "-c", name, "-o", str(target)]
    result = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    expect(result.returncode, 0, " ".join(command), result.stderr)


def violations(tree: Path) -> List[str]:
    result = subprocess.run([tree / "scripts/check-structure", build_of(tree)], capture_output=True, text=True)
    expect(result.returncode, 1 if result.stdout else 0, result.stdout, result.stderr)
    return result.stdout.splitlines()


@pytest.mark.parametrize(
    "name, code, found",
    [
        ("lib/table/reader.c", "void *trap(void) { return malloc(1); }", ["malloc, which allocates"]),
        ("lib/pick/health.c", "int trap(pthread_mutex_t *lock) { return pthread_mutex_lock(lock); }", ["pthread_mutex_lock, which locks"]),
        ("shim/peer_cache.c", "int trap(void) { return putc('a', stderr); }", ["putc, which uses a stream", "stderr, which uses a stream"]),
        # An exception is one name of one file.
        ("shim/view.c", "char *trap(const char *text) { return strdup(text); }", ["strdup, which allocates"]),
        # Formats into memory of the caller.
        ("lib/table/reader.c", 'int trap(char *text, int n) { return snprintf(text, 8, "%d", n); }', []),
    ],
)
def test_no_hook_allocates_locks_or_uses_a_stream(tree: Path, name: str, code: str, found: List[str]) -> None:
    append(tree, name, f"\n#include <pthread.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n{code}\n")
    compile_object(tree, name)

    expect(violations(tree), [f"{name}: imports {what}: not in what hooks call" for what in found])


def test_the_exceptions_are_used(tree: Path) -> None:
    compile_object(tree, "shim/getaddrinfo.c")
    expect(violations(tree), [])

    (tree / "shim/getaddrinfo.c").write_text("int nothing;\n")
    compile_object(tree, "shim/getaddrinfo.c")
    expect(
        violations(tree),
        [f"scripts/check-structure: shim/getaddrinfo.c imports no {name}: the exception goes" for name in ("strdup", "free")],
    )


@pytest.mark.parametrize(
    "name, header, may",
    [
        ("shim/view.c", "publish/writer.h", "base, config, pick, table"),
        ("lib/table/reader.c", "select/select.h", "base"),
    ],
)
def test_no_room_includes_what_it_may_not(tree: Path, name: str, header: str, may: str) -> None:
    folder = name.rpartition("/")[0]
    line = len((tree / name).read_text().splitlines()) + 1

    append(tree, name, f'#include "{header}"\n')

    expect(violations(tree), [f'{name}:{line}: {folder} must not include "{header}" (it may include: {may})'])


def test_a_command_without_its_hardening(tree: Path) -> None:
    """Of objects that were compiled as another command's would be."""
    (build_of(tree) / "obj/command").unlink()
    wanted = [f"command/{folder}: imports no {name}: not hardened" for folder in ("lib", "cli") for name in ("__stack_chk_fail", "__snprintf_chk")]
    expect(violations(tree), wanted)
