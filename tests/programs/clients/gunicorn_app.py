# SPDX-License-Identifier: Apache-2.0
"""A WSGI application behind gunicorn: asks the Service for each request, and tells the pod; under /pid its own
process. With ASK_AT_IMPORT=1 once when it is loaded, too: under --preload that is before the workers are forked."""
import os
import socket
from typing import Any, Callable, Iterable, List, Tuple

ADDRESS = (os.environ["SERVICE_HOST"], int(os.environ["SERVICE_PORT"]))


def ask() -> bytes:
    with socket.create_connection(ADDRESS, 5) as connection:
        connection.sendall(b"WHO\n")
        return connection.makefile("rb").readline()


if os.environ.get("ASK_AT_IMPORT") == "1":
    ask()


def application(environ: "dict[str, Any]", start_response: Callable[[str, List[Tuple[str, str]]], Any]) -> Iterable[bytes]:
    pod = ask()
    body = pod if environ["PATH_INFO"] == "/" else str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
