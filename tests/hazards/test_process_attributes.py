# SPDX-License-Identifier: Apache-2.0
"""Attributes of a process that an extra thread may spoil: no core dump or one of the wrong thread, a parent-death signal at
the end of a thread, a process that may no longer be examined. Ours reads nothing below /proc/self that these attributes
close."""
import signal
from pathlib import Path
from typing import Dict

import pytest

from tests.e2e.common import stand_in
from tests.harness import ShimRunner, expect
from tests.hazards.guests import ASK, expect_balanced, expect_same
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import python, web

pytestmark = pytest.mark.clusters("double")

# What the program does, before or after its first connection, and what it tells of it.
ATTRIBUTES: Dict[str, str] = {
    "not dumpable": "libc.prctl(4, 0, 0, 0, 0); told = libc.prctl(3, 0, 0, 0, 0)",
    "no new privileges": "libc.prctl(38, 1, 0, 0, 0); told = libc.prctl(39, 0, 0, 0, 0)",
    "parent-death signal": "libc.prctl(1, 9, 0, 0, 0); told = os.getppid() > 1",
    "subreaper": "libc.prctl(36, 1, 0, 0, 0); told = 36",
    "name": "libc.prctl(15, b'renamed', 0, 0, 0); told = open('/proc/self/comm').read()",
    "timer slack": "libc.prctl(29, 1000000000, 0, 0, 0); told = libc.prctl(30, 0, 0, 0, 0)",
    "no core": "resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); told = resource.getrlimit(resource.RLIMIT_CORE)",
    "umask": "os.umask(0o777); told = os.umask(0o777)",
    "own session": "os.fork() and os._exit(os.waitstatus_to_exitcode(os.wait()[1])); os.setsid(); told = 'session'",
    "no working directory": "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); told = 'no directory'",
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_the_attribute_holds_and_the_program_is_balanced(
    cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path, attribute: str, when: str
) -> None:
    service, pods = web(cluster)
    stand_in(cluster, service)
    steps = ["ask(9)", ATTRIBUTES[attribute]]
    code = ASK + "\n".join(steps if when == "after" else reversed(steps)) + "\nask(9)\nos.write(1, f'{told!r}\\n'.encode())\n"
    command = python(code, service.vip, 80)

    bare = run_shim(command, preload=False, cwd=str(tmp_path))
    shimmed = run_shim(command, env=cluster.env("web"), cwd=str(tmp_path))

    expect_same(shimmed, bare)
    expect(shimmed.stdout.splitlines()[-1], bare.stdout.splitlines()[-1], shimmed)
    expect_balanced([line for line in shimmed.stdout.splitlines() if line.startswith(("web", "vip"))], pods, shimmed)


# A child that dies by a signal, and one whose parent does: what its parent learns of it.
DYING = ASK + """
ask(2)
def learn(code):
    child = os.fork()
    if child == 0:
        ask(2)
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
        code()
        os._exit(99)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status), status & 127, os.WCOREDUMP(status)
facts = [learn(os.abort), learn(lambda: ctypes.string_at(0)), learn(lambda: os.kill(os.getpid(), signal.SIGQUIT))]
os.write(1, f"{facts}\\n".encode())
"""


@pytest.mark.unsanitized("the sanitizers handle these signals themselves")
def test_deaths_and_core_dumps_are_as_without(cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path) -> None:
    service, _pods = web(cluster)
    stand_in(cluster, service)
    command = python(DYING, service.vip, 80)

    bare = run_shim(command, preload=False, cwd=str(tmp_path))
    shimmed = run_shim(command, env=cluster.env("web"), cwd=str(tmp_path))

    expect_same(shimmed, bare)
    expect(shimmed.stdout.splitlines()[-1], bare.stdout.splitlines()[-1], shimmed)
    assert f"True, {int(signal.SIGSEGV)}" in shimmed.stdout, shimmed


ORPHAN = ASK + """
ask(2)
reader, writer = os.pipe()
parent = os.fork()
if parent == 0:
    ask(2)
    child = os.fork()
    if child == 0:
        libc.prctl(1, signal.SIGUSR1, 0, 0, 0)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        ask(4)
        early = signal.sigtimedwait({signal.SIGUSR1}, 0.3)
        os.write(writer, b"ready")
        late = signal.sigtimedwait({signal.SIGUSR1}, 10)
        os.write(writer, f"{early is None} {late is not None}".encode())
        os._exit(0)
    os.read(reader, 5)
    os._exit(0)
os.wait()
os.write(1, os.read(reader, 100) + b"\\n")
"""


def test_the_parent_death_signal_comes_at_the_parents_death(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """And not at that of a thread of ours: the kernel sends it when the thread ends that made the child."""
    service, _pods = web(cluster)
    stand_in(cluster, service)
    command = python(ORPHAN, service.vip, 80)

    bare = run_shim(command, preload=False)
    shimmed = run_shim(command, env=cluster.env("web"))

    expect_same(shimmed, bare)
    expect((shimmed.stdout.splitlines()[-1], bare.stdout.splitlines()[-1]), ("True True",) * 2, shimmed)
