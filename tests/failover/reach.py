# SPDX-License-Identifier: Apache-2.0
"""Connects to each HOST in each way, and tells who answered: reach.py [--count N] [--hold] [--source PORT] PORT HOST...

A line for each connection: HOST, the way (blocking or polling), the pod that answered or the error, and the peer that the socket
names. With --hold all connections stay open to the end; with --source the connections to all hosts come from one port, another one for
each of the N rounds.
"""
import argparse
import errno
import select
import socket
from typing import List

WAYS = ("blocking", "polling")


def answer(connection: socket.socket) -> str:
    connection.settimeout(20)
    connection.sendall(b"WHO\n")
    return connection.makefile().readline().strip()


def connect(connection: socket.socket, way: str, host: str, port: int) -> int:
    if way == "blocking":
        return connection.connect_ex((host, port))
    connection.setblocking(False)
    error = connection.connect_ex((host, port))
    if error != errno.EINPROGRESS:
        return error
    poller = select.poll()
    poller.register(connection, select.POLLOUT)
    poller.poll(20000)
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def reach(way: str, host: str, port: int, source: int) -> socket.socket:
    connection = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if source:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        connection.bind(("", source))
    error = connect(connection, way, host, port)
    told, peer = errno.errorcode.get(error, str(error)), "-"
    if not error:
        try:
            told, peer = answer(connection), connection.getpeername()[0]
        except OSError as lost:
            told = type(lost).__name__
    print(host, way, told, peer, flush=True)
    return connection


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--hold", action="store_true")
    parser.add_argument("--source", type=int, default=0)
    parser.add_argument("--way", action="append", choices=WAYS)
    parser.add_argument("port", type=int)
    parser.add_argument("hosts", nargs="+")
    arguments = parser.parse_args()
    held: List[socket.socket] = []
    for number in range(arguments.count):
        for way in arguments.way or WAYS:
            if arguments.source:
                arguments.source += 1
            opened = [reach(way, host, arguments.port, arguments.source) for host in arguments.hosts]
            if arguments.hold:
                held += opened
            else:
                for connection in opened:
                    connection.close()


if __name__ == "__main__":
    main()
