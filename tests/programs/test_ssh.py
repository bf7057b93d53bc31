# SPDX-License-Identifier: Apache-2.0
"""ssh, scp and sftp to sshd in pods: close_range() over all descriptors at start, getpeername() checked against known
hosts, helpers connected by pipes, a connection that goes on in the background."""
import os
import re
import signal
from pathlib import Path
from typing import Any, List

import pytest

from tests.harness import counts, expect, wait_until
from tests.programs.common import MODES, World, expect_alike, files_of, files_of_tree, tree, without
from tests.programs.servers import needs_real_root
from tests.programs.ssh import Ssh

pytestmark = [pytest.mark.clusters("double"), needs_real_root]

COUNT = counts(8, 60)
# What a session measures of itself, and what comes out of its keys.
MEASURED = without(r"^debug1: client_input_global_request.*\r?\n", r"^Transferred: .*$", r"^Bytes per second.*$", r"pid \d+")


@pytest.mark.parametrize("by", ["vip", "name"])
def test_commands(world: World, by: str) -> None:
    ssh = Ssh(world.directory)
    pods = ssh.serve(world)
    command = ["ssh", *ssh.options(), getattr(pods, by), "echo $POD; cat; ls /proc/self/fd; exit 3"]
    _plain, shim = world.both(command, {pods: 1}, stdin="through the connection\n", returncode=3)
    expect(shim.result.stdout.splitlines()[0] in pods.pod_names, True, shim.result)


def test_many_connections(world: World) -> None:
    """A process for each connection: its first pod is its own choice."""
    ssh = Ssh(world.directory)
    pods = ssh.serve(world)
    in_turns = ["sh", "-c", 'for i in $(seq "$0"); do "$@" || exit; done', COUNT]
    world.both([*in_turns, "ssh", "-n", *ssh.options(), pods.vip, "echo $POD"], {pods: COUNT}, uneven=COUNT - 1)


def test_it_tells_the_address_that_it_was_given(world: World) -> None:
    ssh = Ssh(world.directory)
    pods = ssh.serve(world)
    _plain, shim = world.both(["ssh", "-v", *ssh.options(), pods.vip, "true"], {pods: 1}, same=MEASURED)
    expect(f"Authenticated to {pods.vip} ([{pods.vip}]:22)" in shim.result.stderr, True, shim.result)


def test_files(world: World) -> None:
    """scp and sftp run ssh as their child, at the other end of two pipes."""
    ssh = Ssh(world.directory)
    pods = ssh.serve(world)
    remote = world.new_directory("remote")
    (remote / "down").write_text("down\n" * 50_000)

    def copied(command: List[Any], stdin: str = "") -> None:
        def prepared(directory: Path) -> List[Any]:
            (directory / "up").write_text("up\n" * 50_000)
            return command

        for run in world.both(prepared, {pods: 1}, stdin=stdin):
            expect((run.directory / "down").exists() or (remote / "up").read_text() == "up\n" * 50_000, True, run.result)

    copied(["scp", "-q", *ssh.options(), f"{pods.vip}:{remote}/down", "."])
    copied(["scp", "-q", *ssh.options(), "up", f"{pods.name}:{remote}/"])
    copied(["sftp", "-q", *ssh.options(), "-b", "-", pods.name], f"cd {remote}\nget down\nput up\n")


@pytest.mark.parametrize("helper", ["nc.openbsd %h %p", "ssh -W %h:%p {options} {vip}"], ids=["netcat", "ssh"])
def test_proxy_command(world: World, helper: str) -> None:
    """The connection is the helper's; ssh has two pipes, and asks no name server."""
    ssh = Ssh(world.directory)
    pods = ssh.serve(world)
    proxy = helper.format(options=" ".join(map(str, ssh.options())), vip=pods.vip)
    command = ["ssh", "-n", *ssh.options(), "-o", f"ProxyCommand={proxy}", pods.vip, "echo $POD"]
    if "-W" not in proxy:
        world.both(command, {pods: 1})
        return
    # The second half of the way is made by the pod's sshd, which has no shim.
    runs = [world.run(command, preload) for preload in MODES]
    context = [run.result for run in runs]
    expect([(sum(run.traffic[pods].pods), run.traffic[pods].vip) for run in runs], [(2, 2), (2, 1)], *context)
    expect([(run.result.returncode, run.result.stderr) for run in runs], [(0, "")] * 2, *context)
    expect({run.result.stdout.strip() for run in runs} <= pods.pod_names, True, *context)
    expect(runs[1].files, runs[0].files, *context)


def test_one_connection_for_many_sessions_from_the_background(world: World) -> None:
    """ssh -f logs in, leaves the terminal by daemon(), and serves others; at its end nothing of it is left."""
    ssh = Ssh(world.directory)
    pods = ssh.serve(world)
    seen = []
    for preload in MODES:
        control = world.new_directory("control") / "socket"
        shared = [*ssh.options(), "-S", control]
        with world.counting({pods: 1}, caught=preload):
            started = world.run(["ssh", "-f", "-N", "-M", *shared, pods.vip], preload)
            (master,) = world.orphans()
            answers = [world.run(["ssh", *shared, pods.vip, "echo $POD"], preload).result for _ in range(5)]
        expect({one.stdout.strip() for one in answers} <= pods.pod_names, True, *answers)
        expect([(one.returncode, one.stderr, len(set(one.stdout.split()))) for one in answers], [(0, "", 1)] * 5, *answers)
        files = {number: kind.replace(str(control.parent), "CONTROL") for number, kind in files_of(master).items()}
        ended = world.run(["ssh", *shared, "-O", "exit", pods.vip], preload).result
        wait_until("the end of the background process", lambda: not world.orphans(), lambda: files_of(master))
        seen.append((started.result.returncode, started.files, started.result.stderr, files, ended.returncode, ended.stderr))
    expect_alike(seen)


def test_sshd(world: World) -> None:
    """sshd under the shim: it runs itself anew for each connection, with descriptors 3 to 7 in fixed places, and what its
    clients have forwarded is connected by the process of their session."""
    ssh = Ssh(world.directory)
    web = world.web()
    seen = []
    for preload in MODES:
        directory = world.new_directory("sshd")
        with world.mode(preload):
            sshd = world.start(ssh.server(directory, "127.0.0.1", 2022), preload, listening=("127.0.0.1", 2022))
            session = ["ssh", *ssh.options(), "-p", "2022", "127.0.0.1"]
            # Without the shim in the client: all connections to the Service are sshd's.
            listed = world.run([*session, "ls /proc/self/fd; readlink /proc/self/fd/0"], preload=False).result
            forward = ["-f", "-N", "-L", f"127.0.0.1:2080:{web.name}:80", "-L", f"127.0.0.1:2081:{web.vip}:80"]
            world.run([*session[:1], *forward, *session[1:]], preload=False)
            urls = [f"http://127.0.0.1:{port}/[1-15]" for port in (2080, 2081)]
            with world.counting({web: 30}, caught=preload, shown=sshd.result):
                answers = world.run(["curl", "-sS", "-H", "Connection: close", *urls], preload=False).result
            files = files_of_tree(sshd.pid)
            (client,) = world.orphans()
            os.kill(client, signal.SIGTERM)
            wait_until("the end of the session", lambda: len(tree(sshd.pid)) == 1, sshd.result)
            sshd.stop(signal.SIGTERM)
        result = sshd.result()
        told = re.sub(r"port \d+|pid \d+", "*", result.stderr)
        seen.append((listed.returncode, re.sub(r"\d{3,}", "*", listed.stdout), listed.stderr, files, result.returncode, told))
        expect((answers.returncode, answers.stderr, len(answers.stdout.split())), (0, "", 30), answers, result)
    expect_alike(seen)


def test_sessions_of_sshd(world: World) -> None:
    """The shim in the sessions, by the variables that sshd gives them; each is a process of its own."""
    ssh = Ssh(world.directory)
    web = world.web()
    listed = []
    for preload in MODES:
        settings = world.run_shim.env(world.env()) if preload else {}
        chosen = {name: value for name, value in settings.items() if name == "LD_PRELOAD" or name.startswith("K8SLB_")}
        server = ssh.server(world.new_directory("sshd"), "127.0.0.1", 2022, **chosen)
        sshd = world.start(server, preload, listening=("127.0.0.1", 2022))
        ask = f"exec 3<>/dev/tcp/{web.vip}/80; echo WHO >&3; read -r pod <&3"
        script = f"for i in 1 2 3 4 5 6 7 8 9; do {ask}; done; ls /proc/self/fd"
        command = ["ssh", *ssh.options(), "-p", "2022", "127.0.0.1", f"exec bash -c '{script}'"]
        with world.counting({web: 9}, caught=preload, shown=sshd.result):
            result = world.run(command, preload=False).result
        listed.append((result.returncode, result.stdout, result.stderr))
        sshd.stop(signal.SIGTERM)
    expect_alike(listed)
