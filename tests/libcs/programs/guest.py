# SPDX-License-Identifier: Apache-2.0
"""guest.c for the Python of a root filesystem, its smallest package: guest.py HOST PORT COUNT, with the same output."""
import os
import socket
import sys
import threading

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def ask(who: str) -> None:
    try:
        address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][4]
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.connect(address)
            connection.sendall(b"WHO\n")
            pod = connection.recv(64).decode().strip()
            print(who, pod, *connection.getpeername(), flush=True)
    except OSError as error:
        print(who, error.strerror, flush=True)


def ask_all(who: str) -> None:
    for _ in range(count):
        ask(who)


ask_all("main")
thread = threading.Thread(target=ask_all, args=("thread",))
thread.start()
thread.join()
child = os.fork()
if child == 0:
    ask_all("child")
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
