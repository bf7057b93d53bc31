# SPDX-License-Identifier: Apache-2.0
"""Programs that connect without blocking, each in its own way: nonblocking.py WAY HOST PORT [POD]"""
import asyncio
import ctypes
import errno
import os
import select
import socket
import sys
import time
from typing import List

LONGER_THAN_A_TRY_S = 1.2

libc = ctypes.CDLL(None, use_errno=True)


def begin(host: str, port: int, count: int) -> List[socket.socket]:
    """So many sockets that began to connect; as many as there are pods, so that each pod has its turn."""
    sockets = []
    for _ in range(count):
        one = socket.socket()
        one.setblocking(False)
        error = one.connect_ex((host, port))
        assert error == errno.EINPROGRESS, errno.errorcode.get(error, error)
        sockets.append(one)
    return sockets


def settle(sockets: List[socket.socket], seconds: float = 5) -> List[socket.socket]:
    """Wait for all outcomes, at most so long. Those without one."""
    poller = select.poll()
    waiting = {one.fileno(): one for one in sockets}
    for number in waiting:
        poller.register(number, select.POLLOUT)
    deadline = time.monotonic() + seconds
    while waiting and time.monotonic() < deadline:
        for number, _events in poller.poll(max(0, (deadline - time.monotonic()) * 1000)):
            poller.unregister(number)
            del waiting[number]
    return list(waiting.values())


def errors(sockets: List[socket.socket]) -> str:
    """What SO_ERROR says, of all of them."""
    found = sorted(one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for one in sockets)
    return " ".join(errno.errorcode.get(error, "0") for error in found)


def stuck(host: str, port: int) -> None:
    """One of them never gets an answer; the next connect() comes when that is clear."""
    sockets = begin(host, port, 3)
    print("stuck", len(settle(sockets, LONGER_THAN_A_TRY_S)))
    begin(host, port, 1)


def read_later(host: str, port: int) -> None:
    """One fails. Other connections follow before the program asks which."""
    sockets = begin(host, port, 3)
    settle(sockets)
    begin(host, port, 1)
    print(errors(sockets))


def asked_again(host: str, port: int) -> None:
    """As hiredis does: the outcome is that of a second connect(). Nothing else connects in between."""
    sockets = begin(host, port, 3)
    settle(sockets)
    again = sorted(one.connect_ex((host, port)) for one in sockets)
    print(" ".join(errno.errorcode.get(error, "0") for error in again))


def failed_elsewhere(host: str, port: int, dead_host: str, dead_port: str) -> None:
    """They connected to an address of no Service before, which refused; the next connect() tells that."""
    sockets = begin(dead_host, int(dead_port), 3)
    settle(sockets)
    again = [one.connect_ex((host, port)) for one in sockets]
    print(" ".join(errno.errorcode.get(error, "0") for error in again))


def taken_back(host: str, port: int) -> None:
    """The program loses its patience early, and disconnects the sockets: no pod is to blame."""
    sockets = begin(host, port, 3)
    nowhere = ctypes.create_string_buffer(16)  # AF_UNSPEC
    print(" ".join(str(libc.connect(one.fileno(), nowhere, 16)) for one in sockets))
    time.sleep(LONGER_THAN_A_TRY_S)
    begin(host, port, 3)


def reset_later(host: str, port: int) -> None:
    """They connect, and are reset by the pods when they are in use."""
    sockets = begin(host, port, 3)
    settle(sockets)
    for one in sockets:
        one.send(b"x")
    for one in sockets:
        one.setblocking(True)
        try:
            print(one.recv(1))
        except ConnectionResetError:
            print("reset")
    begin(host, port, 3)


def forked(host: str, port: int) -> None:
    """The child connects next, and learns what became of its parent's socket."""
    sockets = begin(host, port, 3)
    settle(sockets)
    child = os.fork()
    if child == 0:
        begin(host, port, 1)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if sys.version_info >= (3, 9) else 0, errors(sockets))


def until(host: str, port: int, name: str) -> None:
    """Ten connections a second until this pod answers; asks each for its peer, as many programs do, and ends at once."""
    while True:
        sockets = begin(host, port, 1)
        settle(sockets)
        assert sockets[0].getpeername() == (host, port)
        sockets[0].setblocking(True)
        sockets[0].sendall(b"WHO\n")
        if sockets[0].recv(64).decode().strip() == name:
            break
        time.sleep(0.1)


async def one_of_many(host: str, port: int, began: float) -> None:
    start = time.monotonic()
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 2)
        writer.write(b"WHO\n")
        name = (await asyncio.wait_for(reader.readline(), 5)).decode().strip()
        writer.close()
    except (OSError, asyncio.TimeoutError) as error:
        name = type(error).__name__
    now = time.monotonic()
    print(f"{start - began:.3f} {now - start:.3f} {name}", flush=True)


async def many(host: str, port: int) -> None:
    began = time.monotonic()
    tasks = []
    for _ in range(60):
        tasks.append(asyncio.ensure_future(one_of_many(host, port, began)))
        await asyncio.sleep(0.05)
    await asyncio.gather(*tasks)


def event_loop(host: str, port: int) -> None:
    """A connection every 50 ms for 3 s, each with a time-out of 2 s; a line for each: its start, its seconds, its result."""
    asyncio.run(many(host, port))


if __name__ == "__main__":
    all_ways = (stuck, read_later, asked_again, failed_elsewhere, taken_back, reset_later, forked, until, event_loop)
    ways = {way.__name__: way for way in all_ways}
    ways[sys.argv[1]](sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
