# SPDX-License-Identifier: Apache-2.0
"""A program that locks itself into an empty directory takes the files of a naive shim away: credentials, log, resolver. What
was read before is kept in memory: the open watch goes on, and so does the next connection to the API server."""
from pathlib import Path

import pytest

from tests.e2e.common import stand_in
from tests.harness import ShimRunner, expect, wait_until
from tests.hazards.guests import ASK, expect_balanced, needs_root
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import python, tally, web

pytestmark = pytest.mark.clusters("double")

JAIL = ASK + """
if sys.argv[4] == "after":
    ask(2)
os.chroot(sys.argv[3])
os.chdir("/")
os.write(1, b"inside\\n")
deadline = time.monotonic() + 30
while time.monotonic() < deadline:
    ask(1)
    time.sleep(0.02)
"""


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    needs_root()
    directory = tmp_path / "empty"
    directory.mkdir()
    return directory


def test_changes_are_followed_from_inside(cluster: DoubleCluster, run_shim: ShimRunner, empty: Path) -> None:
    service, pods = web(cluster)
    program = run_shim.start(python(JAIL, service.vip, 80, empty, "after"), env=cluster.env("web", K8SLB_RETRY_DELAY="1"))
    program.wait_output("inside\n")

    cluster.add_pod("late", {"app": "web"})
    program.wait_output("late\n")
    # Every connection to the API server ends; the next one needs token and CA again.
    cluster.stop_api()
    cluster.start_api()
    cluster.add_pod("later", {"app": "web"})
    program.wait_output("later\n")

    program.stop()
    answers = set(tally(program.result().stdout)) - {"inside"}
    expect(answers, {pod.name for pod in pods} | {"late", "later"}, program.result())
    expect(list(empty.iterdir()), [], program.result())


def test_the_last_table_serves_while_the_token_is_gone(cluster: DoubleCluster, run_shim: ShimRunner, empty: Path) -> None:
    """The old token is revoked, and the file of the new one is out of reach."""
    service, pods = web(cluster)
    program = run_shim.start(python(JAIL, service.vip, 80, empty, "after"), env=cluster.env("web", K8SLB_RETRY_DELAY="1"))
    program.wait_output("inside\n")
    assert cluster.token

    cluster.server.auth.revoke(cluster.token)
    cluster.stop_api()
    cluster.start_api()
    wait_until("a refused request", lambda: any(one.status == 401 for one in cluster.server.log.records()))
    since = len(program.result().stdout)
    wait_until("connections after it", lambda: len(program.result().stdout) > since + 60)

    program.stop()
    expect_balanced(program.result().stdout[since:].split("\n")[1:-1], pods, program.result())


def test_a_jailed_program_that_was_never_balanced(cluster: DoubleCluster, run_shim: ShimRunner, empty: Path) -> None:
    """The first match comes inside: no credentials can be read, so the connection goes where it would without us."""
    service, _pods = web(cluster)
    vip = stand_in(cluster, service)
    program = run_shim.start(python(JAIL, service.vip, 80, empty, "before"), env=cluster.env("web"))

    program.wait_output(f"{vip.name}\n" * 5)

    program.stop()
    expect(set(tally(program.result().stdout)), {"inside", vip.name}, program.result())
    expect(list(empty.iterdir()), [], program.result())
