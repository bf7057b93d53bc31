# SPDX-License-Identifier: Apache-2.0
"""What the preload tests share: a Service with pods, and the Python client."""
import sys
from collections import Counter
from pathlib import Path
from typing import Any, List, Tuple

from tests.kube.cluster import Cluster, Pod, Service

_CLIENT = Path(__file__).with_name("client.py")


def web(cluster: Cluster, pods: int = 3, name: str = "web", **spec: Any) -> Tuple[Service, List[Pod]]:
    """A Service with ready pods NAME-0, NAME-1, ...; spec: as for create_service()."""
    service = cluster.create_service(name, **spec)
    made = [cluster.add_pod(f"{name}-{i}", {"app": name}) for i in range(pods)]
    cluster.wait_endpoints(service, pods)
    return service, made


def client(host: str, port: int, count: int = 1, *options: str) -> List[str]:
    """The command line of client.py."""
    return [sys.executable, str(_CLIENT), "-n", str(count), *options, host, str(port)]


def python(code: str, *arguments: Any) -> List[str]:
    """The command line of a Python program."""
    return [sys.executable, "-c", code, *(str(argument) for argument in arguments)]


def tally(output: str) -> "Counter[str]":
    """How often each line was printed."""
    return Counter(output.split("\n")[:-1])
