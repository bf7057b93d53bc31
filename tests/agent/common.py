# SPDX-License-Identifier: Apache-2.0
"""What the tests of the agent share: one that runs, and programs that read its table."""
import os
import signal
import struct
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from tests.harness import PATIENCE_S, Build, Environment, Result, ShimRunner, wait_until
from tests.hazards.guests import as_user
from tests.kube.cluster import Cluster
from tests.preload.common import python

# What a reader may know of the API server: nothing, and an address at which nobody is.
NO_API = {"K8SLB_API": "http://127.0.0.1:1", "K8SLB_NAMESPACE": "default"}
STRANGER = as_user(4711)

MESSAGE = struct.pack("<Q", 0x3244484C53384B)
# The call's own bound is 0.1 s; the rest is the machine's, a busy one's with a sanitizer too. What lingers would hold it for 4 s.
BOUND = "2.0"
# For each connection: errno before and after, the answer; then what is open and mapped, and the longest connect.
PROBE = """
import ctypes, os, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
address = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(int(sys.argv[2])), socket.inet_aton(sys.argv[1]))
def one():
    with socket.socket() as s:
        ctypes.set_errno(77)
        start = time.monotonic()
        rc = libc.connect(s.fileno(), address, len(address))
        took = time.monotonic() - start
        s.sendall(b"WHO\\n")
        print(rc, ctypes.get_errno(), s.makefile().readline().strip())
        return took
before = len(os.listdir("/proc/self/fd"))
longest = max(one() for _ in range(3))
after = len(os.listdir("/proc/self/fd"))
print("files", after - before, "tables", open("/proc/self/maps").read().count("memfd"))
if longest > float(sys.argv[3]):
    print("slow:", longest)
"""
# Serves a table to whoever comes, as one that is written just now.
SERVE = """
import os, socket, struct, sys, time
COARSE, BEAT_AT = 6, 40  # CLOCK_MONOTONIC_COARSE; in lib/table/layout.h
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
listener.listen(16)
print("listens", flush=True)
fd = os.memfd_create("stolen", os.MFD_ALLOW_SEALING)
os.write(fd, open(sys.argv[2], "rb").read())
import fcntl; fcntl.fcntl(fd, 1033, 7)
while True:
    client = listener.accept()[0]
    os.pwrite(fd, struct.pack("<Q", int(time.clock_gettime(COARSE) * 1000)), BEAT_AT)
    try:
        socket.send_fds(client, [bytes.fromhex(sys.argv[3])], [fd])
    except BrokenPipeError:
        pass  # it only looks who is here
    client.close()
"""

LINGERING_SOCKETS = """
import array, contextlib, os, socket, struct, sys
SINK = socket.create_server(("127.0.0.1", 0), backlog=100)

def lingering_socket():
    # Its last close() waits 4 s, for a peer that reads nothing.
    made = socket.create_connection(SINK.getsockname())
    made.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            made.send(bytes(1 << 16))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 4))
    return made
"""
# Each message: its bytes, and how many plain descriptors come before the one that lingers, which nobody has but its receiver.
LINGER = LINGERING_SOCKETS + """
messages = eval(sys.argv[2])
ready = [lingering_socket() for _ in messages]
null = os.open("/dev/null", os.O_RDONLY)
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
listener.listen(16)
print("listens", flush=True)
while True:
    client = listener.accept()[0]
    for message, plain in messages if ready else ():
        fds = array.array("i", [*[null] * plain, ready[-1].fileno()])
        try:
            client.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        except OSError as error:
            print("not sent:", os.strerror(error.errno), flush=True)
            break
        ready.pop().close()
        print("sent", flush=True)
    client.close()
"""


def reader_env(path: Path, services: str = "web", **extra: Optional[str]) -> Dict[str, Optional[str]]:
    return {**NO_API, "K8SLB_TABLE": str(path), "K8SLB_SERVICES": services, **extra}


def probe(
    run_shim: ShimRunner, vip: str, port: int, table: Path, preload: bool = True, by: Sequence[str] = (), **env: str
) -> Result:
    """What PROBE tells. by: the words of a command that runs it as somebody else."""
    return run_shim([*by, *python(PROBE, vip, port, BOUND)], env=reader_env(table, K8SLB_LOG=None, **env), preload=preload)


class Agent:
    """k8slb agent, its standard error in a file."""

    def __init__(
        self, build: Build, directory: Path, table: Path, env: Mapping[str, str], by: Sequence[str], *arguments: object
    ) -> None:
        self.table = table
        self._log = directory / f"agent{len(list(directory.glob('agent*.log')))}.log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("K8SLB_", "NOTIFY_"))}
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [*by, str(build.cli), "agent", "--table", str(table), *map(str, arguments)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**clean, **env},
            )

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_log(self, text: str) -> str:
        def look() -> Optional[str]:
            return next((line for line in self.log().splitlines() if text in line), None)

        return wait_until(f"the agent's line {text!r}", look, self.log) or ""

    def wait_serving(self) -> "Agent":
        self.wait_log(f"serves {self.table}")
        return self

    def http(self) -> str:
        """Base URL of --listen 127.0.0.1:0."""
        return "http://" + self.wait_log("/healthz, /livez and /metrics at").rsplit(" ", 1)[1]

    def get(self, target: str) -> Tuple[int, str]:
        try:
            with urllib.request.urlopen(self.http() + target, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metrics(self) -> Dict[str, float]:
        lines = [line for line in self.get("/metrics")[1].splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def end(self, number: int = signal.SIGTERM, timeout: float = PATIENCE_S) -> int:
        """Its exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Agents:
    """Starts agents for one test, and ends them with it."""

    def __init__(self, build: Build, directory: Path) -> None:
        self._build = build
        self._directory = directory
        self._all: List[Agent] = []

    def start(
        self, cluster: Cluster, table: Path, *arguments: object, env: Optional[Environment] = None, by: Sequence[str] = ()
    ) -> Agent:
        """by: the words of a command that runs it as somebody else."""
        settings = {name: value for name, value in {**cluster.env(""), **(env or {})}.items() if value is not None}
        self._all.append(Agent(self._build, self._directory, table, settings, by, *arguments))
        return self._all[-1]

    def run(
        self, cluster: Cluster, table: Path, *arguments: object, env: Optional[Environment] = None, by: Sequence[str] = ()
    ) -> Agent:
        """One that serves."""
        return self.start(cluster, table, *arguments, env=env, by=by).wait_serving()

    def close(self) -> None:
        for agent in self._all:
            agent.kill()
