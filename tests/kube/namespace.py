# SPDX-License-Identifier: Apache-2.0
"""The network namespace that scripts/in-netns made: its addresses, and what it can do."""
import ipaddress
import os
import subprocess
from typing import Iterable, Optional, Set

DEVICE = "node0"
NODE_IP = "10.9.9.9"
POD_NETWORK = "10.244.0.0/16"
POD_NETWORK_V6 = "fd00:244::/64"

# The first 250 of each /24 of the pod network, from 10.244.0.2 on. An address is not given out again before all others
# were: a connection that a former test left behind cannot meet a new pod.
_FIRST, _LAST, _PER_BLOCK = 2, 250, 16
_taken: Set[str] = set()
_cursor = 0


def has_netns() -> bool:
    """Whether this process runs inside of scripts/in-netns, in a namespace of its own."""
    return os.environ.get("K8SLB_NETNS") == "1"


def why_no_netns() -> Optional[str]:
    """One line for a skipped test, or None inside of a namespace."""
    if has_netns():
        return None
    if os.environ.get("K8SLB_NETNS") == "none":
        return "network namespaces are not permitted here"
    return "not inside of a network namespace: run the tests through scripts/in-netns"


def has_ipv6() -> bool:
    try:
        with open("/proc/net/if_inet6") as table:
            return any(DEVICE in line and line.startswith("fd00") for line in table)
    except FileNotFoundError:
        return False


def ip(*arguments: str, check: bool = True, text: Optional[str] = None) -> str:
    """Run the ip command; its output. Raises with its words when it fails."""
    result = subprocess.run(["ip", *arguments], input=text, capture_output=True, text=True)
    if check and result.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {result.stderr.strip()}")
    return result.stdout


def add_address(*addresses: str) -> None:
    """Add host addresses to the node, IPv4 or IPv6; the first connection to them may follow at once."""
    _batch("replace", addresses)


def remove_address(*addresses: str) -> None:
    """Take them away: from now on nobody answers there. An address that is not there is no error."""
    _batch("del", addresses)


def add_silent_address(address: str) -> None:
    """Make an address where packets vanish, so that a connect() to it ends by a timeout, not by EHOSTUNREACH."""
    ip("neigh", "replace", address, "lladdr", "02:00:00:00:00:99", "dev", DEVICE, "nud", "permanent")


def remove_silent_address(address: str) -> None:
    ip("neigh", "del", address, "dev", DEVICE, check=False)


def take_pod_address() -> str:
    """The next free IPv4 address of the pod network, not yet added to the node. Given back by free_pod_address()."""
    global _cursor
    size = _LAST - _FIRST + 1
    for _ in range(size * _PER_BLOCK):
        block, host = divmod(_cursor, size)
        _cursor = (_cursor + 1) % (size * _PER_BLOCK)
        address = f"10.244.{block}.{_FIRST + host}"
        if address not in _taken:
            _taken.add(address)
            return address
    raise RuntimeError("the pod network is full")


def free_pod_address(address: str) -> None:
    _taken.discard(address)


def _batch(verb: str, addresses: Iterable[str]) -> None:
    lines = []
    for address in addresses:
        version = ipaddress.ip_address(address).version
        prefix, flag = ("32", "") if version == 4 else ("128", " nodad" if verb == "replace" else "")
        lines.append(f"addr {verb} {address}/{prefix} dev {DEVICE}{flag}\n")
    if lines:
        ip("-force", "-batch", "-", check=verb != "del", text="".join(lines))
