# SPDX-License-Identifier: Apache-2.0
"""setuid() and its kin change every thread that glibc knows, by a signal to each: a naive shim's thread that blocks all
signals hangs the program, one that glibc does not know stays root. Ours takes the signal, loses what the program loses, and
serves on."""
import json
from pathlib import Path
from typing import Any, Dict, List, Mapping

import pytest

from tests.e2e.common import stand_in
from tests.harness import Result, ShimRunner, expect, wait_until
from tests.hazards.guests import ASK, NOBODY, expect_balanced, expect_same, public_credentials, public_directory
from tests.kube.double_cluster import DoubleCluster
from tests.ours import OURS
from tests.preload.common import python, web

pytestmark = [
    pytest.mark.clusters("double"),
    pytest.mark.unsanitized("ThreadSanitizer has a thread of its own, which blocks glibc's signal"),
]
root = pytest.fixture(public_directory)

# identities(): what the kernel knows of each thread's rights, each kind once.
IDENTITIES = ASK + """
def await_threads():
    # One that has only just begun is not known by its number yet: it would be ended to be on the safe side.
    while len(threads()) > 1 and not any(
        open(f"/proc/self/task/{task}/comm").read() == "LAST\\n" for task in threads()
    ):
        time.sleep(0.001)
KEPT = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")
def identities():
    found = []
    for task in threads():
        try:
            lines = [line.split() for line in open(f"/proc/self/task/{task}/status") if line.startswith(KEPT)]
        except OSError:
            continue  # it has just ended
        if lines not in found:
            found.append(lines)
    return found
def capset(mask):
    header = (ctypes.c_uint * 2)(0x20080522, 0)
    low, high = mask & 0xffffffff, mask >> 32
    return libc.capset(header, (ctypes.c_uint * 6)(low, low, 0, high, high, 0))
def told(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
def show(*facts):
    os.write(1, (json.dumps(facts) + "\\n").encode())
""".replace("LAST", OURS[-1])

DROPS: Dict[str, str] = {
    "setuid": "os.setgroups([])\nos.setgid(65534)\nos.setuid(65534)\n",
    "setresuid": "os.initgroups('nobody', 65534)\nos.setresgid(65534, 65534, 65534)\nos.setresuid(65534, 65534, 65534)\n",
    "setreuid": "os.setregid(65534, 65534)\nos.setreuid(65534, 65534)\n",
    "effective, and back": "os.setegid(65534)\nos.seteuid(65534)\nos.seteuid(0)\nos.setegid(0)\n",
    "effective": "os.setegid(65534)\nos.seteuid(65534)\n",
    "not dumpable": "libc.prctl(4, 0, 0, 0, 0)\nos.setgid(65534)\nos.setuid(65534)\n",
}


def facts(result: Result) -> Any:
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("[")]


def expect_same_facts(run_shim: ShimRunner, command: List[Any], env: Mapping[str, str]) -> Result:
    """The program ends and tells of itself as without the shim."""
    bare = run_shim(command, preload=False)
    shimmed = run_shim(command, env=env)

    expect_same(shimmed, bare)
    expect(facts(shimmed), facts(bare), shimmed)
    return shimmed


@pytest.mark.parametrize("how", DROPS)
def test_all_threads_change_and_the_program_is_still_balanced(
    cluster: DoubleCluster, run_shim: ShimRunner, root: Path, how: str
) -> None:
    service, pods = web(cluster)
    stand_in(cluster, service)
    code = IDENTITIES + "ask(2)\nawait_threads()\n" + DROPS[how] + "show(identities(), told(os.setuid, 0), len(threads()))\nask(9)\n"
    command = python(code, service.vip, 80)

    bare = run_shim(command, preload=False)
    shimmed = run_shim(command, env=cluster.env("web"))

    expect_same(shimmed, bare)
    ((bare_identities, bare_regained, bare_threads),) = facts(bare)
    ((identities, regained, threads),) = facts(shimmed)
    expect((identities, regained), (bare_identities, bare_regained), shimmed)
    expect((bare_threads, threads), (1, 1 + len(OURS)), shimmed)
    expect_balanced(shimmed.stdout.splitlines()[3:], pods, shimmed)


def test_a_drop_in_the_middle_of_the_first_sync(cluster: DoubleCluster, run_shim: ShimRunner, root: Path) -> None:
    """The thread has read its token as root, and waits for the answer."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    cluster.server.fault("stall_headers", seconds=0.5)
    code = IDENTITIES + (
        "first = threading.Thread(target=ask, args=[1])\n"
        "first.start()\n"
        "while not os.path.exists(sys.argv[3]):\n"
        "    time.sleep(0.001)\n" + DROPS["setuid"] + "show(len(identities()))\nfirst.join()\n"
        "while ask_once() == 'vip':\n"
        "    time.sleep(0.01)\n"
        "ask(9)\n"
    )

    program = run_shim.start(python(code, service.vip, 80, root / "now"), env=cluster.env("web", K8SLB_RETRY_DELAY="1"))
    wait_until("a request", lambda: cluster.server.log.records(), program.result)
    (root / "now").touch()
    result = program.wait()

    expect((result.returncode, result.stderr, facts(result)), (0, "", [[1]]), result)
    expect_balanced(result.stdout.splitlines()[-9:], pods, result)


WORKERS = IDENTITIES + """
if sys.argv[3] == "connected":
    ask(2)
for _ in range(2):
    if os.fork() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        ask(9)
        show(len(identities()), told(open, os.environ["K8SLB_TOKEN_FILE"]))
        os._exit(0)
    os.wait()
"""


@pytest.mark.parametrize("master", ["connected", "silent"])
@pytest.mark.parametrize("token", ["readable", "unreadable"])
def test_workers_of_a_privileged_master(
    cluster: DoubleCluster, run_shim: ShimRunner, root: Path, master: str, token: str
) -> None:
    """As nginx does it. A worker that may not read the token has the table that its master had, or none and then kube-proxy."""
    service, pods = web(cluster)
    vip = stand_in(cluster, service)
    env = cluster.env("web")
    if token == "readable":
        env = public_credentials(env, root)
    root.chmod(0o777)
    env["K8SLB_LOG"] = f"debug:{root}/log"

    result = run_shim(python(WORKERS, service.vip, 80, master), env=env)

    log = (root / "log").read_text() if (root / "log").exists() else ""
    expect((result.returncode, result.stderr), (0, ""), result)
    expect(facts(result), [[1, "done" if token == "readable" else "EACCES"]] * 2, result, log)
    answers = [line for line in result.stdout.splitlines() if not line.startswith("[")]
    if master == "silent" and token == "unreadable":
        expect(set(answers), {vip.name}, result, log)
    else:
        expect_balanced(answers, pods, result, log)


def test_capabilities_that_the_program_gives_up(cluster: DoubleCluster, run_shim: ShimRunner, root: Path) -> None:
    """capset() is of one thread, by the kernel's rule. What is tested: nothing breaks, and the table goes on."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    code = IDENTITIES + "ask(2)\nshow(capset(0), told(os.chown, '/proc/self/nothing', 1, 1), told(os.chroot, '/'))\nask(9)\n"

    shimmed = expect_same_facts(run_shim, python(code, service.vip, 80), cluster.env("web"))
    expect_balanced(shimmed.stdout.splitlines()[3:], pods, shimmed)


# glibc compares what setuid() answers in each thread and aborts the program when that differs.
CAPABILITIES_DIFFER: Dict[str, str] = {
    "none are left": "capset(0)\n",
    "kept over setuid": "libc.prctl(8, 1, 0, 0, 0)\nos.setresuid(33, 33, 33)\ncapset(1 << 6 | 1 << 7 | 1 << 10)\n",
}


@pytest.mark.parametrize("how", CAPABILITIES_DIFFER)
def test_setuid_of_a_program_that_changed_its_capabilities(
    cluster: DoubleCluster, run_shim: ShimRunner, root: Path, how: str
) -> None:
    service, _pods = web(cluster)
    stand_in(cluster, service)
    code = IDENTITIES + "ask(2)\n" + CAPABILITIES_DIFFER[how] + f"show(told(os.setuid, {NOBODY}))\nask(9)\n"

    expect_same_facts(run_shim, python(code, service.vip, 80), cluster.env("web"))


@pytest.mark.parametrize("how", CAPABILITIES_DIFFER)
def test_the_same_before_the_first_table_of_another_process(
    cluster: DoubleCluster, run_shim: ShimRunner, root: Path, how: str
) -> None:
    """The thread follows a writer that has nothing yet: it must end there too."""
    service, _pods = web(cluster)
    stand_in(cluster, service)
    cluster.server.fault("stall_headers", times=None, seconds=None)
    env = cluster.env("web", K8SLB_SYNC_TIMEOUT="300")
    writer = run_shim.start(python(IDENTITIES + "ask(1)\ntime.sleep(60)\n", service.vip, 80), env=env)
    writer.wait_output("vip")
    code = IDENTITIES + "ask(1)\n" + CAPABILITIES_DIFFER[how] + f"show(told(os.setuid, {NOBODY}))\n"

    expect_same_facts(run_shim, python(code, service.vip, 80), env)


# What is left allows the change of ids that follows, and is not what the thread has: it ends before.
CHANGES: Dict[str, str] = {
    "the same user": "os.seteuid(0)\n",
    "another user, who has no table yet": f"os.seteuid({NOBODY})\n",
}


@pytest.mark.parametrize("how", CHANGES)
def test_the_first_calls_after_a_change_wait_for_the_table_again(
    cluster: DoubleCluster, run_shim: ShimRunner, root: Path, how: str
) -> None:
    """As the first calls of a process do: the thread that begins anew has a table of its own to show."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    env = public_credentials(cluster.env("web"), root)
    root.chmod(0o777)
    env["K8SLB_LOG"] = f"debug:{root}/log"
    code = IDENTITIES + (
        "ask(3)\nbefore = threads()\nshow(len(before), capset(1 << 6 | 1 << 7))\n" + CHANGES[how] +
        "ask(6)\nshow(len(threads()), threads() != before)\n"
    )

    result = run_shim(python(code, service.vip, 80), env=env)

    log = (root / "log").read_text()
    expect((result.returncode, result.stderr, facts(result)), (0, "", [[1 + len(OURS), 0], [1 + len(OURS), True]]), result, log)
    answers = [line for line in result.stdout.splitlines() if not line.startswith("[")]
    expect_balanced(answers[:3], pods, result, log)
    expect_balanced(answers[3:], pods, result, log)
