# SPDX-License-Identifier: Apache-2.0
"""wget: blocking connects, whole sites, retries."""
from pathlib import Path
from typing import Dict

import pytest

from tests.harness import expect
from tests.programs.common import World, without
from tests.programs.servers import nginx_pod

pytestmark = pytest.mark.clusters("double")

SITE = """
    root {root};
    location = /busy {{ return 503; }}
"""
TIMES = without(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", r"[\d.]+ [KMG]?B/s", r"=[\d.]+s\b", r"in [\d.]+s\b", r"time: [\d.]+s")


def site(directory: Path) -> Path:
    """Eleven pages, index.html among them, which links to the others."""
    root = directory / "site"
    (root / "pages").mkdir(parents=True)
    links = "".join(f'<a href="pages/{i}.html">{i}</a>' for i in range(10))
    (root / "index.html").write_text(f"<html>{links}</html>")
    for i in range(10):
        (root / "pages" / f"{i}.html").write_text(f"<html>page {i} <a href='../'>up</a></html>")
    for path in [directory, *directory.parents]:
        if "pytest" in path.name:
            path.chmod(path.stat().st_mode | 0o055)
    return root


@pytest.mark.parametrize("by", ["vip", "name"])
def test_many_documents(world: World, by: str) -> None:
    web = world.web()
    urls = [f"http://{getattr(web, by)}/{i}" for i in range(30)]
    world.both(["wget", "-nv", "-O-", "--no-http-keep-alive", *urls], {web: 30}, same=TIMES)


def test_a_whole_site(world: World) -> None:
    """Twelve requests: robots.txt, the index and ten pages; first on one connection, then on one for each."""
    web = world.serve("web", 80, nginx_pod(SITE.format(root=site(world.directory))))
    for options, connections in ([], 1), (["--no-http-keep-alive"], 12):
        runs = world.both(["wget", "-nv", "-r", "-l", "3", *options, f"http://{web.vip}/"], {web: connections}, same=TIMES)
        found = [files_below(run.directory) for run in runs]
        expect(found[1], found[0], runs[1].result)
        expect(len(found[1]), 11, runs[1].result)


def files_below(directory: Path) -> Dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def test_retries(world: World) -> None:
    """Each try is a connection of its own: wget does not stop at the pod that was busy."""
    web = world.serve("web", 80, nginx_pod(SITE.format(root=site(world.directory))))
    options = ["-nv", "-O-", "--tries=6", "--waitretry=0.1", "--retry-on-http-error=503", "--no-http-keep-alive"]
    world.both(["wget", *options, f"http://{web.vip}/busy"], {web: 6}, same=TIMES, returncode=4)
