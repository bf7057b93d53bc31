# SPDX-License-Identifier: Apache-2.0
"""docs/hazards.md is complete and true: each hazard's test file is in it, each naive build, and nothing that does not exist."""
import re
from pathlib import Path
from typing import Dict, List

import pytest

from tests.harness import expect

ROOT = Path(__file__).resolve().parent.parent.parent
NAIVE = ROOT / "tests/hazards/naive"


def rows() -> List[List[str]]:
    """The cells of all tables, without their heads: hazard, defence, tests, how the tests were seen to fail."""
    lines = (ROOT / "docs/hazards.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in cells if row[0] != "hazard" and not set(row[0]) <= set("-: ")]


def files_in(cell: str) -> List[str]:
    return re.findall(r"`(tests/[\w/]+\.(?:py|c))`", cell)


def builds_in(cell: str) -> List[str]:
    return re.findall(r"`([a-z]+(?:-[a-z]+)+)`", cell)


def naive_builds() -> Dict[str, str]:
    """The patches, each with the file of the test that refuses it ("link": the linker does)."""
    tests = {}
    for patch in NAIVE.glob("*.patch"):
        match = re.search(r"^Test: ([^:\n]+)", patch.read_text(encoding="utf-8"), re.MULTILINE)
        assert match, patch
        tests[patch.stem] = match.group(1)
    return tests


def test_every_row_is_whole() -> None:
    assert len(rows()) > 30
    expect([row for row in rows() if len(row) != 4 or not all(row)], [])
    expect([row[0] for row in rows() if not files_in(row[2]) and "link" not in row[2]], [])


def test_every_test_of_a_hazard_is_in_it() -> None:
    named = {name for row in rows() for name in files_in(row[2])}
    there = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/hazards/test_*.py")}
    assert len(there) > 20
    expect((sorted(there - named), sorted(name for name in named if not (ROOT / name).is_file())), ([], []))


def test_every_naive_build_is_in_the_row_of_its_test() -> None:
    builds = naive_builds()
    assert len(builds) >= 10
    named = {name for row in rows() for name in builds_in(row[3])}
    expect((sorted(set(builds) - named), sorted(named - set(builds))), ([], []))
    for name, test in builds.items():
        places = [row[2] for row in rows() if name in builds_in(row[3])]
        assert any(test in files_in(place) or test in place for place in places), f"{name}: {test} is not beside it"


@pytest.mark.parametrize("name", sorted(naive_builds()))
def test_a_naive_build_names_a_test_that_exists(name: str) -> None:
    patch = (NAIVE / f"{name}.patch").read_text(encoding="utf-8")
    match = re.search(r"^Test: (?:link|(tests/[\w/]+\.py)(?:::(\w+)(?:\[[^\n]*\])?)?)$", patch, re.MULTILINE)
    assert match, patch
    if match.group(1):
        text = (ROOT / match.group(1)).read_text(encoding="utf-8")
        assert not match.group(2) or f"def {match.group(2)}(" in text, match.group()
