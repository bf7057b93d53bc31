# SPDX-License-Identifier: Apache-2.0
"""Whatever /dev/shm is, and whatever lies in it: no crash, nothing hangs, pods or the VIP answer, and the log says what is wrong."""
import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import pytest

from tests.harness import ShimRunner, counts, expect
from tests.hazards.guests import NOBODY, needs_root
from tests.kube.cluster import Pod, Service
from tests.kube.double_cluster import DoubleCluster
from tests.shared import FOLDER
from tests.shared_table import sysv
from tests.shared_table.common import Guest, folder, lists_of, names, target, wait_writer

pytestmark = pytest.mark.clusters("double")

OWN = "info: the table is this process's own: /dev/shm: "
DELETIONS = counts(10, 100)
LOCKS_LOST = 8  # lib/engine/role.c


def run(*words: Any) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True)


def expect_served(cluster: DoubleCluster, run_shim: ShimRunner, made: Optional[Tuple[Service, List[Pod]]] = None) -> List[Guest]:
    """Two programs are balanced, and hear of a new pod."""
    service, pods = made or target(cluster)
    guests = [Guest(run_shim, service, cluster.env("web")) for _ in range(2)]
    for guest in guests:
        guest.wait_asked(names(pods), cluster.logs)
    pods.append(cluster.add_pod("late", {"app": "web"}))
    for guest in guests:
        guest.wait_asked(names(pods), cluster.logs)
    return guests


# ---- /dev/shm ----


@contextlib.contextmanager
def mounted(*options: Any) -> Iterator[None]:
    """Another /dev/shm over the tests' own."""
    run("mount", "-t", "tmpfs", *options, "tmpfs", FOLDER)
    try:
        yield
    finally:
        run("umount", "-l", FOLDER)


@contextlib.contextmanager
def missing() -> Iterator[None]:
    """Nothing is mounted there, and the directory is not there: an empty /dev without it."""
    with contextlib.ExitStack() as stack:
        # The devices that programs need go on to be there.
        empty = Path("/tmp/k8slb-dev")
        empty.mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", empty)
        stack.callback(lambda: (run("umount", "-l", empty), empty.rmdir()))
        for name in ("null", "zero", "urandom", "random", "full", "tty"):
            (empty / name).touch()
            run("mount", "--bind", f"/dev/{name}", empty / name)
        (empty / "fd").symlink_to("/proc/self/fd")
        run("mount", "--rbind", empty, "/dev")
        stack.callback(lambda: run("umount", "-l", "/dev"))
        yield


PLACES: Dict[str, Callable[[], Any]] = {
    "read-only": lambda: mounted("-o", "ro"),
    "missing": missing,
    "not ours to write": lambda: mounted("-o", "mode=0755,size=64k,nr_inodes=1"),
}


@pytest.mark.parametrize("what", PLACES)
def test_no_place_for_files(cluster: DoubleCluster, run_shim: ShimRunner, what: str) -> None:
    """Nobody can say who writes: each process has its own table."""
    needs_root()
    with PLACES[what]():
        guests = expect_served(cluster, run_shim)
        for guest in guests:
            guest.process.wait_log(OWN)
        expect(set(lists_of(cluster).values()), {len(guests)}, cluster.logs())


def test_a_full_place(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """The lock needs a name, and no room: the table is shared, and so is what the next writer makes of it."""
    needs_root()
    with mounted("-o", "size=4k"):
        (FOLDER / "filler").write_bytes(b"x" * 4096)
        first, second = expect_served(cluster, run_shim)
        expect(set(lists_of(cluster).values()), {1}, cluster.logs())
        first.kill()
        wait_writer(second.process.result, but=first.pid)
        added = cluster.add_pod("later", {"app": "web"})
        second.wait_asked({"web-0", "web-1", "web-2", "late", added.name}, cluster.logs)


def test_it_fills_while_programs_run(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    needs_root()
    with mounted("-o", "size=256k"):
        service, pods = target(cluster)
        guests = [Guest(run_shim, service, cluster.env("web")) for _ in range(2)]
        for guest in guests:
            guest.wait_asked(names(pods))
        with contextlib.suppress(OSError):
            (FOLDER / "filler").write_bytes(b"x" * (1 << 20))
        for number in range(30):
            pods.append(cluster.add_pod(f"late-{number}", {"app": "web"}))
            cluster.delete_pod(pods.pop(0))
        for guest in guests:
            guest.wait_asked(names(pods), cluster.logs)
        guests[0].kill()
        pods.append(cluster.add_pod("last", {"app": "web"}))
        guests[1].wait_asked(names(pods), cluster.logs)


def test_two_places_in_one_ipc_namespace(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """Containers of a Pod, one of them with a volume at /dev/shm: neither sees the other's lock, so that one segment for both would
    have two writers."""
    needs_root()
    service, pods = target(cluster)
    env = cluster.env("web")
    guests = [Guest(run_shim, service, env) for _ in range(2)]
    for guest in guests:
        guest.wait_asked(names(pods))
    with mounted():
        guests += [Guest(run_shim, service, env) for _ in range(2)]
        for guest in guests:
            guest.wait_asked(names(pods))
        expect((len(sysv.tables()), set(lists_of(cluster).values())), (2, {2}), cluster.logs())
        pods.append(cluster.add_pod("late", {"app": "web"}))
        for guest in guests:
            guest.wait_asked(names(pods), cluster.logs)


# ---- The folder and the lock's file ----


def of_another_owner(path: Path) -> None:
    path.mkdir(mode=0o700)
    os.chown(path, NOBODY, NOBODY)


def with_mode(mode: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.mkdir()
        path.chmod(mode)

    return make


FOLDERS: Dict[str, Callable[[Path], Any]] = {
    "another owner": of_another_owner,
    "mode 0777": with_mode(0o777),
    "mode 0750": with_mode(0o750),
    "symbolic link": lambda path: path.symlink_to("/tmp"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "file": lambda path: path.write_text(""),
    "FIFO": os.mkfifo,
}


@pytest.mark.parametrize("what", FOLDERS)
def test_in_the_place_of_the_folder(cluster: DoubleCluster, run_shim: ShimRunner, what: str) -> None:
    needs_root()
    FOLDERS[what](folder())
    try:
        for guest in expect_served(cluster, run_shim):
            guest.process.wait_log(OWN)
    finally:
        if folder().is_dir() and not folder().is_symlink():
            shutil.rmtree(folder())
        else:
            folder().unlink()


LOCKS: Dict[str, Callable[[Path], Any]] = {
    "another owner": lambda path: (path.touch(0o600), os.chown(path, NOBODY, NOBODY)),
    "mode 0666": lambda path: (path.touch(), path.chmod(0o666)),
    "symbolic link": lambda path: path.symlink_to("/dev/null"),
    "FIFO": lambda path: os.mkfifo(path, 0o600),
    "directory": lambda path: path.mkdir(0o700),
    "device": lambda path: os.mknod(path, 0o20600, os.makedev(1, 7)),
}


@pytest.mark.parametrize("what", LOCKS)
def test_in_the_place_of_the_lock(cluster: DoubleCluster, run_shim: ShimRunner, what: str) -> None:
    needs_root()
    made = target(cluster)
    first = Guest(run_shim, made[0], cluster.env("web"))
    first.wait_asked(names(made[1]))
    first.end()
    (lock,) = folder().glob("*.lock")
    lock.unlink()
    LOCKS[what](lock)
    for guest in expect_served(cluster, run_shim, made):
        guest.process.wait_log(OWN)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", ["folder", "lock"])
def test_deleted_under_load(cluster: DoubleCluster, run_shim: ShimRunner, what: str) -> None:
    """Somebody cleans up while pods change and programs come: for a moment there may be two that believe to be the writer. Each pick
    is a pod that there is or was, and the table is right in the end."""
    service, pods = target(cluster)
    env = cluster.env("web")
    guests = [Guest(run_shim, service, env) for _ in range(3)]
    for guest in guests:
        guest.wait_asked(names(pods))
    ever = names(pods)
    for number in range(DELETIONS):
        for guest in guests:
            guest.say(20)
        if what == "folder":
            shutil.rmtree(folder(), ignore_errors=True)
        else:
            for lock in folder().glob("*.lock"):
                lock.unlink()
        guests.append(Guest(run_shim, service, env))
        pods.append(cluster.add_pod(f"web-{number}-late", {"app": "web"}))
        ever |= names(pods)
        for guest in guests:
            answers = guest.ask(5) if guest is guests[-1] else guest.answers()
            expect(set(answers) - ever, set(), guest.process.result(), cluster.logs())
        guests.pop(0).kill()
    for guest in guests:
        guest.wait_asked(names(pods), cluster.logs)


def test_deleted_again_and_again(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """What is begun anew each time comes to an end: from then on the process has a table of its own, and it is right."""
    service, pods = target(cluster)
    guest = Guest(run_shim, service, cluster.env("web"))
    guest.wait_asked(names(pods))
    for number in range(LOCKS_LOST):
        for lock in folder().glob("*.lock"):
            lock.unlink()
        pods.append(cluster.add_pod(f"web-{number}-late", {"app": "web"}))
        guest.wait_asked(names(pods), cluster.logs())
    guest.process.wait_log(f"its lock was removed {LOCKS_LOST} times")
    pods.append(cluster.add_pod("web-last", {"app": "web"}))
    guest.wait_asked(names(pods), cluster.logs())
    expect(guest.log().count("its lock was removed"), 1, guest.log())
