# SPDX-License-Identifier: Apache-2.0
"""A program with the system's libcurl in several threads and Python's OpenSSL in the first one:
libcurl_threads.py RTLD_LOCAL|RTLD_GLOBAL VIP PORT API CA_FILE THREADS REQUESTS

Each request has a handle and a connection of its own, so that the library's set-up and its caches are used all the time. Prints
the pod that answered each request to the Service, and whatever is wrong with one to the API server, which answers 401.
"""
import ctypes
import http.client
import os
import ssl
import sys
import threading
import urllib.parse

URL, WRITEFUNCTION, CAINFO, NOSIGNAL, TIMEOUT, FRESH_CONNECT = 10002, 20011, 10065, 99, 13, 74
Take = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.POINTER(ctypes.c_char), ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p)

mode, vip, port, api, ca_file = sys.argv[1:6]
threads, requests = map(int, sys.argv[6:8])
curl = ctypes.CDLL("libcurl.so.4", getattr(os, mode))
curl.curl_easy_init.restype = ctypes.c_void_p


def get(url: str) -> str:
    parts = []

    def take(data: "ctypes._Pointer[ctypes.c_char]", size: int, count: int, _context: object) -> int:
        parts.append(data[: size * count])
        return size * count

    callback = Take(take)
    handle = ctypes.c_void_p(curl.curl_easy_init())
    curl.curl_easy_setopt(handle, URL, ctypes.c_char_p(url.encode()))
    curl.curl_easy_setopt(handle, CAINFO, ctypes.c_char_p(ca_file.encode()))
    curl.curl_easy_setopt(handle, WRITEFUNCTION, callback)
    curl.curl_easy_setopt(handle, NOSIGNAL, ctypes.c_long(1))
    curl.curl_easy_setopt(handle, TIMEOUT, ctypes.c_long(10))
    curl.curl_easy_setopt(handle, FRESH_CONNECT, ctypes.c_long(1))
    rc = curl.curl_easy_perform(handle)
    curl.curl_easy_cleanup(handle)
    return b"".join(parts).decode().strip() if rc == 0 else f"curl error {rc}"


def tell(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def work() -> None:
    for _ in range(requests):
        tell(get(f"http://{vip}:{port}/"))
        answer = get(f"{api}/version")
        if '"code":401' not in answer.replace(" ", ""):
            tell(answer)


workers = [threading.Thread(target=work) for _ in range(threads)]
for worker in workers:
    worker.start()
context = ssl.create_default_context(cafile=ca_file)
for _ in range(requests):
    connection = http.client.HTTPSConnection(urllib.parse.urlsplit(api).netloc, context=context, timeout=10)
    connection.request("GET", "/version")
    if connection.getresponse().status != 401:
        tell("no answer to Python")
    connection.close()
for worker in workers:
    worker.join()
