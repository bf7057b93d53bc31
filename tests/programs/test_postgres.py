# SPDX-License-Identifier: Apache-2.0
"""psql and pgbench, by way of libpq, which connects without blocking and tries one host after the other; real servers."""
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

from tests.harness import expect, wait_until
from tests.kube.cluster import Pod
from tests.programs.common import Backend, World, without

pytestmark = pytest.mark.clusters("double")

PORT = 5432
# A server refuses to run as root. Who it is outside of its namespace does not change, so that it reads what the tests wrote.
# The namespace for IPC takes its shared memory along, however it ends.
NOT_ROOT = ["unshare", "--user", "--map-user=postgres", "--map-group=postgres", "--ipc", "--"]
SMALL = {
    "fsync": "off", "shared_buffers": "1MB", "max_connections": "40", "autovacuum": "off", "max_wal_senders": "0",
    "wal_level": "minimal", "unix_socket_directories": "", "logging_collector": "off",
}  # fmt: skip
LOGIN = {"PGUSER": "postgres", "PGDATABASE": "postgres", "PGCONNECT_TIMEOUT": "10"}
WHERE = "SHOW cluster_name"  # the pod's name


@pytest.fixture(scope="module")
def programs() -> Path:
    """Where Debian keeps those of the server: not on the PATH, there may be several versions."""
    told = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True)
    return Path(told.stdout.strip())


@pytest.fixture(scope="module")
def data(programs: Path) -> Iterator[Path]:
    """A folder with an empty database to copy, "empty"; removed at the end with its copies, they are not small."""
    with tempfile.TemporaryDirectory(prefix="k8slb-postgres-") as name:
        empty = Path(name) / "empty"
        options = ["--auth=trust", "--no-sync", "--no-instructions", "--locale=C", "--encoding=UTF8", "--wal-segsize=1"]
        command = [*NOT_ROOT, programs / "initdb", *options, "--username=postgres", "--pgdata", empty]
        made = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        expect(made.returncode, 0, made.stdout, made.stderr)
        with open(empty / "pg_hba.conf", "a") as file:
            file.write("host all all all trust\n")
        yield Path(name)


@pytest.fixture
def postgres(programs: Path, data: Path, world: World) -> Backend:
    """Three servers, pods of one Service."""

    def command(pod: Pod, _directory: Path) -> List[Any]:
        place = data / pod.name
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run(["cp", "-a", "--reflink=auto", str(data / "empty"), str(place)], check=True)
        settings = {**SMALL, "listen_addresses": pod.ip, "port": pod.port, "cluster_name": pod.name}
        options = [f"--{key}={value}" for key, value in settings.items()]
        return [*NOT_ROOT, programs / "postgres", "-D", place, *options]

    backend = world.serve("postgres", PORT, command)
    for pod in backend.pods:  # it listens before it is done with its files
        ready = ["pg_isready", "-q", "-h", pod.ip]
        wait_until(f"{pod.name} is ready", lambda: world.run_shim(ready, preload=False).returncode == 0, pause=0.03)
    return backend


@pytest.mark.parametrize("by", ["vip", "name"])
def test_psql(world: World, postgres: Backend, by: str) -> None:
    psql = ["psql", "-X", "-At", "-h", getattr(postgres, by)]
    world.both([*psql, "-c", WHERE], {postgres: 1}, env=LOGIN)
    # One process that connects again and again, and asks for its peer.
    session = f"{WHERE};\n\\conninfo\n\\c\n" * 29 + "SELECT nonsense;\n"
    world.both(psql, {postgres: 30}, env=LOGIN, stdin=session)
    world.both([*psql, "-v", "ON_ERROR_STOP=1", "-c", "SELECT nonsense"], {postgres: 1}, env=LOGIN, returncode=1)


    # Nobody is at the first of these hosts; the Service is asked for a server that writes, with settings for its socket.
    hosts = (
        f"host=127.0.0.1,{getattr(postgres, by)} port=1,{PORT} target_session_attrs=read-write connect_timeout=10 "
        "keepalives=1 keepalives_idle=5 keepalives_interval=1 keepalives_count=3 tcp_user_timeout=5000"
    )
    again = f"{WHERE};\n\\c -reuse-previous=on\n"
    world.both(["psql", "-X", "-At", hosts], {postgres: 30}, env=LOGIN, stdin=again * 29)
    address = f"postgresql://{getattr(postgres, by)}:{PORT}/postgres?sslmode=prefer"
    world.both(["psql", "-X", "-At", address, "-c", WHERE], {postgres: 1}, env=LOGIN)


def test_pgbench(world: World, postgres: Backend) -> None:
    def bench(*options: str) -> Callable[[Path], List[str]]:
        def command(directory: Path) -> List[str]:
            (directory / "script.sql").write_text(f"{WHERE};\n")
            return ["pgbench", "-h", postgres.vip, "--no-vacuum", "--jobs=2", "--file=script.sql", *options]

        return command

    figures = without(r"[\d.]+ ms", r"tps = [\d.]+")
    # A connection for each transaction, and one that is kept for each client; one more for the set-up.
    world.both(bench("--connect", "--client=6", "--transactions=10"), {postgres: 61}, env=LOGIN, same=figures)
    world.both(bench("--client=29", "--transactions=5"), {postgres: 30}, env=LOGIN, same=figures)
