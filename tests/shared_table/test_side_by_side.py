# SPDX-License-Identifier: Apache-2.0
"""Tables beside each other, and programs that change what a table is found by: its settings, their user, their root, its size."""
import os
import time
from pathlib import Path

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.hazards.guests import ASK, NOBODY, as_nobody, needs_root, public_build, public_credentials, public_directory
from tests.kube.double_cluster import DoubleCluster
from tests.shared_table import sysv
from tests.shared_table.common import TWO_LISTS_EACH, Guest, bulk, holders, lists_of, names, target, wait_writer

pytestmark = pytest.mark.clusters("double")
public = pytest.fixture(public_directory)


def test_growth_while_programs_run(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """From the first segment to the second and the third: no connection misses the table meanwhile."""
    service, pods = target(cluster)
    cluster.create_service("bulk", selector={})
    env = cluster.env("web,bulk")
    guests = [Guest(run_shim, service, env) for _ in range(3)]
    for guest in guests:
        guest.wait_asked(names(pods))
    for segments, endpoints in ((2, 5000), (3, 50000)):
        bulk(cluster, endpoints)
        deadline = time.monotonic() + 60
        while len(sysv.tables()) < segments:
            assert time.monotonic() < deadline, sysv.tables()
            for guest in guests:
                expect(set(guest.ask(9)), names(pods), guest.process.result(), cluster.logs())
        pods.append(cluster.add_pod(f"after-{endpoints}", {"app": "web"}))
        for guest in guests:
            guest.wait_asked(names(pods), cluster.logs)
    guests.append(Guest(run_shim, service, env))
    expect(set(guests[-1].ask(15)), names(pods), guests[-1].process.result())
    # The next writer finds the largest, and tells the change in it.
    writer = wait_writer()
    for guest in [guest for guest in guests if guest.pid == writer]:
        guest.kill()
        guests.remove(guest)
    pods.append(cluster.add_pod("last", {"app": "web"}))
    for guest in guests:
        guest.wait_asked(names(pods), cluster.logs)
    expect(lists_of(cluster), TWO_LISTS_EACH, cluster.logs())


def test_two_configurations(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """Each has its own table and its own writer, and hears of its own Services alone."""
    web, web_pods = target(cluster)
    api = cluster.create_service("api")
    api_pods = [cluster.add_pod(f"api-{i}", {"app": "api"}) for i in range(3)]
    cluster.wait_endpoints(api, 3)
    guests = [(Guest(run_shim, service, cluster.env(service.name)), pods) for service, pods in 2 * [(web, web_pods), (api, api_pods)]]
    for guest, pods in guests:
        guest.wait_asked(names(pods))
    expect((len(holders()), len(sysv.tables()), set(lists_of(cluster).values())), (2, 2, {2}), cluster.logs())
    # The end of a writer is of no interest to the other table.
    others = set(holders().values())
    first = guests.pop(0)[0]
    expect(first.pid in others, True, others)
    first.kill()
    web_pods.append(cluster.add_pod("web-late", {"app": "web"}))
    api_pods.append(cluster.add_pod("api-late", {"app": "api"}))
    for guest, pods in guests:
        guest.wait_asked(names(pods), cluster.logs)
    expect(len(others & set(holders().values())), 1, holders())
    expect(set(lists_of(cluster).values()), {3}, cluster.logs())


def test_two_users(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, public: Path) -> None:
    """Nobody reads, or waits for, what another user wrote."""
    service, pods = target(cluster)
    env = public_credentials(cluster.env("web"), public)
    shared = public_build(build, public)
    public.chmod(0o777)
    root = Guest(run_shim, service, {**env, "K8SLB_LOG": f"info:{public}/root"})
    root.wait_asked(names(pods))
    nobody_env = {**env, "LD_PRELOAD": shared.preload(), "K8SLB_LOG": f"info:{public}/nobody"}
    nobody = [Guest(run_shim, service, nobody_env, as_nobody([])) for _ in range(2)]
    for guest in nobody:
        guest.wait_asked(names(pods), cluster.logs)
    found = len(holders()), len(holders(NOBODY)), {one["uid"] for one in sysv.tables()}
    expect(found, (1, 1, {os.geteuid(), NOBODY}), cluster.logs())
    expect(set(lists_of(cluster).values()), {2}, cluster.logs(), (public / "nobody").read_text())
    root.kill()
    pods.append(cluster.add_pod("late", {"app": "web"}))
    for guest in nobody:
        guest.wait_asked(names(pods), cluster.logs)


def test_the_next_layout(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """Programs with a newer library come while old ones run. The version is part of the key, so a segment of the old layout is found
    only where two hashes meet: its writer keeps it, and who cannot read it serves itself."""
    service, pods = target(cluster)
    old = Guest(run_shim, service, cluster.env("web"))
    old.wait_asked(names(pods))
    (segment,) = sysv.tables()
    sysv.write(segment["shmid"], 8, b"\x7f")
    new = Guest(run_shim, service, cluster.env("web"))
    new.wait_asked(names(pods))
    new.process.wait_log("info: syncing from [^ ]*$")
    pods.append(cluster.add_pod("late", {"app": "web"}))
    for guest in (old, new):
        guest.wait_asked(names(pods), cluster.logs)
    # Once nobody of the old layout is left, its segment is replaced.
    old.end()
    new.end()
    last = Guest(run_shim, service, cluster.env("web"))
    last.wait_asked(names(pods), cluster.logs)
    expect(last.pid, wait_writer(), last.process.result())


CHANGING = ASK + """
for line in sys.stdin:
    if line == "change\\n":
        CHANGE
    else:
        ask(int(line))
    os.write(1, b"done\\n")
"""
CHANGES = {
    "setuid": f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})",
    "seteuid": f"os.seteuid({NOBODY})",
    "chroot": "os.mkdir(ROOT); os.chroot(ROOT); os.chdir('/')",
}


@pytest.mark.parametrize("who", ["the writer", "a reader"])
@pytest.mark.parametrize("how", CHANGES)
def test_a_process_changes(cluster: DoubleCluster, run_shim: ShimRunner, public: Path, how: str, who: str) -> None:
    """It goes on to hear of pods, and so does the other one that has stayed as it was, also when the changed one ends."""
    service, pods = target(cluster)
    public.chmod(0o777)
    env = public_credentials(cluster.env("web", K8SLB_RETRY_DELAY="1"), public)
    env["K8SLB_LOG"] = f"debug:{public}/log"
    code = CHANGING.replace("CHANGE", CHANGES[how].replace("ROOT", repr(f"{public}/empty")))
    guests = [Guest(run_shim, service, env, program=code) for _ in range(2)]
    for guest in guests:
        guest.wait_asked(names(pods))
    changed, stayed = guests if who == "the writer" else guests[::-1]
    changed.say("change")
    changed.answers()
    for number in range(3):
        pods.append(cluster.add_pod(f"late-{number}", {"app": "web"}))
        for guest in guests:
            guest.wait_asked(names(pods), cluster.logs, (public / "log").read_text)
    changed.kill()
    pods.append(cluster.add_pod("last", {"app": "web"}))
    stayed.wait_asked(names(pods), cluster.logs, (public / "log").read_text)


@pytest.mark.parametrize("how", CHANGES)
def test_the_writer_ends_before_a_changed_reader(cluster: DoubleCluster, run_shim: ShimRunner, public: Path, how: str) -> None:
    """It cannot use the files of who it was; it has the last table, and a new one as soon as it is the writer of its own."""
    service, pods = target(cluster)
    public.chmod(0o777)
    env = public_credentials(cluster.env("web", K8SLB_RETRY_DELAY="1"), public)
    env["K8SLB_LOG"] = f"debug:{public}/log"
    code = CHANGING.replace("CHANGE", CHANGES[how].replace("ROOT", repr(f"{public}/empty")))
    first = Guest(run_shim, service, env)
    first.wait_asked(names(pods))
    second = Guest(run_shim, service, env, program=code)
    second.wait_asked(names(pods))
    second.say("change")
    second.answers()
    first.kill()
    expect(set(second.ask(3 * len(pods))), names(pods), second.process.result())
    if how != "chroot":  # the credentials cannot be read from there
        pods.append(cluster.add_pod("late", {"app": "web"}))
        second.wait_asked(names(pods), cluster.logs, (public / "log").read_text)
