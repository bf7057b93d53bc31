# SPDX-License-Identifier: Apache-2.0
"""Fixtures and options of all pytest tests.

  --build-dir DIR         where the Makefile put its results (default: build)
  --cluster real,double   the clusters to run on (default: both)

Under CI=true a skipped test is a failure. Run inside of scripts/in-netns, or side by side by pytest-xdist (-n 4): then
each worker goes through scripts/in-netns by itself, so that ports, addresses, /dev/shm, segments and resolv.conf are its own
and every worker has a double of its own. What starts the real control plane is run by one worker, and so is what shares a
fixture of its module.
"""
import os
import shlex
import sys
from pathlib import Path
from typing import Any, Callable, Generator, Iterator, List, Optional, Set

import pytest

from tests.harness import Build, ShimRunner, counts, expect  # noqa: F401: tests may import them from here
from tests import shared
from tests.kube import namespace
from tests.kube.cluster import Cluster

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("real", "double")
HookWrapper = Generator[None, Any, None]
_CI = os.environ.get("CI") == "true"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--build-dir", default=str(ROOT / "build"), help="where the Makefile put its results")
    parser.addoption("--cluster", default=",".join(KINDS), help="clusters to run on: real, double or both")


def pytest_cmdline_main(config: pytest.Config) -> None:
    """After xdist's own, which makes "load" of -n."""
    if getattr(config.option, "dist", "no") == "load":
        config.option.dist = "loadgroup"
        # A worker that dies fails the run. xdist gives its tests, also the one that it died of, to the others, who wait for ever.
        config.option.maxworkerrestart = "0"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: List[Any]) -> None:
    """Each worker is in its namespaces from its first instruction on."""
    for spec in specs:
        spec.python = shlex.join([str(ROOT / "scripts/in-netns"), sys.executable])


def pytest_configure(config: pytest.Config) -> None:
    # A worker knows the command line alone, which does not say --dist: without this it names no groups, so there are none.
    if hasattr(config, "workerinput"):
        config.option.loadgroup = True
    unknown = _chosen(config) - set(KINDS)
    if unknown:
        raise pytest.UsageError(f"--cluster: {', '.join(sorted(unknown))}: expected {' or '.join(KINDS)}")


def _chosen(config: pytest.Config) -> Set[str]:
    return set(config.getoption("--cluster").replace(",", " ").split())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cluster" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("clusters")
        metafunc.parametrize("cluster", marker.args if marker else KINDS, indirect=True)


def _clusters(item: pytest.Item) -> Set[str]:
    callspec = getattr(item, "callspec", None)
    kind = callspec.params.get("cluster") if callspec else None
    return {kind} if kind else {name for name in KINDS if f"{name}_cluster" in getattr(item, "fixturenames", ())}


@pytest.hookimpl(tryfirst=True)  # a worker of xdist looks at the groups in the same hook, and it is asked first else
def pytest_collection_modifyitems(config: pytest.Config, items: List[pytest.Item]) -> None:
    chosen = _chosen(config)

    def wanted(item: pytest.Item) -> bool:
        return _clusters(item) <= chosen and counts(not item.get_closest_marker("soak"), True)

    left_out = [item for item in items if not wanted(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if wanted(item)]
    for item in items:
        group = _group(item)
        if group:
            item.add_marker(pytest.mark.xdist_group(group))


def _group(item: pytest.Item) -> Optional[str]:
    """Whom of xdist's workers it runs beside: one has the real control plane, one each module's own fixtures."""
    if "real" in _clusters(item):
        return "real"
    fixtures = getattr(item, "_fixtureinfo").name2fixturedefs
    shared_in_module = any(found[-1].scope == "module" for found in fixtures.values())
    return item.nodeid.partition("::")[0] if shared_in_module else None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> HookWrapper:
    report = (yield).get_result()
    _fail_if_skipped(report)
    cluster: Optional[Cluster] = getattr(item, "funcargs", {}).get("cluster")
    if report.when == "call" and report.failed and cluster:
        report.sections.append(("end of the cluster's logs", cluster.logs()))


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report() -> HookWrapper:
    _fail_if_skipped((yield).get_result())


def _fail_if_skipped(report: "pytest.TestReport | pytest.CollectReport") -> None:
    if _CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure under CI=true: {reason}"


@pytest.fixture(scope="session")
def build(request: pytest.FixtureRequest) -> Build:
    result = Build(Path(request.config.getoption("--build-dir")).resolve())
    if not result.shim.exists():
        pytest.fail(f"{result.shim} is missing: run make, or name its directory by --build-dir", pytrace=False)
    return result


@pytest.fixture(scope="session")
def network() -> None:
    """The node's network of scripts/in-netns; every test that dials a pod or a VIP needs it."""
    reason = namespace.why_no_netns()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def real_cluster(network: None) -> Iterator[Cluster]:
    from tests.kube.real_cluster import RealCluster

    yield from _running(RealCluster)


@pytest.fixture(scope="session")
def double_cluster(network: None) -> Iterator[Cluster]:
    from tests.kube.double_cluster import DoubleCluster

    yield from _running(DoubleCluster)


def _running(make: Callable[[], Cluster]) -> Iterator[Cluster]:
    cluster = make()
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The cluster of this run of the test, empty; what the test makes in it is removed afterwards."""
    result: Cluster = request.getfixturevalue(f"{request.param}_cluster")
    try:
        yield result
    finally:
        result.clean()


@pytest.fixture
def run_shim(build: Build, tmp_path: Path) -> Iterator[ShimRunner]:
    """run_shim(cmd, env=cluster.env("web")) runs a program under the shim to its end; run_shim.start() in background."""
    shared.forget()
    runner = ShimRunner(build, tmp_path)
    try:
        yield runner
    finally:
        runner.close()


@pytest.fixture
def shim_env(run_shim: ShimRunner) -> Callable[..., "dict[str, str]"]:
    """shim_env(extra): the environment of a program under the shim, for tests that start it by themselves."""
    return run_shim.env
