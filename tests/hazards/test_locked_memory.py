# SPDX-License-Identifier: Apache-2.0
"""Hazard: after mlockall(MCL_FUTURE) whatever the process maps is locked, and RLIMIT_MEMLOCK, 8 MiB by default, counts it: a naive
shim's thread and its tables take the room of the program's own next thread and memory, and where that is too little for an arena
of malloc(), each allocation of the thread is a page. Defence: there is no thread where little room is left."""
from pathlib import Path

import pytest

from tests.e2e.common import stand_in
from tests.harness import Build, ShimRunner, expect
from tests.hazards.guests import as_nobody, names, needs_root, public_build, public_credentials, public_directory
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import web

pytestmark = [
    pytest.mark.clusters("double"),
    pytest.mark.unsanitized("the sanitizers map terabytes"),
]
public = pytest.fixture(public_directory)

MIB = 1 << 20
STEPS = ["mlockall", "ask", "locked", "create", "locked"]


@pytest.mark.parametrize("limit", [4, 8])
def test_all_of_a_small_limit_is_the_programs(cluster: DoubleCluster, build: Build, public: Path, limit: int) -> None:
    service, _pods = web(cluster)
    stand_in(cluster, service)
    there, env = public_build(build, public), public_credentials(cluster.env("web"), public)
    public.chmod(0o777)
    run_shim = ShimRunner(there, public)
    command = ["prlimit", f"--memlock={limit * MIB}:{limit * MIB}", *as_nobody([there.programs / "steps", service.vip, 80, *STEPS])]

    bare, shimmed = (run_shim(command, env=env, preload=preload) for preload in (False, True))

    expect((bare.returncode, "create done" in bare.stdout), (0, True), bare)
    expect(shimmed.stdout, bare.stdout, shimmed, bare)
    expect(shimmed.log.count("RLIMIT_MEMLOCK"), 1, shimmed)


def test_without_a_limit_there_is_room_for_both(cluster: DoubleCluster, run_shim: ShimRunner, build: Build) -> None:
    """Root, whom the limit does not bind."""
    needs_root()
    service, pods = web(cluster)

    result = run_shim([build.programs / "steps", service.vip, 80, *STEPS], env=cluster.env("web"))

    done = result.stdout.splitlines()
    expect((done[0], done[1].split()[1] in names(pods), done[3]), ("mlockall done", True, "create done"), result)
    print(f"\n{done[2]} KiB")
