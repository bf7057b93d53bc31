# SPDX-License-Identifier: Apache-2.0
"""A client that connects by sending (MSG_FASTOPEN), run under the shim by the tests:
fast_open.py [--call sendto|sendmsg|sendmmsg] [-6] [-n COUNT] [--nonblocking] [--twice] HOST PORT

Prints one line for each connection: the pod that answered and the peer's address, or the name of the error and of the call that told
it. --twice: a program that calls connect() where the flag is not taken (EOPNOTSUPP), as such programs do.
"""
import argparse
import ctypes
import errno
import select
import socket
import struct
from typing import Tuple

libc = ctypes.CDLL(None, use_errno=True)
REQUEST = b"WHO\n"
AGAIN = (errno.EINPROGRESS, errno.EAGAIN)
failed = []  # kept open: of a closed socket nobody learns what became of it


def raw_address(connection: socket.socket, host: str, port: int) -> bytes:
    if connection.family == socket.AF_INET:
        return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)
    return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 0) + socket.inet_pton(socket.AF_INET6, host) + bytes(4)


def send_many(connection: socket.socket, address: Tuple[str, int]) -> int:
    """The request in two messages, the second one empty; returns how many bytes were sent, and checks what the kernel wrote of each."""
    name = ctypes.create_string_buffer(raw_address(connection, *address))
    texts = [ctypes.create_string_buffer(part, len(part)) for part in (REQUEST, b"")]
    vectors = [ctypes.create_string_buffer(struct.pack("PN", ctypes.addressof(text), len(text))) for text in texts]
    messages = b"".join(
        struct.pack("PI4xPNPNi4xI4x", ctypes.addressof(name), len(name) - 1, ctypes.addressof(vector), 1, 0, 0, 0, 77) for vector in vectors
    )
    array = ctypes.create_string_buffer(messages)
    before = name.raw
    ctypes.set_errno(0)
    sent = libc.sendmmsg(connection.fileno(), array, 2, socket.MSG_FASTOPEN)
    if sent < 0:
        raise OSError(ctypes.get_errno(), "sendmmsg")
    # Where the connection is there already the flag is an error, which the number of messages hides. Nothing else is changed.
    told = [struct.unpack_from("I", array.raw, 64 * i + 56)[0] for i in range(2)]
    if (told, name.raw, ctypes.get_errno()) != ([len(REQUEST), 77 if sent == 1 else 0], before, 0):
        raise AssertionError((sent, told, name.raw, before, ctypes.get_errno()))
    return told[0]


def send(connection: socket.socket, call: str, address: Tuple[str, int]) -> int:
    if call == "sendto":
        return connection.sendto(REQUEST, socket.MSG_FASTOPEN, address)
    if call == "sendmsg":
        return connection.sendmsg([REQUEST[:1], REQUEST[1:]], [], socket.MSG_FASTOPEN, address)
    return send_many(connection, address)


def ask(arguments: argparse.Namespace) -> str:
    address = (arguments.host, arguments.port)
    connection = socket.socket(socket.AF_INET6 if arguments.six else socket.AF_INET, socket.SOCK_STREAM)
    doing = arguments.call
    try:
        connection.setblocking(not arguments.nonblocking)
        try:
            sent = send(connection, arguments.call, address)
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP and arguments.twice:
                connection.connect(address)
            elif error.errno not in AGAIN or not arguments.nonblocking:
                raise
            sent = 0
        doing = "then"
        if sent < len(REQUEST):
            select.select([], [connection], [], 20)
            connection.sendall(REQUEST[sent:])
        connection.setblocking(True)
        pod = connection.makefile().readline().strip()
        peer = connection.getpeername()[:2]
    except OSError as error:
        failed.append(connection)
        return f"{errno.errorcode.get(error.errno or 0, error)} {doing}"
    connection.close()
    return f"{pod} {peer[0]} {peer[1]}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--call", default="sendto")
    parser.add_argument("-6", dest="six", action="store_true")
    parser.add_argument("-n", type=int, default=1)
    parser.add_argument("--nonblocking", action="store_true")
    parser.add_argument("--twice", action="store_true")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    for _ in range(arguments.n):
        print(ask(arguments), flush=True)


if __name__ == "__main__":
    main()
