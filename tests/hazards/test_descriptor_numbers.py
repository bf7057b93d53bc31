# SPDX-License-Identifier: Apache-2.0
"""Programs rely on the numbers of their descriptors: the lowest free one is next, what was closed at the start is free,
dup2() may take any, select() takes no more than 1024. A naive shim's sockets take numbers away, or get closed by it. Ours
have none in its table."""
import json
from pathlib import Path
from typing import Any, List

import pytest

from tests.e2e.common import stand_in
from tests.harness import ShimRunner, expect
from tests.hazards.guests import ASK, expect_balanced, expect_same, names
from tests.kube.double_cluster import DoubleCluster
from tests.ours import OURS
from tests.preload.common import python, web

pytestmark = [
    pytest.mark.clusters("double"),
    pytest.mark.unsanitized("the sanitizers hold descriptors of their own"),
]

NUMBERS = ASK + """
def numbers():
    made = [socket.socket().detach() for _ in range(5)]
    made += os.pipe() + (os.open("/dev/null", os.O_RDONLY), os.dup(0))
    for fd in made:
        os.close(fd)
    return made
before = numbers()
ask(1)
os.write(1, f"{before} {numbers()}\\n".encode())
ask(6)
os.write(1, f"{numbers()} {sorted(map(int, os.listdir('/proc/self/fd')))}\\n".encode())
"""


def test_the_lowest_free_number_is_next(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster)
    stand_in(cluster, service)
    command = python(NUMBERS, service.vip, 80)

    bare = run_shim(command, preload=False)
    shimmed = run_shim(command, env=cluster.env("web"))

    expect_same(shimmed, bare)
    got, wanted = shimmed.stdout.splitlines(), bare.stdout.splitlines()
    expect((got[1], got[8]), (wanted[1], wanted[8]), shimmed)
    expect_balanced(got[2:8], pods, shimmed)


# Holds three connections at once and tells, in a file, their numbers and every byte that came over them.
CLOSED = ASK + """
def hold():
    s = socket.socket()
    s.settimeout(5)
    s.connect(ADDRESS)
    s.sendall(b"WHO\\n")
    return s
def everything(s):
    s.shutdown(socket.SHUT_WR)
    return b"".join(iter(lambda: s.recv(100), b"")).decode()
held = [hold() for _ in range(3)]
numbers = [s.fileno() for s in held]
time.sleep(0.2 if sys.argv[4] == "slowly" else 0)
held += [hold() for _ in range(6)]
bytes_ = [everything(s) for s in held]
with open(sys.argv[3], "w") as file:
    json.dump([numbers, bytes_], file)
"""


@pytest.mark.parametrize("log", ["none", "standard error", "file"])
@pytest.mark.parametrize("pace", ["quickly", "slowly"])
def test_descriptors_0_to_2_closed_at_the_start(
    cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path, log: str, pace: str
) -> None:
    """The program's first sockets are its standard input, output and error then; a byte of ours there would be answered."""
    service, pods = web(cluster)
    vip = stand_in(cluster, service)
    env = cluster.env("web")
    env.update({"none": {"K8SLB_LOG": "off"}, "standard error": {"K8SLB_LOG": "debug"}, "file": {}}[log])

    def run(preload: bool) -> List[Any]:
        told = tmp_path / f"told{preload}"
        closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *python(CLOSED, service.vip, 80, told, pace)]
        result = run_shim(closed, env=env, preload=preload)
        expect((result.returncode, result.stdout, result.stderr), (0, "", ""), result)
        return list(json.loads(told.read_text()))

    expect(run(False), [[0, 1, 2], [f"{vip.name}\n"] * 9])
    numbers, answers = run(True)
    expect(numbers, [0, 1, 2])
    expect_balanced([answer.rstrip("\n") for answer in answers], pods)
    expect([answer.count("\n") for answer in answers], [1] * 9)


FILES = ASK + """
# With nothing at 0 to 2 at first, the program's own files come there.
files = [os.open(f"{sys.argv[3]}/{n}", os.O_RDWR | os.O_CREAT) for n in range(3)]
answers = [ask_once() for _ in range(9)]
time.sleep(0.2)
with open(f"{sys.argv[3]}/told", "w") as file:
    json.dump([files, answers, [os.fstat(fd).st_size for fd in files]], file)
"""


def test_files_that_took_the_numbers_0_to_2_stay_empty(
    cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path
) -> None:
    service, pods = web(cluster)
    directory = tmp_path / "files"
    directory.mkdir()
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *python(FILES, service.vip, 80, directory)]

    # A log without a path goes to standard error, which this program has not.
    result = run_shim(closed, env={**cluster.env("web"), "K8SLB_LOG": "debug"})

    expect(result.returncode, 0, result)
    files, answers, sizes = json.loads((directory / "told").read_text())
    expect((files, sizes), ([0, 1, 2], [0, 0, 0]), result, (directory / "2").read_text())
    expect_balanced(answers, pods, result)


DUP2 = ASK + """
resource.setrlimit(resource.RLIMIT_NOFILE, (600, 600))
ask(2)
kept = os.open("/dev/null", os.O_RDWR)
mine = os.open(sys.argv[3], os.O_RDWR | os.O_CREAT | os.O_TRUNC)
for turn in range(20):
    for fd in range(3, 600):
        if fd not in (kept, mine):
            os.dup2(mine if fd % 2 else kept, fd)
    for fd in (520, 522, 524, 526):
        os.close(fd)
    ask(1)
written = os.fstat(mine).st_size
os.closerange(mine + 1, 600)
ask(9)
os.write(1, f"{written} {len(threads())}\\n".encode())
"""


def test_dup2_over_every_number(cluster: DoubleCluster, run_shim: ShimRunner, tmp_path: Path) -> None:
    """Nothing of ours is replaced by it, and nothing is written into what replaced it."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    command = python(DUP2, service.vip, 80, tmp_path / "mine")

    bare = run_shim(command, preload=False)
    shimmed = run_shim(command, env=cluster.env("web"))

    expect_same(shimmed, bare)
    expect((bare.stdout.splitlines()[-1], shimmed.stdout.splitlines()[-1]), ("0 1", f"0 {1 + len(OURS)}"), shimmed)
    expect(set(shimmed.stdout.splitlines()[:-1]), names(pods), shimmed)


SELECT = ASK + """
import select
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard if hard > 1024 or hard == resource.RLIM_INFINITY else 1024))
ask(1)
held = []
try:
    while True:
        held.append(socket.socket())
except OSError as error:
    os.write(1, f"{errno.errorcode[error.errno]} {len(held)} {held[-1].fileno()}\\n".encode())
for s in held[:-12]:
    s.close()
last = held[-12:]
for s in last:
    s.setblocking(False)
    s.connect_ex(ADDRESS)
waiting = set(last)
while waiting:
    _, writable, _ = select.select([], list(waiting), [], 5)
    if not writable:
        break
    for s in writable:
        waiting.discard(s)
        s.setblocking(True)
        s.sendall(b"WHO\\n")
        os.write(1, s.recv(100))
os.write(1, f"{len(waiting)}\\n".encode())
"""


def test_select_on_the_last_numbers_that_it_takes(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """All of the 1024 are the program's, up to the last."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    command = python(SELECT, service.vip, 80)

    bare = run_shim(command, preload=False)
    shimmed = run_shim(command, env=cluster.env("web"))

    expect_same(shimmed, bare)
    got, wanted = shimmed.stdout.splitlines(), bare.stdout.splitlines()
    expect((got[1], got[-1]), (wanted[1], "0"), shimmed, bare)
    expect_balanced(got[2:-1], pods, shimmed)
