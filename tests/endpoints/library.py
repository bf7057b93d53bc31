# SPDX-License-Identifier: Apache-2.0
"""libk8slb-endpoints as a C program sees it, by ctypes."""
import ctypes
import errno
from pathlib import Path
from typing import Any, List, Optional, Set, Tuple

AUTO, ENDPOINT_SLICES, ENDPOINTS = range(3)
_ERROR_SIZE = 256
_Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)


class _Config(ctypes.Structure):
    _fields_ = [
        ("api_addr", ctypes.c_char_p),
        ("service", ctypes.c_char_p),
        ("k8s_namespace", ctypes.c_char_p),
        ("port_name", ctypes.c_char_p),
        ("retry_delay_ms", ctypes.c_uint),
        ("sync_interval_ms", ctypes.c_uint),
        ("discovery", ctypes.c_int),
        ("token_file", ctypes.c_char_p),
        ("ca_file", ctypes.c_char_p),
        ("cert_file", ctypes.c_char_p),
        ("key_file", ctypes.c_char_p),
        ("error_callback", _Callback),
        ("error_ctx", ctypes.c_void_p),
    ]


class _Endpoint(ctypes.Structure):
    _fields_ = [("host", ctypes.c_char * 46), ("port", ctypes.c_uint16), ("address", ctypes.c_char * 56)]


class LibraryError(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{errno.errorcode.get(-code, code)}: {text}")
        self.code = -code
        self.text = text


class Endpoints:
    """One k8slb object. Every method raises LibraryError where the C function returns a negative value."""

    def __init__(self, library: Path, **config: Any) -> None:
        self._library = ctypes.CDLL(str(library))
        self._libc = ctypes.CDLL(None)
        self._libc.free.argtypes = [ctypes.c_void_p]
        self._handle = ctypes.c_void_p()
        self.messages: List[str] = []
        self._callback = _Callback(lambda _ctx, text: self.messages.append(text.decode()))
        encoded = {name: value.encode() if isinstance(value, str) else value for name, value in config.items()}
        self._config = _Config(error_callback=self._callback, **encoded)
        error = ctypes.create_string_buffer(_ERROR_SIZE)
        self._check(self._library.k8slb_new(ctypes.byref(self._config), ctypes.byref(self._handle), error, _ERROR_SIZE), error)

    @staticmethod
    def _check(code: int, error: Optional[Any] = None) -> None:
        if code < 0:
            raise LibraryError(code, error.value.decode() if error else "")

    def sync(self) -> None:
        error = ctypes.create_string_buffer(_ERROR_SIZE)
        self._check(self._library.k8slb_sync_endpoints(self._handle, error, _ERROR_SIZE), error)

    def start(self) -> None:
        self._check(self._library.k8slb_start_background_sync(self._handle))

    def next(self) -> Tuple[str, int]:
        endpoint = _Endpoint()
        self._check(self._library.k8slb_next(self._handle, ctypes.byref(endpoint)))
        assert endpoint.address.decode() in (f"{endpoint.host.decode()}:{endpoint.port}", f"[{endpoint.host.decode()}]:{endpoint.port}")
        return endpoint.host.decode(), endpoint.port

    def all(self) -> Set[Tuple[str, int]]:
        array = ctypes.POINTER(_Endpoint)()
        count = ctypes.c_size_t()
        self._check(self._library.k8slb_endpoints(self._handle, ctypes.byref(array), ctypes.byref(count)))
        found = [(array[i].host.decode(), array[i].port) for i in range(count.value)]
        self._libc.free(ctypes.cast(array, ctypes.c_void_p))
        assert len(set(found)) == len(found), f"an endpoint stands twice: {found}"
        return set(found)

    def shutdown(self) -> None:
        self._library.k8slb_shutdown(self._handle)

    def free(self) -> None:
        self._library.k8slb_free(self._handle)
        self._handle = ctypes.c_void_p()
