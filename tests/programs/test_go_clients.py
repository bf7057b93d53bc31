# SPDX-License-Identifier: Apache-2.0
"""Well-known clients of Go programs, a connection of its own for each question: net/http, and in full counts gRPC-go and database/sql
with pgx, which take minutes to build."""
from collections import Counter
from typing import Any, Callable, List

import pytest

from tests.harness import counts, expect
from tests.programs.common import Backend, World
from tests.programs.gobuilds import GOCLIENTS, HAS_TABLE, PATCHED, GoRun, balanced, built
from tests.programs.test_postgres import data, postgres, programs  # noqa: F401: fixtures

pytestmark = pytest.mark.clusters("double")


def http(world: World, _request: pytest.FixtureRequest) -> None:
    for processors in ("1", "2"):
        balanced(world, built(), world.web(f"web{processors}"), 90, 4, "http", env={"GOMAXPROCS": processors})


def ask(world: World, backend: Backend, mode: str, answers: List[str]) -> None:
    program = built(source=GOCLIENTS)
    with world.counting({backend: 30}, caught=True):
        run = GoRun(world, [program, mode, f"{backend.vip}:{backend.port}", 30]).begin(PATCHED, HAS_TABLE)
        result = run.process.wait()
    expect((result.returncode, result.stderr), (0, ""), result)
    expect(Counter(result.stdout.split()), Counter({answer: 10 for answer in answers}), result)


def grpc(world: World, _request: pytest.FixtureRequest) -> None:
    program = built(source=GOCLIENTS)
    backend = world.serve("grpc", 9090, lambda pod, _directory: [program, "serve", f"{pod.ip}:{pod.port}"])
    ask(world, backend, "grpc", [f"{pod.ip}:{pod.port}" for pod in backend.pods])


def pgx(world: World, request: pytest.FixtureRequest) -> None:
    backend = request.getfixturevalue("postgres")
    ask(world, backend, "pgx", sorted(backend.pod_names))


CLIENTS: List[Callable[[World, Any], None]] = [http, grpc, pgx]


@pytest.mark.parametrize("client", CLIENTS[: counts(1, 3)])
def test_each_question_goes_to_the_next_pod(world: World, request: pytest.FixtureRequest, client: Callable[[World, Any], None]) -> None:
    client(world, request)
