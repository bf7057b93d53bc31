# SPDX-License-Identifier: Apache-2.0
"""Whom a reader believes, and what an agent makes its socket beside: nobody but root, the reader's own user and the agent's may have
been able to put anything there."""
import os
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Set, Tuple

import pytest

from tests.agent.common import MESSAGE, SERVE, STRANGER, Agents, probe
from tests.harness import ShimProcess, ShimRunner, expect
from tests.hazards.guests import as_user, needs_root, public_credentials
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import python

pytestmark = pytest.mark.clusters("double")

ROOT = Path(__file__).resolve().parent.parent.parent
AGENTS_USER, EVIL = 4712, 4713


# In the namespace every user is shown as 65534, which it says to be; in truth it is root.
READERS: Dict[str, List[str]] = {
    "root": [],
    "agent's user": as_user(AGENTS_USER),
    "other user": STRANGER,
    "user namespace": ["unshare", "--user", "--map-user=65534", "--map-group=65534"],
}
PODS = [f"0 77 web-{i}" for i in range(3)]
LIBC = ["0 77 vip"] * 3


def expect_reader(
    run_shim: ShimRunner, vip: str, table: Path, reader: str, believed: bool, *shown: object, **env: str
) -> None:
    """As fast either way, and nothing of it stays."""
    result = probe(run_shim, vip, 80, table, by=READERS[reader], **env)
    *answers, files = result.stdout.splitlines()
    wanted = (0, PODS if believed else LIBC, f"files 0 tables {int(believed)}")
    expect((result.returncode, sorted(answers), files), wanted, result, *shown)


# ---- Where a stranger's agent may be ----


def his(directory: Path) -> Path:
    directory.mkdir()
    directory.chmod(0o755)
    os.chown(directory, EVIL, EVIL)
    return directory / "table"


def in_a_sticky_directory(place: Path) -> Tuple[Path, Path]:
    place.chmod(0o1777)
    table = his(place / "agent")
    return table, table


def in_the_place_of_a_directory(place: Path) -> Tuple[Path, Path]:
    """An emptyDir lets everybody rename what is in it."""
    place.chmod(0o777)
    (place / "agent").mkdir()
    os.rename(place / "agent", place / "away")
    table = his(place / "agent")
    return table, table


def in_the_directory_of_his_group(place: Path) -> Tuple[Path, Path]:
    place.chmod(0o775)
    os.chown(place, 0, EVIL)
    return place / "table", place / "table"


def his_socket_in_roots_directory(place: Path) -> Tuple[Path, Path]:
    return his(place / "his"), place / "table"


def behind_a_link(place: Path) -> Tuple[Path, Path]:
    (place / "table").symlink_to(place / "his/table")
    return his(place / "his"), place / "table"


def behind_a_link_of_a_directory(place: Path) -> Tuple[Path, Path]:
    (place / "agent").symlink_to(place / "his")
    return his(place / "his"), place / "agent/table"


# Each tells where he binds his socket, and the path that readers have; if that is another one, the socket is brought there.
PLACES: Dict[str, Callable[[Path], Tuple[Path, Path]]] = {
    "in a sticky directory": in_a_sticky_directory,
    "in the place of a directory": in_the_place_of_a_directory,
    "in the directory of his group": in_the_directory_of_his_group,
    "his socket in root's directory": his_socket_in_roots_directory,
    "root's socket": his_socket_in_roots_directory,
    "behind a link": behind_a_link,
    "behind a link of a directory": behind_a_link_of_a_directory,
}


def serve(run_shim: ShimRunner, uid: int, bound: Path, image: bytes, directory: Path) -> ShimProcess:
    (directory / "image").write_bytes(image)
    server = run_shim.start([*as_user(uid), *python(SERVE, bound, directory / "image", MESSAGE.hex())], preload=False)
    server.wait_output("listens")
    return server


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("where", PLACES)
def test_a_strangers_agent(
    cluster: DoubleCluster, run_shim: ShimRunner, vip: str, image: bytes, place: Path, where: str, reader: str
) -> None:
    needs_root()
    bound, table = PLACES[where](place)
    server = serve(run_shim, EVIL, bound, image, place)
    if where.endswith("root's directory") or where == "root's socket":
        os.rename(bound, table)
    if where == "root's socket":
        os.chown(table, 0, 0)

    expect_reader(run_shim, vip, table, reader, False, server.result())
    expect_reader(run_shim, vip, table, reader, False, server.result(), K8SLB_TABLE_UID=str(AGENTS_USER))


# ---- Whose agent is believed ----

NO_NAMESPACE: Set[str] = set(READERS) - {"user namespace"}
NOBODY: Set[str] = set()
# The agent's user, the mode and the owner of a directory above the socket, K8SLB_TABLE_UID; who believes it.
BELIEVED: Dict[str, Tuple[int, int, int, Dict[str, str], Set[str]]] = {
    "root": (0, 0o755, 0, {}, NO_NAMESPACE),
    "root, below a sticky directory": (0, 0o1777, 0, {}, NO_NAMESPACE),
    "root, where others may rename": (0, 0o777, 0, {}, NOBODY),
    "root, where a group may rename": (0, 0o775, 0, {}, NOBODY),
    "root, in another one's directory": (0, 0o755, EVIL, {}, NOBODY),
    "root, in the reader's directory": (0, 0o755, AGENTS_USER, {}, {"agent's user"}),
    "root, another one is named": (0, 0o755, 0, {"K8SLB_TABLE_UID": "4711"}, NOBODY),
    "a user": (AGENTS_USER, 0o755, 0, {}, {"agent's user"}),
    "a user, named": (AGENTS_USER, 0o755, 0, {"K8SLB_TABLE_UID": str(AGENTS_USER)}, NO_NAMESPACE),
    "a user, named, where others may rename": (AGENTS_USER, 0o777, 0, {"K8SLB_TABLE_UID": str(AGENTS_USER)}, NO_NAMESPACE),
    "a user, named as nobody": (AGENTS_USER, 0o755, 0, {"K8SLB_TABLE_UID": "65534"}, NOBODY),
    "a wrong name": (0, 0o755, 0, {"K8SLB_TABLE_UID": "agent"}, NO_NAMESPACE),
}


@pytest.mark.parametrize("whose", BELIEVED)
def test_who_is_believed(
    cluster: DoubleCluster, run_shim: ShimRunner, vip: str, image: bytes, place: Path, whose: str
) -> None:
    needs_root()
    uid, mode, owner, env, believers = BELIEVED[whose]
    above = place / "above"
    (above / "agent").mkdir(parents=True)
    os.chown(above / "agent", uid, uid)
    server = serve(run_shim, uid, above / "agent/table", image, place)
    os.chown(above, owner, owner)
    above.chmod(mode)

    for reader in READERS:
        expect_reader(run_shim, vip, above / "agent/table", reader, reader in believers, reader, server.result(), **env)


def test_nobody_where_all_users_are_known(cluster: DoubleCluster, run_shim: ShimRunner, vip: str, image: bytes, place: Path) -> None:
    """65534 is a user like others where the whole range is mapped."""
    needs_root()
    (place / "agent").mkdir()
    os.chown(place / "agent", 65534, 65534)
    serve(run_shim, 65534, place / "agent/table", image, place)

    result = probe(run_shim, vip, 80, place / "agent/table", by=as_user(65534))
    expect(sorted(result.stdout.splitlines()[:3]), PODS, result)
    expect_reader(run_shim, vip, place / "agent/table", "root", True, K8SLB_TABLE_UID="65534")


# ---- What an agent accepts ----


def another_owners_directory(place: Path) -> Path:
    return his(place / "agent")


def a_link_for_a_directory(place: Path) -> Path:
    (place / "real").mkdir()
    (place / "agent").symlink_to(place / "real")
    return place / "agent/table"


def another_owners_lock(place: Path) -> Path:
    (place / "table.lock").touch(0o600)
    os.chown(place / "table.lock", EVIL, EVIL)
    return place / "table"


def everybodys_lock(place: Path) -> Path:
    (place / "table.lock").touch()
    (place / "table.lock").chmod(0o666)
    return place / "table"


def a_link_for_a_lock(place: Path) -> Path:
    (place / "real.lock").touch(0o600)
    (place / "table.lock").symlink_to(place / "real.lock")
    return place / "table"


REFUSED: Dict[str, Tuple[Callable[[Path], Path], str]] = {
    "another owner's directory": (another_owners_directory, "belongs to user 4713"),
    "a link for a directory": (a_link_for_a_directory, "Not a directory"),
    "another owner's lock": (another_owners_lock, "belongs to user 4713"),
    "everybody's lock": (everybodys_lock, "others may use it"),
    "a link for a lock": (a_link_for_a_lock, "Too many levels of symbolic links"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_an_agent_refuses(cluster: DoubleCluster, agents: Agents, place: Path, what: str) -> None:
    needs_root()
    prepare, words = REFUSED[what]
    agent = agents.start(cluster, prepare(place))
    agent.wait_log(words)
    expect(agent.process.wait(20), 1, agent.log())


def test_an_agent_tells_that_others_may_take_its_place(
    cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, vip: str, place: Path
) -> None:
    place.chmod(0o777)
    table = place / "agent/table"
    agents.run(cluster, table).wait_log("others may replace it: readers need K8SLB_TABLE_UID=0")
    expect_reader(run_shim, vip, table, "root", False)
    expect_reader(run_shim, vip, table, "other user", True, K8SLB_TABLE_UID="0")


# ---- The manifests ----


@contextmanager
def volume(manifest: str) -> Iterator[Path]:
    """What kubelet mounts at /run/k8slb: a hostPath that it made is root's alone, an emptyDir is everybody's."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run"], check=True)
    try:
        directory = Path("/run/k8slb")
        directory.mkdir()
        directory.chmod(0o777 if "emptyDir: {medium: Memory" in manifest else 0o755)
        yield directory
    finally:
        subprocess.run(["umount", "-l", "/run"], check=True)


# What a container of another user does that has the volume to write.
NEIGHBOURS = {
    "none": "pass",
    "takes the directory's place": "os.rename(directory, directory + '-away'); os.mkdir(directory)",
    "takes the socket's place": "os.rename(sys.argv[1], sys.argv[1] + '-away')",
    "links the directory": "os.rename(directory, directory + '-away'); os.mkdir('/run/k8slb/his'); os.symlink('his', directory)",
}


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
@pytest.mark.parametrize("name", ["agent-sidecar/pod.yaml", "agent-daemonset/agent.yaml"])
def test_a_manifest_with_a_hostile_neighbour(
    cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, vip: str, image: bytes, tmp_path: Path, place: Path,
    name: str, neighbour: str,
) -> None:
    needs_root()
    text = (ROOT / "deploy" / name).read_text()
    words = (re.search(r"args: \[agent, (.*)\]", text) or ["", ""])[1].split(", ")
    uid = int((re.search(r"runAsUser: (\d+)", text) or ["", "-1"])[1])
    app = dict(re.findall(r"name: (K8SLB_\w+)\n +value: \"?([^\"\n]+)", text))
    table = Path(app["K8SLB_TABLE"])
    expect(words[0], f"--table={table}", text)
    env = {key: value for key, value in app.items() if key not in ("K8SLB_TABLE", "K8SLB_SERVICES")}
    with volume(text):
        agent = agents.run(
            cluster, table, *[word for word in words[1:] if not word.startswith('"--listen')],
            env=public_credentials(cluster.env(""), place), by=["setpriv", "--bounding-set=-all", "--inh-caps=-all", *as_user(uid)[1:]],
        )
        took = subprocess.run(
            [*as_user(EVIL), "python3", "-c", f"import os, sys\ndirectory = os.path.dirname(sys.argv[1])\n{NEIGHBOURS[neighbour]}", table],
            stderr=subprocess.PIPE, check=False,
        )
        if took.returncode == 0 and neighbour != "none":
            serve(run_shim, EVIL, table, image, place)
        genuine = neighbour == "none" or took.returncode != 0
        for reader in ("root", "other user"):
            result = probe(run_shim, vip, 80, table, by=READERS[reader], **env)
            expect(sorted(result.stdout.splitlines()[:3]), PODS if genuine else LIBC, reader, took.stderr, result, agent.log())
