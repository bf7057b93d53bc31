# SPDX-License-Identifier: Apache-2.0
"""Hazard: a library that connects is opened with RTLD_DEEPBIND (PHP's extensions), so that it finds libc before us.

A naive shim clears the flag: then a library that brings a symbol of its own gets the program's. Or it stands in dlopen()'s place,
which then searches by the shim's RUNPATH and $ORIGIN; writes to what the loader has sealed; or takes what was bound to somebody
else. Ours points at itself the slots that hold what it hands on to, when the object begins, and leaves all else alone.
"""
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.harness import Build, Result, ShimRunner, counts, expect
from tests.hazards.isolation import PODS, Target, by_point, evenly, expect_clean, library, preload_beside, target
from tests.kube.cluster import Cluster

pytestmark = [
    pytest.mark.clusters("double"),
    pytest.mark.unsanitized("where a sanitizer is in the program nothing is changed"),
]

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = Path(__file__).with_name("preload") / "dialing_library.c"
LINKED = {
    "lazy": ["-Wl,-z,lazy", "-Wl,-z,norelro"],
    "lazy-relro": ["-Wl,-z,lazy", "-Wl,-z,relro"],
    "sealed": ["-Wl,-z,now", "-Wl,-z,relro"],
    "no-plt": ["-fno-plt", "-Wl,-z,now", "-Wl,-z,relro"],
    "clang": [],
}
THREADS = 8  # of plugins.c

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make("name", *flags) compiles a library there, of dialing_library.c or of the given source."""

    def made(name: str, *flags: Any, source: str = "", compiler: str = "gcc") -> Path:
        file = tmp_path / f"{name}.so"
        text = tmp_path / f"{name}.c"
        text.write_text(source or SOURCE.read_text())
        command = [compiler, "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", *map(str, flags), "-o", str(file), str(text)]
        done = subprocess.run(command, capture_output=True, text=True)
        expect((done.returncode, done.stderr), (0, ""), command)
        return file

    return made


class Runs:
    """plugins.c without the shim and with it."""

    def __init__(self, cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
        self.web: Target = target(cluster)
        self._cluster, self._run, self._program = cluster, run_shim, build.programs / "plugins"

    def __call__(self, *steps: str, cwd: Any = None, program: Any = None, preload: bool = True, **env: Any) -> Result:
        command = [program or self._program, *self.web.arguments, *steps]
        result = self._run(command, env=self._cluster.env("web", **env), cwd=cwd, preload=preload)
        expect_clean(result)
        return result

    def bare(self, *steps: str, **env: Any) -> Result:
        result = self._run([self._program, *self.web.arguments, *steps], env=env, preload=False)
        expect_clean(result)
        return result

    def expect_all_at_vip(self, result: Result, calls: int = PODS) -> None:
        expect(by_point(result)["library"], {"vip": calls}, result)

    def expect_balanced(self, result: Result, each: int = 1) -> None:
        expect(by_point(result)["library"], evenly(self.web.pods, each), result)


@pytest.fixture
def runs(cluster: Cluster, run_shim: ShimRunner, build: Build) -> Runs:
    return Runs(cluster, run_shim, build)


DIALS = ["dial"] * PODS


@pytest.mark.parametrize("how", ["lazy", "now"])
@pytest.mark.parametrize("linked", LINKED)
def test_it_is_balanced(runs: Runs, make: Make, linked: str, how: str) -> None:
    file = make(linked, *LINKED[linked], compiler="clang" if linked == "clang" else "gcc")

    result = runs(f"{how}:{file}", "mapped", *DIALS, "mapped")
    bare = runs.bare(f"{how}:{file}", "mapped", *DIALS, "mapped")

    runs.expect_balanced(result)
    runs.expect_all_at_vip(bare)
    # What may be written to, and what may be run, is as the loader has left it.
    expect(by_point(result)["mapped"], by_point(bare)["mapped"], result, bare)
    assert not [rights for rights in by_point(result)["mapped"] if "wx" in rights], result


@pytest.mark.parametrize("how", ["lazy", "now"])
@pytest.mark.parametrize("linked", ["lazy", "sealed"])
def test_what_it_needs_is_balanced(runs: Runs, make: Make, linked: str, how: str) -> None:
    """As PHP's curl.so, which calls nothing of libc's but libcurl's functions, which do; by RUNPATH."""
    make("libdial", *LINKED[linked])
    folder = make("front", source="int front(void) { return 0; }").parent
    origin = ["-Wl,--no-as-needed", f"-L{folder}", "-l:libdial.so", "-Wl,--enable-new-dtags", "-Wl,-rpath,$ORIGIN"]
    front = make("front", *origin, source="int front(void) { return 0; }")

    runs.expect_balanced(runs(f"{how}:{front}", *DIALS))


@pytest.mark.parametrize("name", ["plugin.so", "$ORIGIN/there/plugin.so"])
def test_whoever_opens_it_is_searched_by(runs: Runs, make: Make, build: Build, tmp_path: Path, name: str) -> None:
    """Its RUNPATH and $ORIGIN, not ours: dlopen() is left alone."""
    (tmp_path / "there").mkdir()
    shutil.move(make("plugin"), tmp_path / "there" / "plugin.so")
    program = tmp_path / "plugins"
    source = Path(__file__).with_name("programs") / "plugins.c"
    flags = ["-O1", "-D_GNU_SOURCE", "-pthread", "-Wl,--enable-new-dtags", "-Wl,-rpath,$ORIGIN/there"]
    subprocess.run(["gcc", *flags, "-o", str(program), str(source), "-ldl"], check=True)

    runs.expect_balanced(runs(f"lazy:{name}", *DIALS, program=program, cwd="/"))


BUNDLES = """
/* libc has a function of this name, too. */
char *l64a(long number);
char *l64a(long number) { (void)number; return "its own"; }
const char *tell(void);
const char *tell(void) { return l64a(1); }
"""


@pytest.mark.parametrize("how", ["lazy", "now"])
def test_what_it_brings_itself_it_keeps(runs: Runs, make: Make, how: str) -> None:
    file = make("bundles", source=BUNDLES + SOURCE.read_text())

    result = runs(f"{how}:{file}", "tell", *DIALS)

    expect(by_point(result)["tells"], {"its own": 1}, result)
    runs.expect_balanced(result)


OWN_CONNECT = """
#include <errno.h>
#include <sys/socket.h>
int connect(int fd, const struct sockaddr *address, socklen_t size)
{
	(void)fd, (void)address, (void)size;
	errno = EXDEV;
	return -1;
}
"""


@pytest.mark.parametrize(
    "where, linked, how",
    [(where, linked, how) for where in ("itself", "what-it-needs") for linked in ("lazy", "sealed") for how in ("lazy", "now")]
    + [("what-it-needs-sysv", "lazy", "lazy")],
)
def test_a_connect_of_its_own(runs: Runs, make: Make, where: str, linked: str, how: str) -> None:
    """sysv: with the older one of the two tables in which an object has its names."""
    if where == "itself":
        file = make("plugin", *LINKED[linked], source=OWN_CONNECT + SOURCE.read_text())
    else:
        folder = make("libown", *(["-Wl,--hash-style=sysv"] if "sysv" in where else []), source=OWN_CONNECT).parent
        needs = ["-Wl,--no-as-needed", f"-L{folder}", "-l:libown.so", "-Wl,-rpath,$ORIGIN"]
        file = make("plugin", *LINKED[linked], *needs)

    result = runs(f"{how}:{file}", *DIALS, *["own"] * PODS)

    expect(by_point(result)["library"], {"error 18": PODS}, result)
    expect(by_point(result)["program"], evenly(runs.web.pods), result)


@pytest.mark.parametrize("linked", LINKED)
def test_what_its_constructor_calls(runs: Runs, make: Make, linked: str) -> None:
    """Of an object that defines nothing for others, too."""
    hidden = SOURCE.read_text().replace('__attribute__((visibility("default"))) int dial', "int dial")
    file = make(linked, "-fvisibility=hidden", *LINKED[linked], source=hidden)

    result = runs(*[f"lazy:{file}", "close"] * PODS, DIAL_AT=":".join(runs.web.arguments))

    # In the destructor, too.
    found = by_point(result)
    expect(found["constructor"] + found["destructor"], evenly(runs.web.pods, 2), result)


def test_closed_and_opened_again(runs: Runs, make: Make) -> None:
    rounds = counts(20, 500)
    for linked in ("lazy", "sealed"):
        result = runs(f"again:{rounds * PODS}:{make('plugin', *LINKED[linked])}")
        runs.expect_balanced(result, rounds)


def test_opened_by_several_threads(runs: Runs, make: Make, tmp_path: Path) -> None:
    rounds = counts(12, 300)
    for i in range(THREADS):
        linked = ["lazy", "lazy-relro", "sealed", "no-plt"][i % 4]
        os.rename(make("one", *LINKED[linked]), tmp_path / f"one.so.{i}")

    result = runs(f"threads:{rounds}:{tmp_path / 'one.so'}")

    answers = by_point(result)["library"]
    expect((sum(answers.values()), set(answers)), (rounds * THREADS, set(runs.web.names)), result)


@pytest.mark.parametrize("bind_now", ["", "1"])
@pytest.mark.parametrize("linked", ["lazy", "sealed"])
def test_beside_an_audit_library(runs: Runs, make: Make, build: Build, linked: str, bind_now: str) -> None:
    """It is told of each binding as without us: what the loader has not bound yet is left to it."""
    env = {"LD_AUDIT": str(library(build, "audit")), **({"LD_BIND_NOW": bind_now} if bind_now else {})}
    steps = [f"lazy:{make('plugin', *LINKED[linked])}", *DIALS]

    result, bare = runs(*steps, **env), runs.bare(*steps, **env)

    bound = linked == "sealed" or bind_now
    expect(by_point(result)["library"], evenly(runs.web.pods) if bound else {"vip": PODS}, result)
    # Our own reference of what follows us is one more.
    expect(by_point(result)["audited"]["connect"] - by_point(bare)["audited"]["connect"] in (0, 1), True, result, bare)


@pytest.mark.parametrize("linked", ["sealed", "no-plt"])
def test_where_nothing_may_be_unsealed(runs: Runs, make: Make, linked: str) -> None:
    """SELinux, seccomp and their kind: the library runs as without us."""
    steps = [*["own"] * PODS, "sealed", f"now:{make('plugin', *LINKED[linked])}", *DIALS, "mapped"]

    result, bare = runs(*steps), runs.bare(*steps)

    found, without = by_point(result), by_point(bare)
    expect((found["library"], found["mapped"]), (without["library"], without["mapped"]), result, bare)
    runs.expect_all_at_vip(result)


def test_a_setting_leaves_it_alone(runs: Runs, make: Make) -> None:
    for linked in ("lazy", "sealed"):
        file = make("plugin", *LINKED[linked])
        runs.expect_all_at_vip(runs(f"lazy:{file}", *DIALS, K8SLB_DEEPBIND="keep"))


@pytest.mark.parametrize("first", [True, False], ids=["before-us", "behind-us"])
@pytest.mark.parametrize("linked", ["lazy", "sealed"])
def test_beside_another_preload(runs: Runs, make: Make, build: Build, tmp_path: Path, linked: str, first: bool) -> None:
    """What passes by the other hook without us does so with us."""
    log = tmp_path / "hooks"
    preload = preload_beside(build, library(build, "counting_connect"), first=first)

    result = runs(f"lazy:{make('plugin', *LINKED[linked])}", *DIALS, LD_PRELOAD=preload, HOOK_LOG=str(log))

    # Behind us is whom our hook hands on to: then the library's calls are not ours. Nor are they where the name is another's
    # as well, and it is not bound yet.
    if first and linked == "sealed":
        runs.expect_balanced(result)
    else:
        runs.expect_all_at_vip(result)
    expect(log.exists() and log.read_text(), False, result)


def test_an_object_without_the_usual_begin(runs: Runs, make: Make) -> None:
    """Linked by hand: nobody tells us of it."""
    file = make("plugin", "-nostartfiles", *LINKED["sealed"])
    runs.expect_all_at_vip(runs(f"now:{file}", *DIALS))


def test_a_program_with_a_sanitizers_runtime(runs: Runs, make: Make, build: Build) -> None:
    runtime = make("runtime", source="void __asan_init(void); void __asan_init(void) { }")
    file = make("plugin", *LINKED["sealed"])
    runs.expect_all_at_vip(runs(f"now:{file}", *DIALS, LD_PRELOAD=preload_beside(build, runtime, first=False)))


def test_where_the_program_has_opened_the_library_itself(runs: Runs, make: Make, build: Build) -> None:
    """Then nobody but whom it gave our functions to calls them."""
    file = make("plugin", *LINKED["sealed"])
    result = runs(f"plain:{build.shim}", f"now:{file}", *DIALS, "own", preload=False)
    runs.expect_all_at_vip(result)
    expect(by_point(result)["program"], {"vip": 1}, result)


WHOSE = """
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
%s
static void *table[] = {%s};
const char *tell(void);
const char *tell(void)
{
	static char text[64];
	size_t n = 0;

	for (unsigned i = 0; i < sizeof(table) / sizeof(*table); i++) {
		Dl_info info;

		text[n++] = dladdr(table[i], &info) && strstr(info.dli_fname, "libk8slb") ? 'k' : 'c';
	}
	return text;
}
"""


def test_every_call_that_is_ours(runs: Runs, make: Make) -> None:
    """Whose function each name is that the object has in a table of its own, by dladdr(3)."""
    exported = re.search(r"global:(.*?)local:", (ROOT / "shim/shim.map").read_text(), re.DOTALL)
    assert exported
    ours = sorted(set(re.findall(r"\w+", exported[1])) - {"__gmon_start__"})
    others = ["getsockname", "send", "freeaddrinfo", "strtol"]
    declared = "\n".join(f"extern char {name}[];" for name in ours + others)
    file = make("table", "-w", "-fno-builtin", source=WHOSE % (declared, ", ".join(ours + others)))

    expect(by_point(runs(f"now:{file}", "tell"))["tells"], {"k" * len(ours) + "c" * len(others): 1}, ours)
    expect(by_point(runs.bare(f"now:{file}", "tell"))["tells"], {"c" * len(ours + others): 1}, ours)
