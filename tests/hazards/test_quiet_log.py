# SPDX-License-Identifier: Apache-2.0
"""Hazard: a log that many processes write, on a disk that may be full, which somebody rotates.

A naive shim keeps a stream open: a program that closes its descriptors closes it or, worse, gets its number for a socket;
lines of many processes tear each other, a rotated file goes on to grow, a full disk or a pipe that nobody reads stops the
program. Ours opens the path for each line, in its thread, writes once and closes; what cannot be written is left out.
"""
import os
import re
import subprocess
from pathlib import Path
from typing import Dict, Iterator, List

import pytest

from tests.e2e.common import Follower, expect_followed, names, three
from tests.harness import Build, ShimRunner, expect, wait_until
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import python, web
from tests.preload.test_resource_limits import NO_FILE_MAY_GROW

pytestmark = pytest.mark.clusters("double")

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ k8slb\[(\d+)\] (?:error|info|debug): [ -~]+")
PROCESSES = 20


def lines_by_process(log: str, *shown: object) -> Dict[str, List[str]]:
    """The whole log; a line that is not one line of one process fails."""
    assert log.endswith("\n"), "\n".join(map(str, shown))
    found: Dict[str, List[str]] = {}
    for line in log[:-1].split("\n"):
        match = LINE.fullmatch(line)
        assert match, f"a torn line: {line!r}\n{shown}"
        found.setdefault(match.group(1), []).append(line)
    return found


def complaints(lines: List[str]) -> List[str]:
    """What the constructor told, without time and process."""
    return [line.split(": ", 1)[1] for line in lines if " error: K8SLB_" in line or "more messages" in line]


# All children wait at one pipe and are executed when it is closed.
AT_ONCE = """
import os, sys
gate, opener = os.pipe()
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        os.close(opener)
        os.read(gate, 1)
        os.execv(sys.argv[2], sys.argv[2:])
os.close(opener)
sys.exit(max(os.wait()[1] for _ in range(int(sys.argv[1]))))
"""


def test_lines_of_many_processes_are_whole(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    """Each writes some 25 lines of up to 300 bytes in its constructor and as many in its thread; none is lost or torn."""
    service, _pods = web(cluster)
    wrong = " ".join(f"Wrong{i}{'x' * (7 * i % 200)}" for i in range(40))
    env = cluster.env(f"web {wrong}", K8SLB_ONLY="connect_loop")
    program = [build.programs / "connect_loop", service.vip, 80, 3, "plain"]
    alone = complaints(run_shim(program, env=env).log.splitlines())
    assert len(alone) > 10, alone

    result = run_shim(python(AT_ONCE, PROCESSES, *program), env=env)

    expect((result.returncode, len(result.stdout.splitlines())), (0, 3 * PROCESSES), result)
    processes = lines_by_process(result.log, result)
    expect(len(processes), PROCESSES, result)
    for lines in processes.values():
        expect(complaints(lines), alone)
        # Of its thread: that it writes the table, or follows who does.
        assert any("syncing from" in line or "another process" in line for line in lines), lines
    print(f"{PROCESSES} processes, {sum(map(len, processes.values()))} lines, {len(result.log)} bytes")


def test_the_thread_opens_the_path_for_each_line(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path
) -> None:
    service, _pods = web(cluster)
    trace, log = tmp_path / "trace", tmp_path / "k8slb.log"
    preload = run_shim.env()["LD_PRELOAD"]
    program = [build.programs / "connect_loop", service.vip, 80, 3, "plain"]

    result = run_shim(
        ["strace", "-f", "-y", "-o", trace, "-e", "trace=openat,write,close", "-E", f"LD_PRELOAD={preload}", *program],
        env=cluster.env("web", K8SLB_LOG=f"debug:{log}"),
        preload=False,
    )

    expect((result.returncode, result.stderr), (0, ""), result)
    text = trace.read_text()
    main = text.split(maxsplit=1)[0]
    # Calls of two threads at once are told in two pieces, of which the first has the arguments.
    calls = [line.split(maxsplit=1) for line in text.splitlines() if str(log) in line and "resumed>" not in line]
    written = len(log.read_text().splitlines())
    assert written > 5, result
    threads = {thread for thread, _call in calls}
    expect((len(threads), main in threads), (1, False), *calls)
    kinds = [call.split("(")[0] for _thread, call in calls]
    expect(kinds, ["openat", "write", "close"] * written, *calls)
    flags = {call.split(", ")[2] for _thread, call in calls if call.startswith("openat")}
    expect(flags, {"O_WRONLY|O_CREAT|O_NOCTTY|O_APPEND|O_NONBLOCK|O_NOFOLLOW|O_CLOEXEC"})


def test_a_rotated_file_is_left_behind(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    service, pods = three(cluster)
    follower = Follower(run_shim, service, cluster.env("web"))
    follower.wait_log("resourceVersion")
    expect_followed(follower, names(pods))
    current = follower.process.log_path
    rotated = current.with_name("rotated.log")

    current.rename(rotated)
    before = rotated.read_text()
    cluster.add_pod("web-3", {"app": "web"})
    follower.wait_log("changed")

    expect(rotated.read_text(), before, follower)
    expect(len(lines_by_process(before + current.read_text())), 1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 KiB; within the mount namespace of the tests."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_costs_lines_only(cluster: DoubleCluster, run_shim: ShimRunner, small_disk: Path) -> None:
    service, pods = three(cluster)
    log, filler = small_disk / "k8slb.log", small_disk / "filler"
    follower = Follower(run_shim, service, cluster.env("web", K8SLB_LOG=f"debug:{log}"))
    expect_followed(follower, names(pods))
    fill(filler)
    full = log.read_text()

    added = cluster.add_pod("web-3", {"app": "web"})
    expect_followed(follower, names(pods) | {added.name})

    # A line that fitted in part is cut; nothing comes after it.
    assert log.stat().st_size - len(full) < 4096, log.read_text()
    lines_by_process(full)
    filler.unlink()
    before = log.stat().st_size
    cluster.delete_pod(added)
    wait_until("lines after the disk has room", lambda: log.stat().st_size > before, follower)
    expect_followed(follower, names(pods))
    # Only where the disk was full may there be a piece of a line.
    torn = [line for line in log.read_text()[:-1].split("\n") if not LINE.fullmatch(line)]
    assert len(torn) <= 1, torn
    expect(follower.process.result().stderr, "", follower)


def fill(path: Path) -> None:
    """Takes what the disk has left."""
    with open(path, "wb", buffering=0) as file:
        try:
            while file.write(b"x" * 512):
                pass
        except OSError as error:
            expect(os.strerror(error.errno or 0), "No space left on device")


def test_a_pipe_that_nobody_reads_holds_up_nobody(cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path) -> None:
    """It fills, and the thread goes on to follow."""
    service, pods = three(cluster)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        follower = Follower(run_shim, service, cluster.env("web", K8SLB_LOG=f"debug:{fifo}"))
        expect_followed(follower, names(pods))
        with open(fifo, "wb", buffering=0) as writer:
            os.set_blocking(writer.fileno(), False)
            for size in (4096, 1):
                while writer.write(b"x" * size) == size:
                    pass
        added = cluster.add_pod("web-3", {"app": "web"})
        expect_followed(follower, names(pods) | {added.name})
        expect(follower.results(), names(pods) | {added.name}, follower)
        expect(follower.process.result().stderr, "", follower)
    finally:
        os.close(reader)


def test_a_file_that_may_not_grow(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    """The constructor's lines come from the program's own thread, which SIGXFSZ would end."""
    service, _pods = web(cluster)
    program = [build.programs / "connect_loop", service.vip, 80, 9, "plain"]

    env = cluster.env("web", K8SLB_POLICY="wrong", K8SLB_ONLY="connect_loop")
    result = run_shim(["sh", "-c", NO_FILE_MAY_GROW, "sh", *program], env=env)

    lines = result.stdout.splitlines()
    expect((len(lines), lines[-1:], result.log), (10, ["status 0"], ""), result)
