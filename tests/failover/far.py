# SPDX-License-Identifier: Apache-2.0
"""far.py MS SPREAD_MS ADDRESS...: a network namespace with these addresses, so far away that a packet takes MS, give or take
SPREAD_MS

Between here and there are two TUN devices and this program, which keeps each packet back. What a pod there answers comes when
connect() has long returned; on this node itself a refusal comes before that. Prints "ready" once it works, and
ends with its standard input. Needs root in its network namespace.
"""
import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time
from typing import Dict, List, Tuple

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
CLONE_NEWNET = 0x40000000
HERE, THERE = "far0", "far1"
MOST_KEPT = 10000  # packets; further ones are lost, as on a link


def tun(name: str) -> int:
    number = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(number, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return number


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


def carry(ends: Dict[int, int], delay_s: float, spread_s: float) -> None:
    """Each packet that one end has goes to the other one after the delay."""
    kept: List[Tuple[float, int, int, bytes]] = []
    number_of_all = 0
    poller = select.poll()
    for number in [0, *ends]:
        poller.register(number, select.POLLIN)
    while True:
        wait_ms = max(0, (kept[0][0] - time.monotonic()) * 1000) if kept else None
        for number, _events in poller.poll(wait_ms):
            if number == 0:
                return
            try:
                for _ in range(64):
                    packet = os.read(number, 65536)
                    due = time.monotonic() + delay_s + random.uniform(-spread_s, spread_s)
                    number_of_all += 1
                    if len(kept) < MOST_KEPT:
                        heapq.heappush(kept, (due, number_of_all, ends[number], packet))
            except BlockingIOError:
                pass
        while kept and kept[0][0] <= time.monotonic():
            _due, _order, number, packet = heapq.heappop(kept)
            try:
                os.write(number, packet)
            except OSError:  # the device's queue is full: lost
                pass


def main(delay_ms: float, spread_ms: float, addresses: List[str]) -> None:
    here = tun(HERE)
    ip(f"link set {HERE} up")
    for address in addresses:
        ip(f"route add {address}/32 dev {HERE}")
    if ctypes.CDLL(None).unshare(CLONE_NEWNET):
        raise OSError("unshare")
    there = tun(THERE)
    ip("link set lo up")
    ip(f"link set {THERE} up")
    for address in addresses:
        ip(f"addr add {address}/32 dev {THERE}")
    ip(f"route add default dev {THERE}")
    print("ready", flush=True)
    carry({here: there, there: here}, delay_ms / 1000, spread_ms / 1000)


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
