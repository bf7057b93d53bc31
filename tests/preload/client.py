# SPDX-License-Identifier: Apache-2.0
"""An ordinary Python client, run under the shim by the tests: client.py [-6] [-n COUNT] [-p] HOST PORT

Prints one line for each connection: the pod that answered, or the name of the error; with -p also the peer's address.
"""
import argparse
import errno
import socket
import struct


def ask(family: int, host: str, port: int, show_peer: bool) -> str:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            # Not settimeout(), which makes the socket non-blocking: its first connect() waits for the table 300 ms at most.
            for bound in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                connection.setsockopt(socket.SOL_SOCKET, bound, struct.pack("@ll", 5, 0))
            connection.connect((host, port))
            connection.sendall(b"WHO\n")
            pod = connection.makefile().readline().strip()
            peer = connection.getpeername()[:2]
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return f"{pod} {peer[0]} {peer[1]}" if show_peer else pod


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-6", dest="family", action="store_const", const=socket.AF_INET6, default=socket.AF_INET)
    parser.add_argument("-n", type=int, default=1)
    parser.add_argument("-p", action="store_true")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    for _ in range(arguments.n):
        print(ask(arguments.family, arguments.host, arguments.port, arguments.p), flush=True)


if __name__ == "__main__":
    main()
