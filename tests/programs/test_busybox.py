# SPDX-License-Identifier: Apache-2.0
"""busybox as Debian links it, with glibc: its wget, many times in one process, and its nc, forked by its own shell."""
import pytest

from tests.harness import expect
from tests.programs.common import World, without

pytestmark = pytest.mark.clusters("double")

SHELL = 'for number in $(busybox seq 30); do echo WHO | busybox nc "$0" "$1"; done'


@pytest.mark.parametrize("by", ["vip", "name"])
def test_wget(world: World, by: str) -> None:
    web = world.web()
    url = f"http://{getattr(web, by)}:{web.port}/"
    world.both(["busybox", "wget", "-q", "-O", "-", *[url] * 30], {web: 30})
    # What is shown of the way changes with the speed.
    verbose = without(r"(?s:saving to.*)")
    world.both(["busybox", "wget", "-S", "-O", "file", url], {web: 1}, same=verbose)


@pytest.mark.parametrize("by", ["vip", "name"])
def test_nc_from_its_shell(world: World, by: str) -> None:
    web = world.web()
    # Each nc is a process that goes round by itself, from a pod chosen by chance.
    _plain, shim = world.both(["busybox", "sh", "-c", SHELL, getattr(web, by), web.port], {web: 30}, uneven=30)
    expect(min(shim.traffic[web].pods) > 0, True, shim.traffic[web], shim.result)
