# SPDX-License-Identifier: Apache-2.0
"""dial.py WAY HOST PORT COUNT PARALLEL: the ways of Python programs to connect, one line of SECONDS RESULT for each connection."""
import asyncio
import errno
import http.client
import importlib
import select
import socket
import sys
import threading
import time
from typing import Any, Awaitable, Callable, Dict

LIMIT_S = 3
REQUEST = b"WHO\n"


def name_of(error: BaseException) -> str:
    number = getattr(error, "errno", None) or getattr(error.__cause__, "errno", None)
    return errno.errorcode.get(number or 0, type(error).__name__)


def tell(began: float, result: str) -> None:
    print(f"{time.monotonic() - began:.6f} {result}\n", end="", flush=True)


# --- sockets


def ask(connection: socket.socket) -> str:
    connection.settimeout(LIMIT_S)
    connection.sendall(REQUEST)
    answer = connection.recv(100).decode().strip()
    connection.close()
    return answer or "closed"


def begin(host: str, port: int) -> socket.socket:
    connection = socket.socket()
    connection.setblocking(False)
    error = connection.connect_ex((host, port))
    if error not in (0, errno.EINPROGRESS):
        raise OSError(error, "connect")
    return connection


def outcome(connection: socket.socket) -> None:
    error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, "SO_ERROR")


def by_timeout(host: str, port: int) -> str:
    return ask(socket.create_connection((host, port), LIMIT_S))


def by_select(host: str, port: int) -> str:
    """In all three sets, as many libraries do."""
    connection = begin(host, port)
    _readable, writable, _failed = select.select([connection], [connection], [connection], LIMIT_S)
    if not writable:
        raise TimeoutError
    outcome(connection)
    return ask(connection)


def by_epoll(host: str, port: int) -> str:
    """An edge-triggered one that is kept; whose number it is, the program knows by the event."""
    connection = begin(host, port)
    with select.epoll() as poller:
        poller.register(connection, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)
        events = poller.poll(LIMIT_S)
    if not events:
        raise TimeoutError
    outcome(connection)
    return ask(connection)


def by_connecting_again(host: str, port: int) -> str:
    """The outcome is that of a second connect(), as of hiredis."""
    connection = begin(host, port)
    end = time.monotonic() + LIMIT_S
    while True:
        _readable, writable, _failed = select.select([], [connection], [], max(0, end - time.monotonic()))
        if not writable:
            raise TimeoutError
        error = connection.connect_ex((host, port))
        if error in (0, errno.EISCONN):
            return ask(connection)
        if error not in (errno.EALREADY, errno.EINPROGRESS):
            raise OSError(error, "connect")


def by_writing(host: str, port: int) -> str:
    """Never asks: writes as soon as that is possible."""
    connection = begin(host, port)
    poller = select.poll()
    poller.register(connection, select.POLLOUT)
    if not poller.poll(LIMIT_S * 1000):
        raise TimeoutError
    return ask(connection)


def by_http(host: str, port: int) -> str:
    """Of the tests themselves: a client of a proxy."""
    connection = http.client.HTTPConnection(host, port, timeout=2 * LIMIT_S)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace").strip()
        return body if answer.status == 200 else f"status-{answer.status}"
    finally:
        connection.close()


def in_threads(way: Callable[[str, int], str], host: str, port: int, count: int, parallel: int) -> None:
    def work(share: int) -> None:
        for _ in range(share):
            began = time.monotonic()
            try:
                tell(began, way(host, port))
            except (OSError, http.client.HTTPException) as error:
                tell(began, name_of(error))

    shares = [count // parallel + (i < count % parallel) for i in range(parallel)]
    if parallel == 1:  # so that the program has none
        return work(shares[0])
    threads = [threading.Thread(target=work, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# --- event loops

AsyncWay = Callable[[str, int], Awaitable[str]]


async def by_streams(host: str, port: int) -> str:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(REQUEST)
    answer = (await reader.readline()).decode().strip()
    writer.close()
    return answer or "closed"


async def by_tornado(host: str, port: int) -> str:
    from tornado.tcpclient import TCPClient

    stream = await TCPClient().connect(host, port)
    await stream.write(REQUEST)
    answer: bytes = await stream.read_until(b"\n")
    stream.close()
    return answer.decode().strip()


async def by_aiohttp(host: str, port: int) -> str:
    import aiohttp

    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session, session.get(f"http://{host}:{port}/") as answer:
        return (await answer.text()).strip()


async def one_of_many(way: AsyncWay, host: str, port: int) -> None:
    began = time.monotonic()
    try:
        tell(began, await asyncio.wait_for(way(host, port), LIMIT_S))
    except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
        tell(began, name_of(error))


async def in_a_loop(way: AsyncWay, host: str, port: int, count: int, parallel: int) -> None:
    for i in range(0, count, parallel):
        await asyncio.gather(*(one_of_many(way, host, port) for _ in range(min(parallel, count - i))))


def in_greenlets(host: str, port: int, count: int, parallel: int) -> None:
    from gevent import monkey

    monkey.patch_all()
    in_threads(by_timeout, host, port, count, parallel)


def main(name: str, host: str, port: int, count: int, parallel: int) -> None:
    ways: Dict[str, Any] = {
        "timeout": by_timeout, "select": by_select, "epoll": by_epoll, "again": by_connecting_again, "write": by_writing,
        "http": by_http,
    }  # fmt: skip
    loops: Dict[str, AsyncWay] = {
        "asyncio": by_streams, "uvloop": by_streams, "tornado": by_tornado, "aiohttp": by_aiohttp,
    }  # fmt: skip
    if name == "gevent":
        in_greenlets(host, port, count, parallel)
    elif name in ways:
        in_threads(ways[name], host, port, count, parallel)
    else:
        # Not in the time of the first connection.
        if name in ("uvloop", "aiohttp", "tornado"):
            importlib.import_module("tornado.tcpclient" if name == "tornado" else name)
        if name == "uvloop":
            importlib.import_module(name).install()
        asyncio.run(in_a_loop(loops[name], host, port, count, parallel))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
