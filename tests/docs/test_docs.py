# SPDX-License-Identifier: Apache-2.0
"""The documents say what the code does: settings, commands, paths, manual pages."""
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import List, Set

import pytest

from tests.harness import expect

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS_DOCUMENTS = ["README.md", "docs/settings.md", "docs/man/k8slb.7"]
# Names of the C library, the title of its manual page and the counts of tests and measurements begin as the settings do.
NO_SETTINGS = {"K8SLB_IN_CLUSTER", "K8SLB_ERROR_SIZE", "K8SLB_ENDPOINTS", "K8SLB_TEST_COUNTS"}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def documents() -> List[str]:
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/man/*.[1-9]"), *ROOT.glob("deploy/*")]
    return sorted(path.relative_to(ROOT).as_posix() for path in files)


def real_settings() -> Set[str]:
    return set(re.findall(r'^\t\{"(K8SLB_\w+)"', text("lib/config/settings.c"), re.MULTILINE))


def named_settings(name: str) -> Set[str]:
    return {word for word in re.findall(r"K8SLB_[A-Z_]*[A-Z]", text(name)) if not word.startswith("K8SLB_DISCOVERY_")} - NO_SETTINGS


@pytest.mark.parametrize("name", SETTINGS_DOCUMENTS)
def test_every_setting_is_documented(name: str) -> None:
    assert len(real_settings()) > 10
    expect(sorted(real_settings() - named_settings(name)), [])


@pytest.mark.parametrize("name", documents())
def test_no_other_setting_is_documented(name: str) -> None:
    expect(sorted(named_settings(name) - real_settings()), [])


def test_the_messages_are_those_of_the_tests() -> None:
    """Each message that docs/settings.md shows is one that the unit tests provoke, but for the value in it."""
    known = re.sub(r'"\s*"', "", text("tests/unit/test_config.c").replace('\\"', "'"))
    shown = re.findall(r"`(K8SLB_\w+=\"[^`]*?\": expected [^`]*)`", text("docs/settings.md"))
    assert len(shown) > 10
    for message in shown:
        variable, expected = re.match(r'(K8SLB_\w+)=.*: (expected .*)', message).groups()  # type: ignore[union-attr]
        expected = expected.replace('"', "'")
        assert re.search(rf"{variable}='[^']*': {re.escape(expected)}", known), f"no unit test shows: {message}"


def section(content: str, name: str, begins: str) -> str:
    """What stands below the heading of a setting, up to the next one."""
    match = re.search(rf"^{begins}[^\n]*\b{name}\b.*?(?=^{begins}|\Z)", content, re.MULTILINE | re.DOTALL)
    assert match, name
    return " ".join(match[0].split())


def test_ranges_and_defaults_of_numbers() -> None:
    code = text("lib/config/config.c")
    numbers = re.findall(r'parse_number\(parser, "(\w+)", (\d+), (\d+), \w+, &config->(\w+)\)', code)
    assert len(numbers) == 6, numbers
    for name, least, most, field in numbers:
        default = re.search(rf"\.{field} = (\d+)", code)
        assert default, field
        for document, begins in (("docs/settings.md", "### "), ("docs/man/k8slb.7", r"\.It Ev ")):
            told = section(text(document), name, begins)
            assert f"{least} to {most}" in told, (document, name, told)
            assert re.search(rf"[Dd]efault:? {default[1]}\b", told), (document, name, told)
        assert re.search(rf"^\| `{name}` .*\| {default[1]} \|$", text("README.md"), re.MULTILINE), name


def test_what_a_left_table_waits_for() -> None:
    design = text("docs/design.md")
    for name, told in (("FRESH_S", "at most {} s ago (`FRESH_S`"), ("LEFT_WAIT_MS", "within {} ms (`LEFT_WAIT_MS`)")):
        value = re.search(rf"#define {name}\s+(\d+)$", text("lib/engine/role.c"), re.MULTILINE)
        assert value and told.format(value[1]) in design, name


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_make_targets_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", text("Makefile"), re.MULTILINE))
    used = set(re.findall(r"(?:^|`|sudo )make ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)*)", text(name), re.MULTILINE))
    words = {word for line in used for word in line.split()}
    assert words, name
    expect(sorted(words - targets - {"build"}), [])


def test_a_path_for_make_pytest_is_all_that_it_runs() -> None:
    """As README.md and CONTRIBUTING.md call it."""
    path = "tests/failover/test_blocking.py"
    assert f"make pytest PYTEST_ARGS='{path} -s'" in text("README.md")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    result = subprocess.run(
        ["make", "-n", "pytest", f"PYTEST_ARGS={path} -s"], cwd=ROOT, env=clean, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    run = re.search(r"-m pytest (.*(?:\\\n.*)*)", result.stdout)
    assert run, result
    expect([word for word in run[1].replace("\\\n", " ").split() if not word.startswith("-")], [path], result.stdout)


@pytest.mark.parametrize("name", documents())
def test_paths_exist(name: str) -> None:
    """Links, and file names in code marks."""
    content = text(name)
    links = re.findall(r"\]\(([^)#:]+)\)", content)
    missing = [link for link in links if not (ROOT / name).parent.joinpath(link).exists()]
    marked = re.findall(r"`((?:shim|lib|tests|scripts|docs|deploy|examples|third_party)/[\w./-]+)`", content)
    missing += [path for path in marked if not (ROOT / path).exists() and "CALL" not in path]
    expect(missing, [])


@pytest.mark.parametrize("page", sorted(path.name for path in ROOT.glob("docs/man/*.[1-9]")))
def test_manual_pages_are_clean(page: str) -> None:
    if not shutil.which("mandoc"):
        pytest.skip("no mandoc here")
    result = subprocess.run(
        ["mandoc", "-Tlint", "-Wwarning", f"docs/man/{page}"], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    expect((result.returncode, result.stdout, result.stderr), (0, "", ""))


def test_the_manual_names_every_function() -> None:
    public = set(re.findall(r"\b(k8slb_\w+)\(struct|\b(k8slb_\w+)\(const|\b(k8slb_version)\(", text("lib/k8slb.h")))
    names = {name for match in public for name in match if name}
    page = text("docs/man/k8slb_endpoints.3")
    assert len(names) > 6
    expect(sorted(name for name in names if not re.search(rf"\.F[no] {name}\b", page)), [])
