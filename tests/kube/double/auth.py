# SPDX-License-Identifier: Apache-2.0
"""Bearer tokens, client certificates and RBAC-like denials."""
from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, Iterable, List, Optional, Tuple

from . import errors
from .resources import Resource


@dataclass(frozen=True)
class Denial:
    """What is refused with 403. "*" matches all; namespace "" is the cluster-wide URL alone."""

    resource: str = "*"
    verb: str = "*"
    namespace: str = "*"
    user: str = "*"

    def covers(self, resource: str, verb: str, namespace: str, user: str) -> bool:
        asked = (resource, verb, namespace, user)
        rule = (self.resource, self.verb, self.namespace, self.user)
        return all(want in ("*", have) for want, have in zip(rule, asked))


class Auth:
    """Open to everybody until the first token is added (or `required` is set)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: List[Tuple[str, str]] = []
        self._revoked: Dict[str, bool] = {}
        self._denials: List[Denial] = []
        self._roles: Dict[str, Tuple[FrozenSet[str], FrozenSet[str]]] = {}
        self.required = False

    def add_token(self, token: str, user: str = "system:serviceaccount:default:default") -> int:
        """Makes a token valid (again); returns its index in the log."""
        with self._lock:
            self.required = True
            self._revoked.pop(token, None)
            for index, (known, _user) in enumerate(self._tokens):
                if known == token:
                    return index
            self._tokens.append((token, user))
            return len(self._tokens) - 1

    def revoke(self, token: str) -> None:
        """Requests with this token get 401 from now on; open watches go on, as on a real server."""
        with self._lock:
            self._revoked[token] = True

    def deny(self, resource: str = "*", verb: str = "*", namespace: str = "*", user: str = "*") -> None:
        with self._lock:
            self._denials.append(Denial(resource, verb, namespace, user))

    def restrict(self, user: str, verbs: Iterable[str], resources: Iterable[str]) -> None:
        """The one role of a user: everything else is denied to it. A user without a role is an admin."""
        with self._lock:
            self._roles[user] = (frozenset(verbs), frozenset(resources))

    def allow_all(self) -> None:
        """Takes back every deny(); roles stay."""
        with self._lock:
            self._denials.clear()

    def authenticate(self, authorization: Optional[str], peer_certificate: Any) -> Tuple[str, Optional[int]]:
        """(user, index of the token or None); ApiError 401 for an unknown or missing credential."""
        with self._lock:
            if authorization is not None and authorization.startswith("Bearer "):
                given = authorization[len("Bearer ") :].strip()
                for index, (token, user) in enumerate(self._tokens):
                    if token == given and token not in self._revoked:
                        return user, index
                if self._tokens or self.required:
                    raise errors.unauthorized()
            for rdn in (peer_certificate or {}).get("subject", ()):
                for key, value in rdn:
                    if key == "commonName":
                        return value, None
            if self.required:
                raise errors.unauthorized()
            return "system:anonymous", None

    def authorize(self, user: str, verb: str, resource: Resource, namespace: str, name: str) -> None:
        with self._lock:
            denied = any(d.covers(resource.plural, verb, namespace, user) for d in self._denials)
            if user in self._roles:
                verbs, resources = self._roles[user]
                denied = denied or verb not in verbs or resource.plural not in resources
        if denied:
            raise errors.forbidden(user, verb, resource, namespace, name)
