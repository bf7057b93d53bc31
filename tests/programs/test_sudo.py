# SPDX-License-Identifier: Apache-2.0
"""sudo: it takes LD_PRELOAD out of the environment unless told to keep it, and the loader ignores it in a program that
changes its user: then what it starts works as without the shim."""
import contextlib
import subprocess
from pathlib import Path
from typing import Iterator, List

import pytest

from tests.harness import expect
from tests.programs.common import World
from tests.programs.servers import needs_real_root

pytestmark = [pytest.mark.clusters("double"), needs_real_root]

# Without words with the world: no log, no session, no name of this host.
QUIET = "Defaults env_reset, !syslog, !pam_session, !fqdn"
KEEP = 'Defaults env_keep += "LD_PRELOAD K8SLB_*"'
EVERYBODY = "ALL ALL=(ALL:ALL) NOPASSWD: ALL"


@contextlib.contextmanager
def sudoers(directory: Path, *lines: str) -> Iterator[None]:
    """These lines as /etc/sudoers, in the mount namespace of the tests."""
    file = directory / "sudoers"
    file.write_text("\n".join([QUIET, *lines, EVERYBODY, ""]))
    file.chmod(0o440)
    subprocess.run(["mount", "--bind", str(file), "/etc/sudoers"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", "/etc/sudoers"], check=True)


def sudo(host: str, *options: str) -> List[str]:
    return ["sudo", "-n", *options, "curl", "-sS", "-HConnection:close", f"http://{host}/[1-30]"]


def test_it_resets_the_environment(world: World) -> None:
    web = world.web()
    with sudoers(world.directory):
        world.both(sudo(web.vip), {web: 30}, caught=False)
        told = ["sudo", "-n", "sh", "-c", 'echo "[$LD_PRELOAD][$K8SLB_SERVICES]"; exit 3']
        _plain, shim = world.both(told, {web: 0}, returncode=3)
        expect(shim.result.stdout, "[][]\n", shim.result)


def test_it_is_told_to_keep_it(world: World) -> None:
    web = world.web()
    with sudoers(world.directory, KEEP):
        world.both(sudo(web.vip), {web: 30})
        world.both(sudo(web.name, "--user=root"), {web: 30})


def test_another_user_has_it_taken_away_by_the_loader(world: World) -> None:
    web = world.web()
    another = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]
    with sudoers(world.directory, KEEP):
        world.both([*another, *sudo(web.vip)], {web: 30}, caught=False)
        _plain, shim = world.both([*another, "sudo", "-n", "sh", "-c", 'id -u; echo "[$LD_PRELOAD]"'], {web: 0})
        expect(shim.result.stdout, "0\n[]\n", shim.result)
