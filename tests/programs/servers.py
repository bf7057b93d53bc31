# SPDX-License-Identifier: Apache-2.0
"""Real servers that the tests put into pods, or under the shim: for World.serve() and World.start()."""
import grp
import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, List, Sequence

import pytest

from tests.kube.cluster import Pod
from tests.programs.common import Backend, World

TLS_VIP = "10.96.44.3"  # chosen here: the certificate tells it
TLS_NAMES = ("secure", "secure.default.svc.cluster.local")

# For servers that change to another user: in a user namespace there is none.
needs_real_root = pytest.mark.skipif(
    os.geteuid() != 0 or Path("/proc/self/uid_map").read_text().split() != ["0", "0", str(2**32 - 1)],
    reason="needs root, outside of a user namespace",
)

_NGINX = """
{user}
worker_processes {workers};
daemon off;
pid {directory}/pid;
error_log stderr {level};
events {{ worker_connections 256; }}
http {{
    access_log off;
    default_type text/plain;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
{server}
    }}
}}
"""


@dataclass(frozen=True)
class Certificate:
    """A certificate for TLS_VIP and TLS_NAMES, which is its own authority."""

    file: Path
    key: Path

    @staticmethod
    def make(directory: Path) -> "Certificate":
        result = Certificate(directory / "certificate.pem", directory / "key.pem")
        names = ",".join([f"IP:{TLS_VIP}", *(f"DNS:{name}" for name in TLS_NAMES)])
        check_call(
            ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]
            + ["-subj", "/CN=secure", "-addext", f"subjectAltName={names}", "-keyout", result.key, "-out", result.file]
        )
        return result


def check_call(command: Sequence[Any]) -> None:
    """Run a program of the test's own preparation, silently."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"


def nginx(directory: Path, server: str, workers: int = 1, user: str = "root", level: str = "error") -> List[Any]:
    """The command of an nginx with these lines in its server { }; its files are kept in the directory."""
    config = directory / "nginx.conf"
    group = grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    account = f"user {user} {group};"
    config.write_text(_NGINX.format(directory=directory, server=server, workers=workers, user=account, level=level))
    return ["nginx", "-p", directory, "-e", "stderr", "-c", config]


def nginx_pod(server: str) -> Callable[[Pod, Path], List[Any]]:
    """For World.serve(): nginx with these lines, in which POD stands for the pod's name."""
    return lambda pod, directory: nginx(directory, f"listen {pod.ip}:{pod.port};\n" + server.replace("POD", pod.name))


def serve_https(world: World, certificate: Certificate) -> Backend:
    """The Service "secure": https, answers with the pod's name, one connection for many requests if asked for."""
    server = """
        listen {listen} ssl;
        ssl_certificate {certificate.file};
        ssl_certificate_key {certificate.key};
        location / {{ return 200 "{pod}\\n"; }}
    """

    def command(pod: Pod, directory: Path) -> List[Any]:
        listen = f"{pod.ip}:{pod.port}"
        return nginx(directory, server.format(listen=listen, certificate=certificate, pod=pod.name))

    return world.serve("secure", 443, command, cluster_ip=TLS_VIP)
