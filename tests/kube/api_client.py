# SPDX-License-Identifier: Apache-2.0
"""A small JSON client of an API server for the tests' own requests, with one kept connection for each thread."""
import http.client
import json
import re
import ssl
import threading
from typing import Any, Dict, List, Mapping, Optional, Tuple
from urllib.parse import urlsplit


class ApiClient:
    def __init__(self, url: str, ca_file: Optional[str] = None, token: Optional[str] = None) -> None:
        self._address = urlsplit(url)
        self._context = ssl.create_default_context(cafile=ca_file) if ca_file else None
        self._token = token
        self._local = threading.local()

    def request(
        self, method: str, path: str, body: Optional[Mapping[str, Any]] = None, content_type: Optional[str] = None
    ) -> Tuple[int, Dict[str, Any]]:
        """The status and the decoded answer; a text answer comes as {"message": text}. Raises OSError when the server
        cannot be reached."""
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if body is not None:
            patch = "application/merge-patch+json"
            headers["Content-Type"] = content_type or (patch if method == "PATCH" else "application/json")
        data = None if body is None else json.dumps(body)
        kept: Optional[http.client.HTTPConnection] = getattr(self._local, "connection", None)
        connection = kept or self._connect()
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            self._local.connection = None
            if kept is None:
                raise
            # The server closed the kept connection, by a restart for instance: once more on a new one.
            return self.request(method, path, body, content_type)
        self._local.connection = connection
        self._local.warnings = re.findall(r'299 \S+ "((?:[^"\\]|\\.)*)"', ", ".join(response.headers.get_all("Warning", [])))
        try:
            return response.status, json.loads(content or b"{}")
        except ValueError:
            return response.status, {"message": content.decode(errors="replace")}

    def warnings(self) -> List[str]:
        """Those of this thread's last answer, as kubectl shows them."""
        return [re.sub(r"\\(.)", r"\1", text) for text in getattr(self._local, "warnings", [])]

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._address.hostname or "", self._address.port
        if self._context:
            return http.client.HTTPSConnection(host, port, timeout=30, context=self._context)
        return http.client.HTTPConnection(host, port, timeout=30)
