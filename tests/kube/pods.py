# SPDX-License-Identifier: Apache-2.0
"""Real listeners for pods: handles to the one process (pod_server.py) that serves them all, away from the test's GIL."""
import json
import os
import subprocess
import sys
import threading
from typing import Any, Dict, Sequence, Tuple, Union

from tests.kube import namespace as netns


class PodServer:
    """The process. It ends with this object's close(), or with the test process. before: words that lead to another place to run it."""

    def __init__(self, *before: str) -> None:
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pod_server.py")
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [*before, sys.executable, "-I", "-S", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}
        )

    def command(self, **request: Any) -> Dict[str, int]:
        with self._lock:
            assert self._process.stdin and self._process.stdout
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the pod server ended with status {self._process.wait()}")
        reply: Dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise RuntimeError(f"pod server, {request}: {reply['error']}")
        return reply

    def close(self) -> None:
        if self._process.poll() is None:
            assert self._process.stdin and self._process.stdout
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()

    def place(
        self, name: str, ip: Union[None, str, Sequence[str]], port: int, listen: bool
    ) -> Tuple[Tuple[str, ...], Tuple["PodListener", ...]]:
        """Give a pod its addresses (None: the next free one) and, if listen, a listener at each of them."""
        if ip is None:
            ips: Tuple[str, ...] = (netns.take_pod_address(),)
        else:
            ips = (ip,) if isinstance(ip, str) else tuple(ip)
        netns.add_address(*ips)
        return ips, tuple(PodListener(self, name, address, port) for address in ips) if listen else ()


class PodListener:
    """A TCP listener at (ip, port) that answers with the pod's name: to HTTP as body and as the field X-Pod, to Redis
    commands as the value of any key, to the line "WHO" as a line."""

    def __init__(self, server: PodServer, name: str, ip: str, port: int) -> None:
        self.name = name
        self.ip = ip
        self.port = port
        self._server = server
        self._accepted = 0  # before the last stop()
        self._listening = False
        self.start()

    def start(self) -> None:
        """Listen again after stop()."""
        if not self._listening:
            self._server.command(do="listen", ip=self.ip, port=self.port, name=self.name)
            self._listening = True

    def stop(self) -> None:
        """Refuse connections from now on and close the open ones. The count stays."""
        if self._listening:
            self._accepted += self._server.command(do="close", ip=self.ip, port=self.port)["accepted"]
            self._listening = False

    def connections(self) -> int:
        """Connections accepted so far; every connect() that returned before is counted."""
        running = self._server.command(do="count", ip=self.ip, port=self.port)["accepted"] if self._listening else 0
        return self._accepted + running


def release(ips: Sequence[str], listeners: Sequence[PodListener]) -> None:
    """Undo PodServer.place(): nobody answers at these addresses any more."""
    for listener in listeners:
        listener.stop()
    netns.remove_address(*ips)
    for address in ips:
        netns.free_pod_address(address)
