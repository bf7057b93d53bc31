# SPDX-License-Identifier: Apache-2.0
"""Requests to a server under test, from outside of the shim: a given number, or for as long as something goes on."""
import contextlib
import http.client
import threading
from collections import Counter
from typing import Iterator, Set, Tuple

from tests.harness import expect

Address = Tuple[str, int]


def ask(address: Address, path: str = "/") -> str:
    """One request on a connection of its own: its body, or what went wrong."""
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace").strip()
        return body if answer.status == 200 else f"status {answer.status}: {body}"
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def ask_often(address: Address, count: int, path: str = "/", parallel: int = 3) -> "Counter[str]":
    """The answers of count requests, some at the same time."""
    found: "Counter[str]" = Counter()

    def work(share: int) -> None:
        for _ in range(share):
            found[ask(address, path)] += 1

    shares = [count // parallel + (i < count % parallel) for i in range(parallel)]
    threads = [threading.Thread(target=work, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@contextlib.contextmanager
def asking(address: Address, path: str = "/", parallel: int = 2) -> Iterator["Counter[str]"]:
    """Requests for as long as the block lasts; their answers, all there at its end."""
    found: "Counter[str]" = Counter()
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            found[ask(address, path)] += 1
            ended.wait(0.002)  # leaves a CPU to the server

    threads = [threading.Thread(target=work) for _ in range(parallel)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def expect_only(found: "Counter[str]", names: Set[str], *context: object) -> None:
    """Every request was answered, and every pod has answered."""
    expect(set(found), names, found, *context)
