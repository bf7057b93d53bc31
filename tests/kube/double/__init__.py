# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes API server double: the real list and watch protocol, with faults on command.

    from tests.kube.double import Double
    with Double(token="secret") as api:
        api.put("services", {...}); api.fault("http_429", "services", "list", retry_after="3")

Stand-alone: python3 -m tests.kube.double --help. Start reading at server.py.
"""
from .server import Double, Settings

__all__ = ["Double", "Settings"]
