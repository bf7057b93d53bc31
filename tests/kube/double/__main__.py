# SPDX-License-Identifier: Apache-2.0
"""The double as a program: prints one JSON line when it listens, ends at SIGTERM or SIGINT."""
from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import fields
from typing import Any, Dict

from .control import Control
from .resources import ALL
from .server import Double, Settings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.kube.double", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--state-dir", help="where certificates are kept; needed with --tls")
    parser.add_argument("--tls", action="store_true", help="https, with a CA of its own in STATE-DIR/ca.crt")
    parser.add_argument("--token", help="the bearer token that is asked for; without it everybody may do all")
    parser.add_argument("--ip-base", default="10.96", help="first two numbers of the cluster IPs")
    parser.add_argument("--load", metavar="FILE", help="JSON list of objects to start with, as of kubectl get -o json")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON", dest="settings",
                        help="one of: " + ", ".join(f.name for f in fields(Settings)))
    parser.add_argument("--until-eof", action="store_true", help="end when stdin is closed too: never outlives its parent")
    arguments = parser.parse_args()
    settings: Dict[str, Any] = {}
    for item in arguments.settings:
        name, _, value = item.partition("=")
        settings[name] = json.loads(value)
    server = Double(arguments.port, arguments.host, arguments.tls, arguments.token, arguments.state_dir,
                    arguments.ip_base, **settings)
    if arguments.load:
        with open(arguments.load, encoding="utf-8") as file:
            load(server, json.load(file))
    server.start()
    control = Control(server)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(json.dumps({"url": server.url, "control": control.url, "ca_file": server.tls.ca_file if server.tls else None}),
          flush=True)
    try:
        if arguments.until_eof:
            sys.stdin.buffer.read()
        else:
            signal.pause()
    except (KeyboardInterrupt, SystemExit):
        pass
    finally:
        control.close()
        server.stop()
    return 0


def load(server: Double, document: Dict[str, Any]) -> None:
    """Puts the items of a List by their kind."""
    plurals = {resource.kind: resource.plural for resource in ALL}
    for item in document["items"]:
        server.put(plurals[item["kind"]], item)


if __name__ == "__main__":
    sys.exit(main())
