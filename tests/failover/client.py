# SPDX-License-Identifier: Apache-2.0
"""A client that connects to HOST PORT again and again, COUNT times: client.py [--until POD] COUNT HOST PORT

HOST may be the Service's name: then the process has its table before the first connection. Prints one line for each
connection: how long connect() took, in ms, and the pod that answered or the name of the error. With --until ten times a
second, and no more once that pod has answered. WITH_THREAD in the environment: it has a second thread.
"""
import argparse
import errno
import os
import socket
import threading
import time
from typing import Tuple


def ask(host: str, port: int) -> Tuple[float, str]:
    with socket.socket() as connection:
        began = time.monotonic()
        try:
            connection.connect((host, port))
            took = time.monotonic() - began
            connection.settimeout(5)
            connection.sendall(b"WHO\n")
            name = connection.makefile().readline().strip()
        except OSError as error:
            took = time.monotonic() - began
            name = errno.errorcode.get(error.errno or 0, type(error).__name__)
    return took * 1000, name


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--until")
    parser.add_argument("count", type=int)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    if "WITH_THREAD" in os.environ:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    for _ in range(arguments.count):
        address = socket.gethostbyname(arguments.host)
        ms, name = ask(address, arguments.port)
        print(f"{ms:.3f} {name}", flush=True)
        if arguments.until:
            if name == arguments.until:
                break
            time.sleep(0.1)


if __name__ == "__main__":
    main()
