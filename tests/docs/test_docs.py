# SPDX-License-Identifier: Apache-2.0
"""The documents say what the code does: settings, commands, paths, manual pages."""
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import List, Set

import pytest

from tests.cli.common import run_cli
from tests.harness import Build, expect

ROOT = Path(__file__).resolve().parent.parent.parent
# Names of the C library, the title of its manual page and the counts of tests and measurements begin as the settings do.
NO_SETTINGS = {"K8SLB_IN_CLUSTER", "K8SLB_ERROR_SIZE", "K8SLB_ENDPOINTS", "K8SLB_TEST_COUNTS"}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def documents() -> List[str]:
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/man/*.[1-9]"), *ROOT.glob("deploy/**/*")]
    return sorted(path.relative_to(ROOT).as_posix() for path in files if path.is_file())


def real_settings(build: Build) -> Set[str]:
    return set(re.findall(r"^K8SLB_\w+", run_cli(build, "settings").stdout, re.MULTILINE))


def named_settings(name: str) -> Set[str]:
    return {word for word in re.findall(r"K8SLB_[A-Z_]*[A-Z]", text(name)) if not word.startswith("K8SLB_DISCOVERY_")} - NO_SETTINGS


@pytest.mark.parametrize("name", documents())
def test_no_other_setting_is_documented(build: Build, name: str) -> None:
    assert len(real_settings(build)) > 10
    expect(sorted(named_settings(name) - real_settings(build)), [])


def shown_messages() -> List[str]:
    return re.findall(r"`(K8SLB_\w+(?:=\"[^`]*?\": expected| entry \"[^`]*?\":) [^`]*)`", text("docs/settings.md"))


@pytest.mark.parametrize("message", shown_messages())
def test_the_messages_are_as_shown(build: Build, message: str) -> None:
    match = re.match(r'(K8SLB_\w+)(?:=| entry )"(.*?)": ', message)
    assert match, message
    result = run_cli(build, "settings", "--check", env={match[1]: match[2]})
    expect((result.returncode, result.stdout, result.stderr), (1, "", f"k8slb settings: {message}\n"))


def test_there_are_messages() -> None:
    assert len(shown_messages()) > 15, shown_messages()


# A document, what it says, and what it says no longer: each kind of thing that can be wrong.
WRONG_DOCUMENTS = [
    ("docs/settings.md", "1 to 86400, default 30.", "1 to 86400, default 31."),
    ("docs/settings.md", "1 to 86400, default 30.", "1 to 86401, default 30."),
    ("docs/settings.md", "| 0 to 60000 | `2000` |", "| 0 to 60000 | `200` |"),
    ("docs/settings.md", "`vip` (default):", "`endpoint` (default):"),
    ("docs/settings.md", "(1 to 16, default 3)", "(1 to 16, default 1000)"),
    ("docs/settings.md", "### K8SLB_MESH", "### K8SLB_MASH"),
    ("README.md", "| `round_robin` or `random` | `round_robin` |", "| `round_robin` or `random` | `random` |"),
    ("docs/man/k8slb.7", "Default: 300.", "Default: 60."),
    ("docs/man/k8slb.7", ".Cm avoid\n(default)", ".Cm ignore\n(default)"),
    ("docs/man/k8slb-agent.1", ", -retry-delay", ""),
]


@pytest.mark.parametrize("name, right, wrong", WRONG_DOCUMENTS)
def test_a_wrong_document_is_found(build: Build, tmp_path: Path, name: str, right: str, wrong: str) -> None:
    """make check runs it on the real ones, which are right."""
    check = [ROOT / "scripts/check-settings", build.directory, tmp_path]
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    result = subprocess.run(check, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    expect((result.returncode, result.stdout, result.stderr), (0, "", ""))

    assert right in text(name)
    (tmp_path / name).write_text(text(name).replace(right, wrong, 1), encoding="utf-8")
    result = subprocess.run(check, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    expect((result.returncode, result.stderr), (1, ""), result)
    assert name in result.stdout, result


def test_the_walk_goes_through_functions_where_they_live() -> None:
    walk = text("docs/design.md").split("\n## A walk\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.*?`) \| `((?:lib|shim)/\S*)`", walk, re.MULTILINE)
    steps = [(name, room) for calls, room in rows for name in re.findall(r"`(\w+)\(\)`", calls)]
    assert len(steps) > 20, walk
    for name, room in steps:
        places = ROOT.glob(room if "." in room else room + "/*.c")
        assert any(re.search(rf"^\w.*\b{name}\(", path.read_text(encoding="utf-8"), re.MULTILINE) for path in places), (name, room)


def test_one_version(build: Build) -> None:
    """The newest of CHANGELOG.md is what is built, and what deploy/ names."""
    versions = re.findall(r"^## (\S+)$", text("CHANGELOG.md"), re.MULTILINE)
    expect(run_cli(build, "--version").stdout, f"k8slb {versions[0]}\n")
    named = [version for name in documents() if name.startswith("deploy/") for version in re.findall(r"k8slb:(\d[\w.]*)", text(name))]
    named += re.findall(r"^(?:v|appV)ersion: (.*)$", text("deploy/chart/Chart.yaml"), re.MULTILINE)
    expect((len(named) > 8, set(named)), (True, {versions[0]}))


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


def test_the_manual_names_every_function(build: Build) -> None:
    symbols = subprocess.run(
        ["readelf", "--dyn-syms", "-W", build.directory / "libk8slb-endpoints.so"], check=True, capture_output=True, text=True
    ).stdout
    names = {name for name in re.findall(r" FUNC +GLOBAL +DEFAULT +\d+ (k8slb_\w+)", symbols) if not name.startswith("k8slb_raw_")}
    page = text("docs/man/k8slb_endpoints.3")
    assert len(names) > 6
    expect(sorted(name for name in names if not re.search(rf"\.F[no] {name}\b", page)), [])
