# SPDX-License-Identifier: Apache-2.0
"""The real DNS server of a cluster: CoreDNS with its plugin kubernetes (scripts/build-go coredns), beside a real API server."""
import socket
import struct
import urllib.request
from pathlib import Path

from tests.harness import wait_until
from tests.kube.dns_server import DnsServer, read_name
from tests.kube.process import Process, go_program
from tests.kube.real_cluster import RealCluster

PORT, READY_PORT = 5300, 8181
COREFILE = """
.:{port} {{
    bind 127.0.0.1
    errors
    ready 127.0.0.1:{ready}
    kubernetes cluster.local {{
        kubeconfig {kubeconfig}
        pods insecure
    }}
    forward . {upstream}
}}
"""


class CoreDns(DnsServer):
    """What is asked goes through here to CoreDNS and back, so that asked tells of it. upstream: who knows the world's names."""

    def __init__(self, cluster: RealCluster, directory: Path, upstream: str) -> None:
        file = directory / "Corefile"
        file.write_text(COREFILE.format(port=PORT, ready=READY_PORT, kubeconfig=cluster.kubeconfig, upstream=upstream))
        self._process = Process("coredns", [go_program("coredns"), "-conf", str(file)], str(directory / "coredns.log"))
        self._process.start()
        try:
            wait_until("CoreDNS", _is_ready, self._process.log_end)
            super().__init__({})
        except BaseException:
            self._process.stop()
            raise

    def close(self) -> None:
        super().close()
        self._process.stop()

    def answer(self, query: bytes, limit: int) -> bytes:
        self.asked.append(read_name(query, 12)[0])
        kind = socket.SOCK_DGRAM if limit == 512 else socket.SOCK_STREAM
        with socket.socket(socket.AF_INET, kind) as server:
            server.settimeout(10)
            server.connect(("127.0.0.1", PORT))
            if kind == socket.SOCK_DGRAM:
                server.send(query)
                return server.recv(65535)
            server.sendall(struct.pack("!H", len(query)) + query)
            with server.makefile("rb") as answer:
                return answer.read(struct.unpack("!H", answer.read(2))[0])


def _is_ready() -> bool:
    """It has listed what the API server has."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{READY_PORT}/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
