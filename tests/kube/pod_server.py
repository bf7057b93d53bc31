# SPDX-License-Identifier: Apache-2.0
"""The program behind every pod of the tests: one process that listens at many addresses and answers with the pod's name.

It speaks, chosen by the first line of each request: HTTP/1.x ("GET / HTTP/1.1"), Redis (RESP arrays and inline commands),
and "WHO", answered by the name and a newline. Clients of PostgreSQL, and at port 3306 of MySQL, are turned away by an error
whose text is the name. It is controlled by JSON lines on stdin, each answered by one line on
stdout, and ends with its stdin. Run by pods.py, standard library only.
"""
import errno
import json
import os
import selectors
import socket
import sys
from typing import Any, Callable, Dict, List, Optional, Tuple

Address = Tuple[str, int]
MYSQL_PORT = 3306
MAX_REQUEST = 1 << 20  # a client that sends more without a complete request is cut off


class Listener:
    """One (ip, port) of a pod, with its open connections."""

    def __init__(self, server: "Server", name: str, address: Address) -> None:
        self.server = server
        self.name = name
        self.accepted = 0
        self.open: "set[Connection]" = set()
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self.socket.bind(address)
            self.socket.listen(1024)
        except OSError:
            self.socket.close()
            raise
        server.selector.register(self.socket, selectors.EVENT_READ, self.accept)

    def accept(self, _events: int = 0) -> None:
        while True:
            try:
                connection, _peer = self.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.ECONNABORTED, errno.EPROTO):
                    continue
                raise
            self.accepted += 1
            self.open.add(Connection(self, connection))

    def close(self) -> None:
        self.accept()
        self.server.selector.unregister(self.socket)
        self.socket.close()
        for connection in list(self.open):
            connection.close()


class Connection:
    def __init__(self, listener: Listener, connection: socket.socket) -> None:
        self.listener = listener
        self.socket = connection
        self.received = b""
        self.unsent = b""
        self.last = False  # close once unsent is gone
        if listener.socket.getsockname()[1] == MYSQL_PORT:  # there the server has the first word
            self.unsent, self.last = mysql_error(listener.name.encode()), True
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        interest = selectors.EVENT_WRITE if self.unsent else selectors.EVENT_READ
        listener.server.selector.register(connection, interest, self.handle)

    def handle(self, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                self.read()
            if self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
        except BlockingIOError:
            pass
        except (OSError, ValueError):  # a broken connection, or a number that is none
            self.close()
            return
        if self.last and not self.unsent:
            self.close()
            return
        interest = (0 if self.last else selectors.EVENT_READ) | (selectors.EVENT_WRITE if self.unsent else 0)
        self.listener.server.selector.modify(self.socket, interest, self.handle)

    def read(self) -> None:
        data = self.socket.recv(1 << 16)
        self.received += data
        while not self.last:
            answer = answer_one(self.received, self.listener.name.encode())
            if answer is None:
                break
            used, reply, self.last = answer
            self.received = self.received[used:]
            self.unsent += reply
        if not data or len(self.received) > MAX_REQUEST:
            self.last = True

    def close(self) -> None:
        self.listener.open.discard(self)
        self.listener.server.selector.unregister(self.socket)
        self.socket.close()


Answer = Tuple[int, bytes, bool]  # bytes of the request, the reply, whether the connection ends after it


def answer_one(data: bytes, name: bytes) -> Optional[Answer]:
    """Answer the first request in data; None while it is not complete."""
    if data[4:8] == POSTGRES_3_0:
        return len(data), postgres_error(name), True
    line, newline, _rest = data.partition(b"\n")
    if not newline:
        return None
    words = line.split()
    if not words:
        return len(line) + 1, b"", False
    if words[0] == b"WHO":
        return len(line) + 1, name + b"\n", False
    if words[-1].startswith(b"HTTP/1."):
        return answer_http(data, words, name)
    if words[0].startswith(b"*"):
        parsed = parse_resp_array(data)
        return parsed and (parsed[0], *answer_redis(parsed[1], name))
    return (len(line) + 1, *answer_redis(words, name))


POSTGRES_3_0 = b"\0\3\0\0"  # after the length of a StartupMessage


def postgres_error(name: bytes) -> bytes:
    fields = b"SFATAL\0C57P03\0M" + name + b"\0\0"
    return b"E" + (len(fields) + 4).to_bytes(4, "big") + fields


def mysql_error(name: bytes) -> bytes:
    """Too many connections, in place of the greeting."""
    packet = b"\xff" + (1040).to_bytes(2, "little") + b"#08004" + name
    return len(packet).to_bytes(3, "little") + b"\0" + packet


def answer_http(data: bytes, words: List[bytes], name: bytes) -> Optional[Answer]:
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not blank:
        return None
    fields: Dict[bytes, bytes] = {}
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        fields[key.strip().lower()] = value.strip().lower()
    length = int(fields.get(b"content-length") or 0)
    if len(rest) < length:
        return None
    connection = fields.get(b"connection", b"")
    old = words[-1] == b"HTTP/1.0"
    last = (b"keep-alive" not in connection) if old else (b"close" in connection)
    body = b"" if words[0] == b"HEAD" else name + b"\n"
    reply = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nX-Pod: %s\r\nConnection: %s\r\n\r\n"
        % (len(name) + 1, name, b"close" if last else b"keep-alive")
    )
    return len(head) + 4 + length, reply + body, last


def parse_resp_array(data: bytes) -> Optional[Tuple[int, List[bytes]]]:
    """The length and the words of a RESP array of bulk strings at the start of data; None while it is not complete."""
    end = data.find(b"\r\n")
    words: List[bytes] = []
    position = end + 2
    for _ in range(int(data[1:end])):
        end = data.find(b"\r\n", position)
        if end < 0:
            return None
        start = end + 2
        position = start + int(data[position + 1 : end]) + 2
        if len(data) < position:
            return None
        words.append(data[start : position - 2])
    return position, words


def answer_redis(words: List[bytes], name: bytes) -> Tuple[bytes, bool]:
    def bulk(text: bytes) -> bytes:
        return b"$%d\r\n%s\r\n" % (len(text), text)

    command = words[0].upper() if words else b""
    if command == b"PING":
        return (bulk(words[1]) if len(words) > 1 else b"+PONG\r\n"), False
    if command == b"ECHO" and len(words) > 1:
        return bulk(words[1]), False
    if command == b"GET":
        return bulk(name), False
    if command in (b"SET", b"SELECT", b"CLIENT", b"AUTH"):
        return b"+OK\r\n", False
    if command == b"INFO":
        return bulk(b"# Server\r\nredis_version:7.0.0\r\npod:" + name + b"\r\n"), False
    if command == b"COMMAND":
        return b"*0\r\n", False
    if command == b"HELLO":
        return b"-NOPROTO unsupported protocol version\r\n", False
    if command == b"QUIT":
        return b"+OK\r\n", True
    return b"-ERR unknown command\r\n", False


class Server:
    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.listeners: Dict[Address, Listener] = {}
        self.commands = b""
        os.set_blocking(0, False)
        self.selector.register(0, selectors.EVENT_READ, self.read_commands)

    def run(self) -> None:
        while True:
            for key, events in self.selector.select():
                # A handler of this round may have closed this one; its number may be another one's by now. By the number:
                # a closed socket has none, and the map refuses to look for it.
                current = self.selector.get_map().get(key.fd)
                if current is not None and current.fileobj is key.fileobj:
                    handle: Callable[[int], None] = key.data
                    handle(events)

    def read_commands(self, _events: int) -> None:
        data = os.read(0, 1 << 16)
        if not data:
            sys.exit(0)
        *lines, self.commands = (self.commands + data).split(b"\n")
        for line in lines:
            try:
                reply: Dict[str, Any] = self.command(**json.loads(line))
            except Exception as error:  # told to the test that asked
                reply = {"error": f"{type(error).__name__}: {error}"}
            os.write(1, json.dumps(reply).encode() + b"\n")

    def command(self, do: str, ip: str, port: int, name: str = "") -> Dict[str, int]:
        address = (ip, port)
        if do == "listen":
            self.listeners[address] = Listener(self, name, address)
            return {}
        if do == "close":
            listener = self.listeners.pop(address)
            listener.close()
            return {"accepted": listener.accepted}
        listener = self.listeners[address]
        # Connections that wait in the queue were made before this question: they count.
        listener.accept()
        return {"accepted": listener.accepted}


if __name__ == "__main__":
    Server().run()
