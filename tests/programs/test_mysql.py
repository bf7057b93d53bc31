# SPDX-License-Identifier: Apache-2.0
"""mariadb, the client of MySQL and MariaDB, at real servers."""
from pathlib import Path
from typing import List

import pytest

from tests.kube.cluster import Pod
from tests.programs.common import Backend, World

pytestmark = pytest.mark.clusters("double")

PORT = 3306
WHERE = "SELECT @@report_host"  # the pod's name
# Without InnoDB and tables of rights an empty directory is all that a server needs.
SMALL = [
    "--skip-innodb", "--default-storage-engine=MyISAM", "--skip-grant-tables", "--skip-name-resolve", "--skip-log-bin",
    "--key-buffer-size=1M", "--aria-pagecache-buffer-size=1M", "--performance-schema=OFF",
]  # fmt: skip


@pytest.fixture
def mysql(world: World) -> Backend:
    """Three servers, pods of one Service."""

    def command(pod: Pod, directory: Path) -> List[str]:
        data = directory / "data"
        data.mkdir()
        options = [f"--datadir={data}", f"--pid-file={directory}/pid", "--socket=", "--user=root", f"--report-host={pod.name}"]
        return ["mariadbd", "--no-defaults", *options, f"--bind-address={pod.ip}", f"--port={pod.port}", *SMALL]

    return world.serve("mysql", PORT, command)


@pytest.mark.parametrize("by", ["vip", "name"])
def test_mysql(world: World, mysql: Backend, by: str) -> None:
    client = ["mariadb", "--no-defaults", "--user=root", f"--host={getattr(mysql, by)}", f"--port={PORT}", "--skip-column-names"]
    world.both([*client, "-e", WHERE], {mysql: 1})
    # One process that connects again and again.
    world.both(client, {mysql: 30}, stdin=f"{WHERE};\n\\r\n" * 29)
    world.both([*client, "--connect-timeout=5", "-e", "SELECT nonsense"], {mysql: 1}, returncode=1)
    world.both([*client, "--compress", "-e", f"{WHERE}; SELECT REPEAT('x', 100000)"], {mysql: 1})
