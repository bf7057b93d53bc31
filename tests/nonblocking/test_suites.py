# SPDX-License-Identifier: Apache-2.0
"""The test suites of event loops under the library, each of their processes beside a connection that is under way and never ends:
every wait goes the long way round, and what they find is what they find without the library. Only with make soak."""
import re
import subprocess
import xml.etree.ElementTree as xml
from pathlib import Path
from typing import Callable, Dict, FrozenSet, Iterator, Optional, Sequence

import pytest

from tests.e2e.common import hold_table
from tests.failover.common import Firewall, sysctl
from tests.failover.dead_pods import dialled
from tests.harness import Result, expect
from tests.nonblocking.drivers import built
from tests.programs.common import Backend, World

pytestmark = [pytest.mark.clusters("double"), pytest.mark.timeout(2 * 3600)]

PYTHON = "/usr/bin/python3"
CPYTHON = ["test_socket", "test_select", "test_poll", "test_epoll", "test_selectors", "test_asyncio"]
FOR_EVER_MS = 600000
SUITE_S = 1200
# Answers nobody in a virtual machine without a host that does.
NOT_HERE = ["-i", "ThreadedVSOCKSocketStreamTest"]
AGAIN = 3  # what fails with the library alone has to fail so often


@pytest.fixture
def silent(world: World, firewall: Firewall) -> Iterator[Backend]:
    """A Service whose pods never answer, nor does the kernel give up."""
    backend = world.web()
    hold_table(world.run_shim, world.cluster)
    firewall.drop(*backend.pods)
    with sysctl("tcp_syn_retries", 100):
        yield backend


class Suite:
    """Runs a program of tests without the library and with it, both beside the connection under way."""

    def __init__(self, world: World, backend: Backend) -> None:
        self._world = world
        self._backend = backend

    def run(self, command: Sequence[object], preload: bool, env: Optional[Dict[str, str]] = None) -> Result:
        build = self._world.build
        beside = build.directory / "tests/preload/pending_connection.so"
        settings: Dict[str, Optional[str]] = {
            "PENDING_CONNECTION": f"{self._backend.vip}:{self._backend.port}",
            "K8SLB_CONNECT_TIMEOUT": str(FOR_EVER_MS),
            "LD_PRELOAD": build.preload(beside) if preload else str(beside),
            # What tests look at themselves.
            "K8SLB_LOG": None,
            "LC_ALL": None,
            **(env or {}),
        }
        directory = self._world.new_directory("suite")
        with dialled(self._backend.pods) as dials:
            full = self._world.env(settings)
            process = self._world.run_shim.start(command, env=full, preload=False, cwd=str(directory))
            result = process.wait(2 * SUITE_S)
        expect(sum(dials.counts().values()) > 0, True, "the connection under way", dials.counts(), result)
        return result


    def compare(self, failures: Callable[[bool, Sequence[str]], FrozenSet[str]]) -> None:
        """failures(preload, only these tests, or all): what failed. What fails with the library alone has to fail again and again."""
        plain, shim = failures(False, ()), failures(True, ())
        for _again in range(AGAIN - 1):
            if shim <= plain:
                break
            shim = failures(True, sorted(shim - plain))
        print(f"without the library fail: {sorted(plain)}")
        expect(sorted(shim - plain), [], f"without: {sorted(plain)}")


@pytest.fixture
def suite(world: World, silent: Backend) -> Suite:
    return Suite(world, silent)


@pytest.mark.parametrize("name", CPYTHON)
def test_cpython(suite: Suite, tmp_path: Path, name: str) -> None:
    report = tmp_path / "report.xml"

    def failures(preload: bool, only: Sequence[str]) -> FrozenSet[str]:
        report.unlink(missing_ok=True)
        chosen = [word for one in only for word in ("-m", one)]
        result = suite.run([PYTHON, "-m", "test", "--timeout", str(SUITE_S), *NOT_HERE, "--junit-xml", report, *chosen, name], preload)
        expect(report.exists(), True, result)
        cases = list(xml.parse(report).iter("testcase"))
        expect(len(cases) > 0, True, result)
        bad = (one for one in cases if one.find("failure") is not None or one.find("error") is not None)
        return frozenset(one.get("name", "") for one in bad)

    suite.compare(failures)


def test_libuv(suite: Suite) -> None:
    """Each of its tests is a process of its own."""
    program = Path(built("libuv")) / "build/uv_run_tests"

    def failures(preload: bool, only: Sequence[str]) -> FrozenSet[str]:
        found = set()
        for words in [[name] for name in only] or [[]]:
            result = suite.run([program, *words], preload, env={"UV_RUN_AS_ROOT": "1"})
            told = re.findall(r"^(not ok|ok) \d+ - (\w+)", result.stdout, re.MULTILINE)
            if words:
                told = told or [("ok" if result.returncode == 0 else "not ok", words[0])]
            expect(len(told) > 0, True, result)
            found.update(name for verdict, name in told if verdict == "not ok")
        return frozenset(found)

    suite.compare(failures)


def test_libevent(suite: Suite) -> None:
    """A process for each test: where it makes children for them, these have no connection under way."""
    regress = Path(built("libevent")) / "build/bin/regress"
    listed = subprocess.run([regress, "--list-tests"], capture_output=True, text=True)
    names = re.findall(r"^\s+(\w+/[\w/]+)", listed.stdout + listed.stderr, re.MULTILINE)
    assert len(names) > 100, listed

    def failures(preload: bool, only: Sequence[str]) -> FrozenSet[str]:
        each = 'for name; do timeout 60 "$0" --no-fork --quiet "$name" >/dev/null 2>&1 || echo "$name"; done'
        result = suite.run(["sh", "-c", each, regress, *(only or names)], preload)
        return frozenset(result.stdout.split())

    suite.compare(failures)
