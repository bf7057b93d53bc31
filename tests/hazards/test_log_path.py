# SPDX-License-Identifier: Apache-2.0
"""Hazard: what somebody has put in the place of the log's file, where the program has more rights than he.

A naive shim appends its lines to whatever the path leads to. Ours follows no link that somebody else could have put there, and
writes to no file that is not root's or the program's own; its lines are left out then, and nothing else changes.
"""
import os
from pathlib import Path
from typing import Callable, Dict, Tuple

import pytest

from tests.harness import ShimRunner, expect
from tests.hazards.guests import needs_root, public_directory
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import client, tally, web

pytestmark = pytest.mark.clusters("double")
public = pytest.fixture(public_directory)
EVIL = 4713
Place = Tuple[Path, Path]  # the path of the log, and the file that must stay as it is, or get its lines


def victim(public: Path) -> Path:
    public.chmod(0o755)
    file = public / "victim"
    file.write_text("")
    return file


def evils(path: Path) -> Path:
    os.chown(path, EVIL, EVIL, follow_symlinks=False)
    return path


def folder(public: Path, mode: int, owner: int = 0) -> Path:
    made = public / "folder"
    made.mkdir()
    os.chown(made, owner, owner)
    made.chmod(mode)
    return made


def link_in_a_sticky_folder(public: Path) -> Place:
    log = folder(public, 0o1777) / "log"
    log.symlink_to(victim(public))
    return evils(log), public / "victim"


def link_in_everybodys_folder(public: Path) -> Place:
    log = folder(public, 0o777) / "log"
    log.symlink_to(victim(public))
    return log, public / "victim"


def link_in_his_folder(public: Path) -> Place:
    log = folder(public, 0o755, EVIL) / "log"
    log.symlink_to(victim(public))
    return log, public / "victim"


def link_for_a_folder(public: Path) -> Place:
    victim(public).rename(public / "log")
    sub = folder(public, 0o1777) / "sub"
    sub.symlink_to(public)
    return evils(sub) / "log", public / "log"


def name_of_another_file(public: Path) -> Place:
    log = folder(public, 0o777) / "log"
    os.link(victim(public), log)
    return log, public / "victim"


def his_file(public: Path) -> Place:
    log = folder(public, 0o1777) / "log"
    log.touch()
    return evils(log), log


def folder_below_his(public: Path) -> Place:
    above = folder(public, 0o755, EVIL)
    (above / "sub").mkdir()
    (above / "sub/log").touch()
    return above / "sub/log", above / "sub/log"


ATTACKS: Dict[str, Callable[[Path], Place]] = {
    "a link of his": link_in_a_sticky_folder,
    "a link in everybody's folder": link_in_everybodys_folder,
    "a link in his folder": link_in_his_folder,
    "a link for a folder": link_for_a_folder,
    "a second name of another file": name_of_another_file,
    "his file": his_file,
    "a folder that he can rename": folder_below_his,
}


@pytest.mark.parametrize("what", ATTACKS)
def test_what_somebody_put_in_the_logs_place(cluster: DoubleCluster, run_shim: ShimRunner, public: Path, what: str) -> None:
    needs_root()
    service, pods = web(cluster)
    log, file = ATTACKS[what](public)

    result = run_shim(client(str(service.vip), 80, 3), env=cluster.env("web", K8SLB_LOG=f"debug:{log}"))

    expect((dict(tally(result.stdout)), result.returncode), ({pod.name: 1 for pod in pods}, 0), result)
    expect(file.read_text(), "", result)


def new_file(public: Path) -> Place:
    return folder(public, 0o755) / "log", public / "folder/log"


def own_file_in_everybodys_folder(public: Path) -> Place:
    """As an emptyDir is."""
    return folder(public, 0o777) / "log", public / "folder/log"


def own_file_in_a_sticky_folder(public: Path) -> Place:
    return folder(public, 0o1777) / "log", public / "folder/log"


def own_link(public: Path) -> Place:
    """As /dev/stderr is."""
    log = folder(public, 0o755) / "log"
    log.symlink_to(victim(public))
    return log, public / "victim"


GOOD: Dict[str, Callable[[Path], Place]] = {
    "a new file": new_file,
    "in everybody's folder": own_file_in_everybodys_folder,
    "in a sticky folder": own_file_in_a_sticky_folder,
    "a link of root's": own_link,
}


@pytest.mark.parametrize("what", GOOD)
def test_where_the_log_is_written(cluster: DoubleCluster, run_shim: ShimRunner, public: Path, what: str) -> None:
    service, _pods = web(cluster)
    log, file = GOOD[what](public)

    result = run_shim(client(str(service.vip), 80, 3), env=cluster.env("web", K8SLB_LOG=f"debug:{log}"))

    expect("syncing from" in file.read_text(), True, result, file.read_text())
