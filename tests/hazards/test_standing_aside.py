# SPDX-License-Identifier: Apache-2.0
"""Hazard: LD_PRELOAD is inherited by every program of a container, and most of them want nothing of a load balancer.

A naive shim acts in all of them, or knows a script by the name of its file and not of its interpreter, or forgets its
decision in a forked child. Ours reads K8SLB_ONLY and K8SLB_SKIP once, in the constructor of each program, against the last
part of argv[0]; a forked child keeps what its parent had, a program that is executed decides anew.
"""
import os
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Dict, List, Tuple

import pytest

from tests.e2e.common import stand_in
from tests.harness import Build, ShimRunner, expect
from tests.kube.cluster import Cluster, Service
from tests.preload.common import python, tally, web

pytestmark = pytest.mark.clusters("double")

ASIDE = Counter({"vip": 3})
ACTS = Counter({"web-0": 1, "web-1": 1, "web-2": 1})


@pytest.fixture
def service(cluster: Cluster) -> Service:
    """Three pods behind it; a connection that is not balanced is answered "vip"."""
    made, _pods = web(cluster)
    stand_in(cluster, made)
    return made


def asks(program: "Path | str", service: Service) -> List[str]:
    """The command line of three blocking connections."""
    return [str(program), str(service.vip), "80", "3", "plain"]


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"K8SLB_ONLY": "app"}, ACTS),
        ({"K8SLB_ONLY": "sh app"}, ACTS),
        ({"K8SLB_ONLY": "app,sh"}, ACTS),
        ({"K8SLB_ONLY": "sh, app\n"}, ACTS),
        ({"K8SLB_ONLY": "sh\tapp"}, ACTS),
        ({"K8SLB_ONLY": ""}, ACTS),
        ({"K8SLB_ONLY": "sh"}, ASIDE),
        ({"K8SLB_ONLY": "ap"}, ASIDE),
        ({"K8SLB_ONLY": "app2"}, ASIDE),
        ({"K8SLB_ONLY": "App"}, ASIDE),
        ({"K8SLB_ONLY": "/usr/bin/app"}, ASIDE),
        ({"K8SLB_ONLY": "*"}, ASIDE),
        ({"K8SLB_ONLY": ","}, ASIDE),
        ({"K8SLB_SKIP": "app"}, ASIDE),
        ({"K8SLB_SKIP": "sh app"}, ASIDE),
        ({"K8SLB_SKIP": " ,app"}, ASIDE),
        ({"K8SLB_SKIP": ""}, ACTS),
        ({"K8SLB_SKIP": "sh"}, ACTS),
        ({"K8SLB_SKIP": "a app2"}, ACTS),
        ({"K8SLB_SKIP": "*"}, ACTS),
        ({"K8SLB_ONLY": "app", "K8SLB_SKIP": "app"}, ASIDE),
        ({"K8SLB_ONLY": "app", "K8SLB_SKIP": "sh"}, ACTS),
        ({"K8SLB_ONLY": "sh", "K8SLB_SKIP": "sh"}, ASIDE),
    ],
    ids=repr,
)
def test_by_name(
    cluster: Cluster,
    run_shim: ShimRunner,
    build: Build,
    tmp_path: Path,
    service: Service,
    settings: Dict[str, str],
    expected: "Counter[str]",
) -> None:
    """The lists are exact: no prefix, no path, no wildcard, no other case."""
    shutil.copy(build.programs / "connect_loop", tmp_path / "app")

    result = run_shim(asks(tmp_path / "app", service), env=cluster.env("web", **settings))

    expect((tally(result.stdout), result.stderr), (expected, ""), result)
    expect("syncing from" in result.log, expected == ACTS, result)


# How a program is called, and the name that it has then.
CALLS: List[Tuple[str, List[str], str]] = [
    ("its path", ["{app}", "{arguments}"], "app"),
    ("a path from here", ["sh", "-c", 'cd {folder} && exec ./app "$@"', "sh", "{arguments}"], "app"),
    ("another name", ["bash", "-c", 'exec -a /opt/other "$0" "$@"', "{app}", "{arguments}"], "other"),
    ("a login shell's name", ["bash", "-c", 'exec -l "$0" "$@"', "{app}", "{arguments}"], "app"),
    ("no name at all", [sys.executable, "{nameless}", "{app}", "{arguments}"], "app"),
]

# execv() of Python refuses an empty argv[0], which the kernel takes.
NAMELESS = """
import ctypes, sys
words = [sys.argv[1].encode(), b"", *(word.encode() for word in sys.argv[2:])]
ctypes.CDLL(None).execv(words[0], (ctypes.c_char_p * (len(words)))(*words[1:], None))
"""


@pytest.mark.parametrize("command, name", [pytest.param(words, name, id=what) for what, words, name in CALLS])
def test_what_the_name_is(
    cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path, service: Service, command: List[str], name: str
) -> None:
    """The last part of argv[0]; where there is none, what the kernel calls the process."""
    shutil.copy(build.programs / "connect_loop", tmp_path / "app")
    (tmp_path / "nameless.py").write_text(NAMELESS)
    known = {"{app}": tmp_path / "app", "{nameless}": tmp_path / "nameless.py"}
    words = [str(known.get(word, word)).replace("{folder}", str(tmp_path)) for word in command[:-1]]
    words += asks("", service)[1:]

    for variable, expected in (("K8SLB_ONLY", ACTS), ("K8SLB_SKIP", ASIDE)):
        result = run_shim(words, env=cluster.env("web", **{variable: name}))
        expect(tally(result.stdout), expected, f"{variable}={name}", result)


SCRIPT = """
import socket, sys
for _ in range(3):
    with socket.create_connection((sys.argv[1], 80)) as connection:
        connection.sendall(b"WHO\\n")
        print(connection.recv(100).decode().strip(), flush=True)
"""


@pytest.mark.parametrize("line", ["#!/usr/bin/env python3", f"#!{os.path.realpath('/bin')}/sh"])
def test_a_script_has_the_name_of_its_interpreter(
    cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path, service: Service, line: str
) -> None:
    script = tmp_path / "tool"
    if line.endswith("python3"):
        interpreter, body = "python3", SCRIPT
    else:
        # What the shell starts decides by its own name, so nothing of it is asked for but the script's.
        interpreter, body = "connect_loop", f'exec {build.programs / "connect_loop"} "$1" 80 3 plain\n'
    script.write_text(f"{line}\n{body}")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # where "env" finds the Python of the tests
    script.chmod(0o755)

    for settings, expected in (
        ({"K8SLB_ONLY": "tool"}, ASIDE),
        ({"K8SLB_SKIP": "tool"}, ACTS),
        ({"K8SLB_ONLY": interpreter}, ACTS),
        ({"K8SLB_SKIP": interpreter}, ASIDE),
    ):
        result = run_shim([script, service.vip], env={**cluster.env("web", **settings), "PATH": path})
        expect(tally(result.stdout), expected, settings, result)


@pytest.mark.parametrize("variable, expected", [("K8SLB_ONLY", ACTS), ("K8SLB_SKIP", ASIDE)])
def test_a_forked_child_keeps_what_its_parent_had(
    cluster: Cluster, run_shim: ShimRunner, service: Service, variable: str, expected: "Counter[str]"
) -> None:
    """Whatever it calls itself later, and whatever is in its environment then."""
    code = (
        "import ctypes, os, sys\n"
        "ask = sys.argv.pop()\n"
        "if os.fork() == 0:\n"
        "    ctypes.CDLL(None).prctl(15, b'other', 0, 0, 0)\n"
        "    os.environ[sys.argv.pop()] = 'other'\n"
        "    exec(ask)\n"
        "    os._exit(0)\n"
        "sys.exit(os.wait()[1])\n"
    )
    name = Path(sys.executable).name

    result = run_shim(python(code, service.vip, variable, SCRIPT), env=cluster.env("web", **{variable: name}))

    expect((result.returncode, tally(result.stdout)), (0, expected), result)


@pytest.mark.parametrize("variable, first, then", [("K8SLB_ONLY", ASIDE, ACTS), ("K8SLB_SKIP", ACTS, ASIDE)])
def test_an_executed_program_decides_anew(
    cluster: Cluster,
    run_shim: ShimRunner,
    build: Build,
    service: Service,
    variable: str,
    first: "Counter[str]",
    then: "Counter[str]",
) -> None:
    """By exec in the same process, and as a child."""
    program = asks(build.programs / "connect_loop", service)
    code = SCRIPT + f"import os, subprocess\nsubprocess.run({program!r}, check=True)\nos.execv({program[0]!r}, {program!r})\n"

    result = run_shim(python(code, service.vip), env=cluster.env("web", **{variable: "connect_loop"}))

    expect(result.returncode, 0, result)
    answers = result.stdout.splitlines()
    expect([Counter(answers[i : i + 3]) for i in (0, 3, 6)], [first, then, then], result)


def test_names_longer_than_the_kernels(
    cluster: Cluster, run_shim: ShimRunner, build: Build, tmp_path: Path, service: Service
) -> None:
    """The kernel's own name of a process ends after 15 bytes, the lists do not."""
    name = "a-program-of-a-name-that-is-longer-than-fifteen-bytes"
    shutil.copy(build.programs / "connect_loop", tmp_path / name)

    for listed, expected in ((name, ACTS), (name[:15], ASIDE)):
        result = run_shim(asks(tmp_path / name, service), env=cluster.env("web", K8SLB_ONLY=listed))
        expect(tally(result.stdout), expected, listed, result)
