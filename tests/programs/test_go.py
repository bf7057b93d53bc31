# SPDX-License-Identifier: Apache-2.0
"""Go programs that the loader loads: their connections go to the pods in equal shares, however they were built and whatever the
runtime is doing; and what cannot be patched for sure is left as it is."""
import contextlib
import re
import struct
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

from tests.harness import Environment, counts, expect
from tests.programs.common import Backend, World
from tests.programs.gobuilds import (
    ABSENT, CHANGED, HAS_TABLE, NO_MEMORY, NO_ROOM, PATCHED, REFUSED, TWICE, UNREADABLE, VERSIONS, GoRun, balanced, built, pods_of_go,
)

pytestmark = pytest.mark.clusters("double")

HERE = Path(__file__).parent
CALL = bytes.fromhex("4989f24889fa4889ce4889df0f05483d01f0ffff76")  # Go's Syscall6 on x86-64
OTHER_CALL = b"\x4c\x8b\xd6" + CALL[3:]  # the same, of another assembler
# (how it is built, with which Go: "" is this machine's). Full counts build with each Go, which takes minutes the first time.
MADE = [(kind, "") for kind in ("cgo", "cgo pie", "pie", "stripped", "race")]
MADE += [(kind, version) for version in VERSIONS[: counts(0, len(VERSIONS))] for kind in ("cgo", "pie")]
PLUGGED = ["", *VERSIONS[: counts(0, len(VERSIONS))]]


def endpoints(backend: Backend) -> List[str]:
    return sorted(f"{pod.ip}:{pod.port}" for pod in backend.pods)


@pytest.mark.parametrize("kind, version", MADE)
def test_connections_are_even(world: World, kind: str, version: str) -> None:
    web = pods_of_go(world, built())
    told = balanced(world, built(kind, version), web, 300, 8)
    # What the program is told of its peer is the pod.
    expect(sorted(told["Peers"]), endpoints(web))


@pytest.mark.parametrize("version", PLUGGED)
def test_a_plugin_dials(world: World, version: str) -> None:
    """A plugin has the function of the program that loads it."""
    web = pods_of_go(world, built())
    balanced(world, built("plugged", version), web, 30, env={"PLUGIN": str(built("plugin", version))})


@pytest.mark.parametrize("processors", ["1", "2"])
@pytest.mark.parametrize("kind", ["cgo", "pie"])
def test_collector_profiler_and_preemption(world: World, kind: str, processors: str) -> None:
    """500 000 dials in full counts."""
    web = pods_of_go(world, built())
    told = balanced(world, built(kind), web, counts(1500, 125000), 40, "dial", "stress", env={"GOMAXPROCS": processors})
    assert told["GCs"] > 3 and told["Profile"] > 100, told


@pytest.mark.parametrize("mode", ["dial", "raw"])
def test_no_call_gets_anothers_address(world: World, mode: str) -> None:
    """The kernel reads the address when it comes to that, which may be after others were chosen."""
    backends = [pods_of_go(world, built(), name) for name in ("one", "two")]
    addresses = ",".join(f"{backend.vip}:{backend.port}" for backend in backends)
    count = counts(3000, 60000)
    run = GoRun(world, [built(), mode, addresses, count, 64], {"GOMAXPROCS": "16"})
    told, result = run.begin(PATCHED, HAS_TABLE).told()
    wanted = {f"{b.vip}:{b.port} {pod.name}": count // 6 for b in backends for pod in b.pods}
    expect((told["Answers"], told["Failures"]), (wanted, {}), result)


# --- what is left alone


def is_as_without(world: World, backend: Backend, command: List[Any], log: str, before: "List[Any]" = [], env: Environment = {},
                  beside: "List[Any]" = []) -> None:
    """Output, descriptors' errors and exit code are those of the plain run, connections and failures alike; log: a line of it, or
    "" for none that names Go."""
    nobody = f"{backend.pods[0].ip}:9"
    seen: List[Any] = []
    for preload in (False, True):
        for address, count in ((f"{backend.vip}:{backend.port}", 6), (nobody, 2)):
            words = [*before, *(["env", "LD_PRELOAD=" + " ".join(map(str, [world.build.preload(), *beside]))] if preload else []), *command, "dial", address, count, 1]
            with world.counting({backend: count if address != nobody else 0}, caught=False):
                result = world.run_shim(words, env=world.env(env), preload=False)
                expect(result.returncode, 0, result)
            seen.append((result.returncode, re.sub(r'"Ns":\d+', "", result.stdout), result.stderr))
            if preload:
                said = [line.split(": ", 1)[1] for line in result.log.splitlines() if "Go program" in line]
                expect(said, [log] if log else [], result)
    expect(seen[2:], seen[:2])


@contextlib.contextmanager
def changed(program: Path, directory: Path, change: Callable[[bytearray], None]) -> Iterator[Path]:
    copy = directory / program.name
    content = bytearray(program.read_bytes())
    change(content)
    copy.write_bytes(content)
    copy.chmod(0o755)
    yield copy
    copy.unlink()


def use_other_words(content: bytearray) -> None:
    at = content.find(CALL)
    content[at : at + len(CALL)] = OTHER_CALL


def hide_text(content: bytearray) -> None:
    """PF_X alone for the segment of the text."""
    at, size, count = struct.unpack_from("<Q", content, 32)[0], *struct.unpack_from("<HH", content, 54)
    for header in range(at, at + size * count, size):
        kind, flags = struct.unpack_from("<II", content, header)
        if kind == 1 and flags & 1:
            struct.pack_into("<I", content, header + 4, 1)


@pytest.mark.parametrize("why", [ABSENT, UNREADABLE])
def test_a_text_that_is_not_known(world: World, why: str) -> None:
    web = pods_of_go(world, built())
    with changed(built(), world.new_directory("changed"), use_other_words if why == ABSENT else hide_text) as program:
        is_as_without(world, web, [program], REFUSED + why)


def test_a_breakpoint_in_the_text(world: World) -> None:
    """Of a debugger or an uprobe: in a copy of the page it would be met where nobody expects it."""
    beside = [world.build.directory / "tests/preload/breakpoint.so"]
    is_as_without(world, pods_of_go(world, built()), [built()], REFUSED + CHANGED, beside=beside)


def test_the_function_is_there_twice(world: World) -> None:
    is_as_without(world, pods_of_go(world, built()), [built("twice")], REFUSED + TWICE)


@pytest.mark.parametrize("what, why", [("mprotect", NO_ROOM), ("mremap", NO_MEMORY), ("mdwe", NO_ROOM)])
def test_memory_may_not_become_executable(world: World, what: str, why: str) -> None:
    refuse = [sys.executable, HERE / "refuse.py", what]
    if what == "mdwe" and world.run_shim([*refuse, "true"], preload=False).returncode:
        return  # Linux before 6.3
    is_as_without(world, pods_of_go(world, built()), [built()], REFUSED + why, before=refuse)


@pytest.mark.parametrize("kind, env", [("cgo", {"K8SLB_GO": "off"}), ("no id", {}), ("static", {})])
def test_it_is_not_asked_for(world: World, kind: str, env: Environment) -> None:
    """By the setting; by the program, which has no note of Go's, or no loader."""
    is_as_without(world, pods_of_go(world, built()), [built(kind)], "", env=env)


# --- the text


def segments_of(program: Path) -> Iterator[Tuple[int, int, int, int]]:
    """offset, address, size, flags of each part that is loaded."""
    content = program.read_bytes()
    at, size, count = struct.unpack_from("<Q", content, 32)[0], *struct.unpack_from("<HH", content, 54)
    for header in range(at, at + size * count, size):
        kind, flags, offset, address, _, length = struct.unpack_from("<IIQQQQ", content, header)
        if kind == 1:
            yield offset, address, length, flags


@pytest.mark.parametrize("kind", ["cgo", "pie"])
def test_the_text_is_the_same_but_for_two_jumps(world: World, kind: str) -> None:
    web, program = pods_of_go(world, built()), built(kind)
    run = GoRun(world, [program, "dial", f"{web.vip}:{web.port}", 3, 1])
    run.process.wait_log(PATCHED)
    pid = run.process.pid
    maps = Path(f"/proc/{pid}/maps").read_text()
    expect([line for line in maps.splitlines() if re.search(r" .wx. ", line) or re.search(r" .w.x ", line)], [], maps)
    content = program.read_bytes()
    base = int(next(line for line in maps.splitlines() if line.endswith(str(program))).split("-")[0], 16)
    bias = base - min(address for _offset, address, _length, _flags in segments_of(program))
    different: Dict[int, int] = {}
    with open(f"/proc/{pid}/mem", "rb") as memory:
        for offset, address, length, flags in segments_of(program):
            if flags & 1:
                memory.seek(bias + address)
                now, then = memory.read(length), content[offset : offset + length]
                different = {i: now[i] for i in range(length) if now[i] != then[i]}
                at = then.find(CALL)
    allowed = {*range(at, at + 6), *range(at + 14, at + 20)}
    expect((sorted(set(different) - allowed)[:9], at in different, at + 14 in different), ([], True, True), at)
    run.begin(HAS_TABLE).told()
