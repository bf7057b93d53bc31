# SPDX-License-Identifier: Apache-2.0
"""Commands over HTTP for a double that runs as a program of its own.

POST / with {"do": NAME, "args": [...], "kwargs": {...}} answers {"result": ...} or {"error": TEXT}.
Bytes are written {"base64": TEXT}. NAMES lists what there is; the meaning is that of server.py.
"""
from __future__ import annotations

import base64
import json
from dataclasses import asdict, is_dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Callable, Dict

from .server import Double


def commands(server: Double) -> Dict[str, Callable[..., Any]]:
    table: Dict[str, Callable[..., Any]] = {
        name: getattr(server, name)
        for name in (
            "put", "put_raw", "get", "list", "delete", "request", "burst", "fault", "clear_faults", "requests", "counts",
            "open_watches", "connections", "refuse", "accept_again", "restart", "set", "reset", "describe",
        )
    }
    table.update({
        "compact": server.store.compact,
        "touch": server.store.touch,
        "add_token": server.auth.add_token,
        "revoke": server.auth.revoke,
        "deny": server.auth.deny,
        "restrict": server.auth.restrict,
        "allow_all": server.auth.allow_all,
        "absent": lambda *plurals: server.absent.update(plurals),
        "clear_log": server.log.clear,
    })
    if server.tls:
        table.update({"tls_use": server.tls.use, "tls_rotate": server.tls.rotate, "tls_publish": server.tls.publish})
    return table


class Control:
    def __init__(self, server: Double, host: str = "127.0.0.1") -> None:
        table = commands(server)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                try:
                    status, answer = 200, {"result": _call(table, json.loads(body))}
                except Exception as error:  # whatever a command raises is told to the caller
                    status, answer = 400, {"error": "%s: %s" % (type(error).__name__, error)}
                data = json.dumps(answer, default=_plain).encode() + b"\n"
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_args: Any) -> None:
                """Quiet: the double's own log is what counts."""

        self._http = ThreadingHTTPServer((host, 0), Handler)
        self._http.daemon_threads = True
        self.url = "http://%s:%d" % (host, self._http.server_address[1])
        self._thread = Thread(target=self._http.serve_forever, name="double-control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def _call(table: Dict[str, Callable[..., Any]], request: Dict[str, Any]) -> Any:
    name = request["do"]
    if name not in table:
        raise ValueError("unknown command %r; known: %s" % (name, ", ".join(sorted(table))))
    args = [_decoded(value) for value in request.get("args", ())]
    return table[name](*args, **{k: _decoded(v) for k, v in request.get("kwargs", {}).items()})


def _decoded(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"base64"}:
        return base64.b64decode(value["base64"])
    return value


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return str(value)
