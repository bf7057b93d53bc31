# SPDX-License-Identifier: Apache-2.0
"""Where close_range() is unknown (Linux < 5.9) or filtered, a naive shim shares the program's table of descriptors after all.
Ours then takes a copy of the table by unshare(), and where that is filtered too it does not sync at all."""
from pathlib import Path
from typing import Any, List, Sequence

import pytest

from tests.e2e.common import stand_in
from tests.harness import Build, Result, ShimRunner, counts, expect
from tests.hazards.test_close_all import expect_untouched, storm
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import python, web

pytestmark = [
    pytest.mark.clusters("double"),
    pytest.mark.unsanitized("the sanitizer's own thread and descriptors are counted"),
]

NO_CLOSE_RANGE = ["close_range=ENOSYS", "close_range=EPERM"]
# A program's own close_range() is denied as well; glibc's closefrom() then reads /proc.
REFUSED_NOWHERE = ["closefrom", "loop", "proc"]
NEITHER = ["close_range=EPERM", "unshare=EPERM"]


def without(build: Build, denied: Sequence[str], command: Sequence[Any]) -> List[Any]:
    return [build.programs / "without_calls", *denied, "--", *command]


@pytest.mark.parametrize("denied", NO_CLOSE_RANGE)
def test_storm_without_close_range(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, denied: str
) -> None:
    """As with it: balanced, and nothing of ours among the program's descriptors."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    runs = counts(3, 50)

    for number in range(runs):
        how = REFUSED_NOWHERE[number % len(REFUSED_NOWHERE)]
        command = without(build, [denied], storm(build, service.vip, 80, tmp_path / "files", how, 10))
        expect_untouched(run_shim(command, env=cluster.env("web", K8SLB_SYNC_TIMEOUT="0")), pods)


@pytest.mark.parametrize("how", REFUSED_NOWHERE)
def test_storm_with_neither(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, how: str) -> None:
    """No table of its own, no sync: the log says so, and the program is where it would be without us."""
    service, _pods = web(cluster)
    vip = stand_in(cluster, service)
    command = without(build, NEITHER, [*storm(build, service.vip, 80, tmp_path / "files", how, 15), "only"])

    result = run_shim(command, env=cluster.env("web"))

    expect(result.returncode, 0, result)
    expect(result.stdout.splitlines(), [vip.name] * 6 + ["threads 1", "descriptors 3"], result)
    assert "no sync" in result.log, result


# Makes a pipe, connects, closes its writing end: the reader must see the end of the file, and the number of descriptors
# that the kernel counts for the pipe's files must not have grown by hidden copies.
PIPE = """
import os, select, socket, sys
reader, writer = os.pipe()
lock = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT)
with socket.create_connection((sys.argv[1], 80)) as s:
    s.sendall(b"WHO\\n")
    os.write(1, s.recv(100))
os.close(writer)
ready, _, _ = select.select([reader], [], [], 5)
os.write(1, b"end\\n" if ready and os.read(reader, 1) == b"" else b"held open\\n")
"""


@pytest.mark.parametrize("denied", [[], *([one] for one in NO_CLOSE_RANGE), NEITHER], ids=" ".join)
def test_no_copy_holds_a_pipe_open(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, denied: List[str]
) -> None:
    service, pods = web(cluster)
    vip = stand_in(cluster, service)

    result: Result = run_shim(without(build, denied, python(PIPE, service.vip, tmp_path / "lock")), env=cluster.env("web"))

    answer, end = result.stdout.splitlines()
    expect(end, "end", result)
    assert answer in ([vip.name] if denied is NEITHER else [pod.name for pod in pods]), result


# Holds a POSIX lock and an open file description's lock while the engine starts; another process tries both.
LOCKS = """
import fcntl, os, socket, struct, sys
def open_file(): return os.open(sys.argv[2], os.O_RDWR | os.O_CREAT)
posix, whole = open_file(), os.open(sys.argv[2] + ".flock", os.O_RDWR | os.O_CREAT)
fcntl.lockf(posix, fcntl.LOCK_EX)
fcntl.flock(whole, fcntl.LOCK_EX)
with socket.create_connection((sys.argv[1], 80)) as s:
    s.sendall(b"WHO\\n")
    s.recv(100)
def taken(how, path):
    try:
        how(os.open(path, os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
if os.fork() == 0:
    os.write(1, str([taken(fcntl.lockf, sys.argv[2]), taken(fcntl.flock, sys.argv[2] + ".flock")]).encode())
    os._exit(0)
os.wait()
os.close(whole)
os.write(1, str(taken(fcntl.flock, sys.argv[2] + ".flock")).encode())
"""


@pytest.mark.parametrize("denied", [[], *([one] for one in NO_CLOSE_RANGE), NEITHER], ids=" ".join)
def test_locks_are_kept_and_end_with_the_program(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, denied: List[str]
) -> None:
    """Closing a copy of a descriptor must not drop the program's locks, and keeping one must not hold them."""
    service, _pods = web(cluster)
    stand_in(cluster, service)

    result = run_shim(without(build, denied, python(LOCKS, service.vip, tmp_path / "lock")), env=cluster.env("web"))

    expect((result.returncode, result.stdout), (0, "[True, True]False"), result)


# As PIPE, with every number of the table taken when the engine starts.
FULL_TABLE = """
import errno, os, resource, select, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
reader, writer = os.pipe()
s = socket.socket()
while True:
    try:
        os.dup(0)
    except OSError as error:
        assert error.errno == errno.EMFILE
        break
s.connect((sys.argv[1], 80))
s.sendall(b"WHO\\n")
os.write(1, s.recv(100))
os.close(writer)
ready, _, _ = select.select([reader], [], [], 5)
os.write(1, b"end\\n" if ready and os.read(reader, 1) == b"" else b"held open\\n")
"""


@pytest.mark.parametrize("denied", [[], *([one] for one in NO_CLOSE_RANGE)], ids=" ".join)
def test_a_full_table(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, denied: List[str]) -> None:
    """The copies must go although there is no number left for the directory that lists them."""
    service, pods = web(cluster)
    stand_in(cluster, service)

    result = run_shim(without(build, denied, python(FULL_TABLE, service.vip)), env=cluster.env("web"))

    answer, end = result.stdout.splitlines()
    expect((answer in [pod.name for pod in pods], end), (True, "end"), result)
