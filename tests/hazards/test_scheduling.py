# SPDX-License-Identifier: Apache-2.0
"""A new thread inherits the scheduling of its creator: a naive shim's thread of a realtime program would be one too, and can
hold a CPU against the whole node. Ours keeps nothing that ranks above the others; what ranks below, and the CPUs, it shares
with the program."""
import json
import os
from typing import Any

import pytest

from tests.harness import ShimRunner, expect
from tests.hazards.guests import ASK, expect_balanced, needs_root
from tests.kube.double_cluster import DoubleCluster
from tests.ours import OURS
from tests.preload.common import python, web

pytestmark = [
    pytest.mark.clusters("double"),
    pytest.mark.unsanitized("the sanitizer's own thread is counted"),
]

SCHEDULED = ASK + """
exec(sys.argv[3])
ask(9)
def names_of_ours():
    return {open(f"/proc/self/task/{task}/comm").read().strip() for task in set(threads()) - {os.getpid()}}
while names_of_ours() != set(sys.argv[4:]):  # once a thread has its priority it has its name
    time.sleep(0.01)
def scheduling(task):
    return [os.sched_getscheduler(task), os.sched_getparam(task).sched_priority, sorted(os.sched_getaffinity(task)),
            os.getpriority(os.PRIO_PROCESS, task)]
os.write(1, (json.dumps([scheduling(task) for task in [os.getpid(), *(set(threads()) - {os.getpid()})]]) + "\\n").encode())
"""


def threads_of(cluster: DoubleCluster, run_shim: ShimRunner, setting: str) -> Any:
    """What the program's thread has, and each of ours: policy, priority, CPUs, nice value."""
    service, pods = web(cluster)
    result = run_shim(python(SCHEDULED, service.vip, 80, setting, *OURS), env=cluster.env("web"))
    expect((result.returncode, result.stderr), (0, ""), result)
    *answers, told = result.stdout.splitlines()
    expect_balanced(answers, pods, result)
    program, *ours = json.loads(told)
    expect((len(ours), ours[0]), (len(OURS), ours[-1]), result)
    return program, ours[0]


@pytest.mark.parametrize("policy", ["FIFO", "RR"])
def test_realtime_is_the_programs_own(cluster: DoubleCluster, run_shim: ShimRunner, policy: str) -> None:
    needs_root()
    setting = f"os.sched_setscheduler(0, os.SCHED_{policy}, os.sched_param(10))"

    (program, ours) = threads_of(cluster, run_shim, setting)

    expect((program[:2], ours[:2]), ([getattr(os, f"SCHED_{policy}"), 10], [os.SCHED_OTHER, 0]))


@pytest.mark.parametrize("policy", ["IDLE", "BATCH"])
def test_lower_policies_are_shared(cluster: DoubleCluster, run_shim: ShimRunner, policy: str) -> None:
    setting = f"os.sched_setscheduler(0, os.SCHED_{policy}, os.sched_param(0))"

    (program, ours) = threads_of(cluster, run_shim, setting)

    expect(ours, program)
    expect(program[0], getattr(os, f"SCHED_{policy}"))


def test_nice_and_cpus_are_shared(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    cpu = max(os.sched_getaffinity(0))
    nicer = min(os.getpriority(os.PRIO_PROCESS, 0) + 7, 19)  # the tests may be nice themselves

    (program, ours) = threads_of(cluster, run_shim, f"os.nice(7); os.sched_setaffinity(0, {{{cpu}}})")

    expect((program, ours), ([os.SCHED_OTHER, 0, [cpu], nicer],) * 2)


def test_a_raised_priority_is_the_programs_own(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    needs_root()

    (program, ours) = threads_of(cluster, run_shim, "os.setpriority(os.PRIO_PROCESS, 0, -5)")

    expect((program[3], ours[3]), (-5, 0))
