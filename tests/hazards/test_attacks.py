# SPDX-License-Identifier: Apache-2.0
"""Hazard: whatever somebody prepares where processes share something, by whoever reads it.

A table of attacks and of readers. Nothing is followed: what the attacker points to stays as it is. Nothing is held: the first
connection is made at once. Nothing dies. Each reader is balanced, by a table of its own where none can be shared. What is prepared in an
agent's place: tests/agent/test_trust.py; in the log's: test_log_path.py.
"""
import os
import shutil
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import pytest

from tests.agent.common import LINGER, MESSAGE, reader_env
from tests.e2e.common import stand_in
from tests.harness import ShimRunner, expect
from tests.hazards.guests import as_user, needs_root, public_credentials, public_directory
from tests.kube.double_cluster import DoubleCluster
from tests.pick_memory import remove_segments, segments
from tests.preload.common import python, web
from tests.shared import FOLDER
from tests.shared_table import sysv

pytestmark = pytest.mark.clusters("double")
public = pytest.fixture(public_directory)

USER, EVIL = 4711, 4713
NOT_HELD_S = 3.0  # what lingers does so for 4 s; the machine may be busy
# Prints how long the first connection took, and who answered.
PROGRAM = """
import socket, sys, time
def ask():
    with socket.create_connection((sys.argv[1], 80)) as s:
        s.sendall(b"WHO\\n")
        return s.recv(100).decode().strip()
began = time.monotonic()
first = ask()
print(time.monotonic() - began, first, *(ask() for _ in range(5)))
"""


class Reader(NamedTuple):
    by: List[str]
    uid: int  # in truth
    shown: int  # to itself


READERS: Dict[str, Reader] = {
    "root": Reader([], 0, 0),
    "user": Reader(as_user(USER), USER, USER),
    # Each user that it does not know is shown as its own.
    "user namespace": Reader(["unshare", "--user", "--map-user=65534", "--map-group=65534"], 0, 65534),
}


class World(NamedTuple):
    reader: Reader
    segments: List[Dict[str, int]]  # that a program left: the table's and the pick memory
    folder: Path  # of its lock
    victim: Path


def do_as(uid: int, what: Callable[[], object], gid: Optional[int] = None) -> None:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(uid if gid is None else gid)
            os.setuid(uid)
            what()
            status = 0
        finally:
            os._exit(status)
    expect(os.waitpid(child, 0)[1], 0)


def segments_of(uid: Optional[int], mode: int, size: int = 0) -> Callable[[World], None]:
    """uid: None for the reader's. Members of group 0 may have huge pages, as of vm.hugetlb_shm_group."""

    def attack(world: World) -> None:
        remove_segments()
        do_as(
            world.reader.uid if uid is None else uid,
            lambda: [sysv.make(one["key"], size or one["size"], mode) for one in world.segments], gid=0,
        )

    return attack


def noise(world: World) -> None:
    for one in world.segments:
        sysv.write(one["shmid"], 0, os.urandom(one["size"]))


def folder_of_another(world: World) -> None:
    shutil.rmtree(world.folder)
    do_as(EVIL, lambda: world.folder.mkdir(mode=0o700))


def folder_for_all(world: World) -> None:
    world.folder.chmod(0o777)


def link_for_the_folder(world: World) -> None:
    shutil.rmtree(world.folder)
    do_as(EVIL, lambda: world.folder.symlink_to(world.victim))


def link_for(suffix: str) -> Callable[[World], None]:
    """By the reader's own user: somebody else cannot write there."""

    def attack(world: World) -> None:
        (file,) = world.folder.glob("*" + suffix)
        file.unlink()
        do_as(world.reader.uid, lambda: file.symlink_to(world.victim / "file"))

    return attack


def another_folder_renamed(world: World) -> None:
    aside = world.folder.with_name("aside")
    os.rename(world.folder, aside)
    do_as(EVIL, lambda: world.folder.mkdir(mode=0o700))
    shutil.rmtree(aside)


ATTACKS: Dict[str, Callable[[World], None]] = {
    "another owner's segments": segments_of(EVIL, 0o600),
    "another owner's segments, for all": segments_of(EVIL, 0o666),
    "own segments, for all": segments_of(None, 0o666),
    "own segments on huge pages": segments_of(None, 0o600 | sysv.HUGE_PAGES),
    "another owner's on huge pages": segments_of(EVIL, 0o666 | sysv.HUGE_PAGES),
    "own segments of one byte": segments_of(None, 0o600, 1),
    "noise in the segments": noise,
    "another owner's folder": folder_of_another,
    "another folder renamed": another_folder_renamed,
    "a folder for all": folder_for_all,
    "a link for the folder": link_for_the_folder,
    "a link for the lock": link_for(".lock"),
    "a link for the line": link_for(".held"),
}


def answers_of(text: str) -> Tuple[float, List[str]]:
    took, *answers = text.split()
    return float(took), answers


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", ATTACKS)
def test_what_is_shared(cluster: DoubleCluster, run_shim: ShimRunner, public: Path, what: str, reader: str) -> None:
    needs_root()
    service, pods = web(cluster)
    stand_in(cluster, service)
    env = public_credentials(cluster.env("web"), public)
    victim = public / "victim"
    victim.mkdir()
    victim.chmod(0o777)
    (victim / "file").write_text("as it was")
    command = [*READERS[reader].by, *python(PROGRAM, service.vip)]
    remove_segments()
    folder = FOLDER / f"k8slb-{READERS[reader].shown}"
    try:
        before = run_shim(command, env=env)
        expect(set(answers_of(before.stdout)[1]), {pod.name for pod in pods}, before)
        ATTACKS[what](World(READERS[reader], segments(), folder, victim))

        result = run_shim(command, env=env)
    finally:
        remove_segments()
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder)

    took, answers = answers_of(result.stdout)
    expect((result.returncode, set(answers)), (0, {pod.name for pod in pods}), result)
    expect(took < NOT_HELD_S, True, f"{took:.3f} s", result)
    left = {path.name: path.read_text() for path in victim.iterdir()}
    expect(left, {"file": "as it was"}, result)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("whose", [0, USER, EVIL])
def test_what_an_agent_sends_lingers(
    cluster: DoubleCluster, run_shim: ShimRunner, public: Path, whose: int, reader: str
) -> None:
    """Of one that is believed or not, in its message and behind it."""
    needs_root()
    service, _pods = web(cluster)
    stand_in(cluster, service)
    place = public / "agent"
    place.mkdir()
    os.chown(place, whose, whose)
    server = run_shim.start([*as_user(whose), *python(LINGER, place / "table", repr([(MESSAGE, 0), (b"", 1)]))], preload=False)
    server.wait_output("listens")

    result = run_shim([*READERS[reader].by, *python(PROGRAM, service.vip)], env=reader_env(place / "table"))

    took, answers = answers_of(result.stdout)
    expect((result.returncode, set(answers)), (0, {"vip"}), result)
    expect(took < NOT_HELD_S, True, f"{took:.3f} s", result, server.result())
