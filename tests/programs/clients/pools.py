# SPDX-License-Identifier: Apache-2.0
"""pools.py METHOD HOST PORT COUNT: multiprocessing's pool of three, whose parent has connected before and does so after;
prints the pod of each answer, and the descriptors of parent and workers."""
import multiprocessing
import os
import socket
import sys
from typing import Any, List, Tuple


def ask(address: Tuple[str, int]) -> str:
    with socket.create_connection(address, 5) as connection:
        connection.sendall(b"WHO\n")
        return connection.makefile().readline().strip()


def descriptors() -> List[str]:
    found = []
    for number in sorted(os.listdir("/proc/self/fd"), key=int):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # the listing's own
            continue
        found.append("file" if target.startswith("/") else target.partition(":")[0])
    return found


def tell_descriptors(queue: Any) -> None:
    queue.put(descriptors())


def main() -> None:
    method, address, count = sys.argv[1], (sys.argv[2], int(sys.argv[3])), int(sys.argv[4])
    context = multiprocessing.get_context(method)
    for _ in range(count):
        print(ask(address))
    queue = context.SimpleQueue()
    with context.Pool(3, initializer=tell_descriptors, initargs=(queue,)) as pool:
        for one in sorted(queue.get() for _ in range(3)):
            print(one)
        for pod in pool.map(ask, [address] * 3 * count, chunksize=count):
            print(pod)
        pool.close()
        pool.join()
    for _ in range(count):
        print(ask(address))
    print(descriptors())


if __name__ == "__main__":
    main()
