# SPDX-License-Identifier: Apache-2.0
"""A program that connects again and again until SIGTERM: follow.py HOST PORT PAUSE_MS

One line a connection: when it began (CLOCK_MONOTONIC, s), how long it took (s), and the pod that answered or the name of
the error.
"""
import errno
import signal
import socket
import sys
import time
from typing import List


def ask(host: str, port: int) -> str:
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.sendall(b"WHO\n")
            return connection.makefile().readline().strip() or "nothing"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error).replace(" ", "-"))


def main() -> None:
    host, port, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 1000
    told: List[int] = []
    # No sys.exit() here: raised inside of the destructor of what makefile() returns, it is lost and the program goes on.
    signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    while not told:
        start = time.monotonic()
        result = ask(host, port)
        print(f"{start:.6f} {time.monotonic() - start:.6f} {result}", flush=True)
        time.sleep(pause)


if __name__ == "__main__":
    main()
