# SPDX-License-Identifier: Apache-2.0
"""What the tests of the shared table share: who writes it, what the API server was asked, and programs that ask when told."""
import os
import re
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

from tests.e2e.common import stand_in
from tests.harness import Result, ShimProcess, ShimRunner, wait_until
from tests.hazards.guests import ASK
from tests.kube.cluster import Pod, Service
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import python
from tests.shared import FOLDER

ONE_LIST_EACH = {("services", "list"): 1, ("endpointslices", "list"): 1}
ONE_OF_EACH = {**ONE_LIST_EACH, ("services", "watch"): 1, ("endpointslices", "watch"): 1}
TWO_LISTS_EACH = {key: 2 for key in ONE_LIST_EACH}  # the first writer's, and the next one's
PROMOTION_S = 1.0  # another process is the writer within this time

# Answers each line of its input "COUNT" by as many names of pods and one line "done".
ASKED = ASK + """
for line in sys.stdin:
    ask(int(line))
    os.write(1, b"done\\n")
"""


def folder(uid: Optional[int] = None) -> Path:
    return FOLDER / f"k8slb-{os.geteuid() if uid is None else uid}"


def holders(uid: Optional[int] = None) -> Dict[str, int]:
    """The process that holds each lock file, by the file's name."""
    names = {_file_of_lock(path): path.name for path in folder(uid).glob("*.lock")}
    found: Dict[str, int] = {}
    for line in Path("/proc/locks").read_text().splitlines():
        match = re.search(r": POSIX +ADVISORY +WRITE +(\d+) (\S+) ", line)
        if match and "->" not in line and match.group(2) in names:
            found[names[match.group(2)]] = int(match.group(1))
    return found


def _file_of_lock(path: Path) -> str:
    """As /proc/locks tells it: others have folders of the same name and inode, on other devices."""
    status = path.stat()
    return f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"


def writer_pid(uid: Optional[int] = None) -> Optional[int]:
    """The process that writes the only table of the user."""
    pids = list(holders(uid).values())
    assert len(pids) <= 1, f"several tables: {holders(uid)}"
    return pids[0] if pids else None


def wait_writer(*shown: Any, but: Optional[int] = None) -> int:
    """The writer, once there is one that is not this one."""

    def found() -> Optional[int]:
        pid = writer_pid()
        return pid if pid != but else None

    return wait_until("a writer", found, *shown) or 0


def gap_after(former: int, *shown: Any) -> float:
    """How long nobody writes when this process ends, s. The end itself may take long: a sanitizer tells of a crash."""
    seen = time.monotonic()

    def found() -> Optional[int]:
        nonlocal seen
        pid = writer_pid()
        if pid == former:
            seen = time.monotonic()
        return pid if pid != former else None

    wait_until("another writer", found, *shown)
    return time.monotonic() - seen


def asked_of(cluster: DoubleCluster) -> Dict[Any, int]:
    """The requests of programs at the API server, counted by resource and verb. "ask": for one item, by which a watch that was cut
    off learns that the server still knows the version that it goes on from."""
    return dict(
        Counter((one.resource, "ask" if one.query.get("limit") == "1" else one.verb) for one in cluster.server.requests())
    )


def cpu_ticks(pid: int) -> int:
    """What all threads of a process have used so far, mostly in hundredths of a second."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


def lists_of(cluster: DoubleCluster) -> Dict[Any, int]:
    return {key: count for key, count in asked_of(cluster).items() if key[1] == "list"}


def target(cluster: DoubleCluster, pods: int = 3, name: str = "web") -> "tuple[Service, List[Pod]]":
    """A Service with pods, and a listener at its VIP that answers "vip", as kube-proxy's way would."""
    service = cluster.create_service(name)
    made = [cluster.add_pod(f"{name}-{i}", {"app": name}) for i in range(pods)]
    stand_in(cluster, service)
    cluster.wait_endpoints(service, pods)
    return service, made


def bulk(cluster: DoubleCluster, endpoints: int) -> None:
    """So many endpoints of another Service, in slices of a thousand as the controllers make them."""
    slices, labels = [], {"kubernetes.io/service-name": "bulk"}
    for first in range(0, endpoints, 1000):
        addresses = [f"10.{100 + at // 65536}.{at // 256 % 256}.{at % 256}" for at in range(first, min(first + 1000, endpoints))]
        slices.append({
            "metadata": {"namespace": "default", "name": f"bulk-{endpoints}-{first}", "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        })
    cluster.server.load("endpointslices", slices)


def names(pods: Sequence[Pod]) -> Set[str]:
    return {pod.name for pod in pods}


class Guest:
    """A program under the shim that connects when it is told to; it ends with its input, or by a signal."""

    def __init__(
        self,
        run_shim: ShimRunner,
        service: Service,
        env: Mapping[str, Optional[str]],
        command: Sequence[Any] = (),
        program: str = ASKED,
    ) -> None:
        with tempfile.TemporaryDirectory(prefix="k8slb-guest-") as directory:
            fifo = Path(directory) / "input"
            os.mkfifo(fifo)
            # The runner gives a file as standard input, and this program is told things later.
            words = ["sh", "-c", 'echo started; exec "$@"', "sh", *command, *python(program, service.vip, service.port)]
            self.process: ShimProcess = run_shim.start(["sh", "-c", 'fifo=$1; shift; exec "$@" <"$fifo"', "sh", fifo, *words], env=env)
            self._input = open(fifo, "wb", buffering=0)
            self.process.wait_output("started\n")
        self._taken = 1

    @property
    def pid(self) -> int:
        return self.process.pid

    def say(self, line: Any) -> None:
        try:
            self._input.write(f"{line}\n".encode())
        except BrokenPipeError:
            raise AssertionError(f"it has ended: {self.process.wait()}") from None

    def answers(self) -> List[str]:
        """What it printed for the oldest line whose answers were not taken yet."""

        def look() -> Optional[List[str]]:
            lines = self.process.result().stdout.splitlines()[self._taken:]
            return lines[: lines.index("done") + 1] if "done" in lines else None

        found = wait_until("the answers", look, self.process.result) or []
        self._taken += len(found)
        return found[:-1]

    def ask(self, count: int = 1) -> List[str]:
        """Who answered so many connections, or with which error they failed."""
        self.say(count)
        return self.answers()

    def wait_asked(self, expected: Set[str], *shown: Any) -> None:
        """Until three rounds of connections are answered by exactly these."""
        rounds = 3 * len(expected)
        wait_until(
            f"answers of {sorted(expected)}", lambda: set(self.ask(rounds)) == expected, self.process.result, *shown
        )

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)
        if number == signal.SIGKILL:
            self.process.process.wait()

    def log(self) -> str:
        return self.process.result().log

    def end(self) -> Result:
        """Its end as the program itself would end."""
        self._input.close()
        return self.process.wait()
