# SPDX-License-Identifier: Apache-2.0
"""Hazard: what is patched into a Go program runs on Go's threads, stacks and registers. A naive one calls libc there: on a thread
that is not libc's errno and the stack protector's word are somebody else's memory, its string functions use registers that Go
counts on, and a lock of its may be taken for ever. scripts/check-structure reads every instruction that can be reached."""
import runpy
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest

from tests.harness import Build, expect

pytestmark = pytest.mark.unsanitized("a sanitizer's code is everywhere, and no Go program is patched then")

RULES: Dict[str, Any] = runpy.run_path(str(Path(__file__).resolve().parents[2] / "scripts" / "check-structure"))
check_go_room: Callable[[Path, Path], Iterator[str]] = RULES["check_go_room"]


def test_nothing_of_libcs_is_reached(build: Build) -> None:
    found: List[str] = list(check_go_room(build.directory / "obj" / "static", build.shim))
    expect(((build.directory / "obj" / "static" / "shim" / "go_choose.o").exists(), found), (True, []))
