# SPDX-License-Identifier: Apache-2.0
"""OpenSSH for the tests: keys, servers in pods that share one host key, and the options of a client that trusts it."""
import os
from pathlib import Path
from typing import Any, List

from tests.kube.cluster import Pod
from tests.programs.common import Backend, World
from tests.programs.servers import check_call

VIP = "10.96.44.22"  # chosen here: known_hosts tells it
NAME = "ssh.default.svc.cluster.local"

_SERVER = """
ListenAddress {address}
Port {port}
HostKey {keys}/host
AuthorizedKeysFile {keys}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxStartups 100
MaxSessions 100
LogLevel INFO
Subsystem sftp internal-sftp
"""


class Ssh:
    def __init__(self, directory: Path) -> None:
        self.keys = directory / "keys"
        self.keys.mkdir(mode=0o700)
        for name in ("host", "user"):
            check_call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.keys / name])
        host_key = " ".join((self.keys / "host.pub").read_text().split()[:2])
        hosts = [VIP, NAME, "[127.0.0.1]:2022"]
        (self.keys / "known_hosts").write_text("".join(f"{host} {host_key}\n" for host in hosts))
        # The key exchange that is the default costs 0.1 s of CPU at both ends; it is not what is looked at.
        (self.keys / "config").write_text(
            f"KexAlgorithms curve25519-sha256\nIdentityFile {self.keys}/user\nIdentitiesOnly yes\nBatchMode yes\nStrictHostKeyChecking yes\nUser root\n"
            f"UserKnownHostsFile {self.keys}/known_hosts\nGlobalKnownHostsFile /dev/null\nUpdateHostKeys no\nCheckHostIP yes\n"
        )
        # sshd insists on an empty directory at this place; a service manager makes it elsewhere.
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)

    def options(self) -> List[Any]:
        """Of ssh, scp and sftp."""
        return ["-F", self.keys / "config"]

    def server(self, directory: Path, address: str, port: int, **environment: str) -> List[Any]:
        """The command of an sshd; environment: of its sessions."""
        config = directory / "sshd_config"
        told = " ".join(f'{name}="{value}"' for name, value in environment.items())
        config.write_text(_SERVER.format(address=address, port=port, keys=self.keys) + (f"SetEnv {told}\n" if told else ""))
        return ["/usr/sbin/sshd", "-D", "-e", "-f", config]

    def serve(self, world: World) -> Backend:
        """The Service "ssh": sshd in pods; POD is the pod's name in each session."""

        def command(pod: Pod, directory: Path) -> List[Any]:
            return self.server(directory, pod.ip, pod.port, POD=pod.name)

        return world.serve("ssh", 22, command, cluster_ip=VIP)
