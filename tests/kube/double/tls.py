# SPDX-License-Identifier: Apache-2.0
"""A certificate authority and server certificates, made with the openssl command."""
from __future__ import annotations

import os
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Dict, List, Tuple

NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
ADDRESSES = ("127.0.0.1", "::1", "10.9.9.9", "10.96.0.1", "127.96.0.1")
DAYS = "30"
MODES = ("good", "wrong_ca", "wrong_san")

_CONFIG = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = %s
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = %s
[client]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
"""


class Authority:
    """ca_file is what clients are told to trust. use() chooses what the server presents to new
    connections: good; wrong_ca, signed by an unknown authority; wrong_san, for another host."""

    def __init__(self, directory: Path, host: str) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.ca_file = str(directory / "ca.crt")
        self._mode = "good"
        self._hosts = ADDRESSES if host in ADDRESSES else (*ADDRESSES, host)
        self._generation = 0
        # Handshakes of several connections and a test may all ask for a certificate that is not made yet.
        self._lock = threading.RLock()
        self._contexts: Dict[str, ssl.SSLContext] = {}
        self._make_ca("ca")
        self._publish("ca")
        self._current = "ca"

    def use(self, mode: str) -> None:
        if mode not in MODES:
            raise ValueError("unknown TLS mode %r; known: %s" % (mode, ", ".join(MODES)))
        self._context(mode)  # made now, not at the first handshake
        self._mode = mode

    def rotate(self, publish: bool = True) -> None:
        """A new CA signs the server's certificate from now on; publish also replaces ca_file."""
        with self._lock:
            self._generation += 1
            self._current = "ca%d" % self._generation
            self._make_ca(self._current)
            self._contexts.clear()
            self.use(self._mode)
            if publish:
                self.publish()

    def publish(self) -> None:
        """Replaces ca_file by the CA in use, atomically."""
        self._publish(self._current)

    def client_certificate(self, user: str) -> Tuple[str, str]:
        """(certificate file, key file) that authenticate as `user`."""
        return self._sign(self._current, "client-" + user, user, "client", "DNS:unused")

    def context(self) -> ssl.SSLContext:
        return self._context(self._mode)

    def _context(self, mode: str) -> ssl.SSLContext:
        with self._lock:
            if mode not in self._contexts:
                self._contexts[mode] = self._new_context(mode)
            return self._contexts[mode]

    def _new_context(self, mode: str) -> ssl.SSLContext:
        authority = self._current
        if mode == "wrong_ca":
            authority = "unknown-ca"
            self._make_ca(authority)
        san = "DNS:elsewhere.example,IP:192.0.2.1"
        if mode != "wrong_san":
            san = ",".join(["DNS:" + n for n in NAMES] + ["IP:" + a for a in self._hosts])
        certificate, key = self._sign(authority, "server-" + mode, "kube-apiserver", "server", san)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(str(self.directory / (self._current + ".pem")))
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def _publish(self, name: str) -> None:
        text = (self.directory / (name + ".pem")).read_bytes()
        temporary = Path(self.ca_file + ".new")
        temporary.write_bytes(text)
        os.replace(str(temporary), self.ca_file)

    def _make_ca(self, name: str) -> None:
        config = self._config(name, "k8slb double %s" % name, "DNS:unused")
        self._openssl(
            "req", "-x509", "-config", config, "-extensions", "ca", "-days", DAYS, *_new_key(self._path(name + ".key")),
            "-out", self._path(name + ".pem"))

    def _sign(self, authority: str, name: str, common_name: str, section: str, san: str) -> Tuple[str, str]:
        config = self._config(name, common_name, san)
        key, request, certificate = (self._path(name + end) for end in (".key", ".csr", ".pem"))
        self._openssl("req", "-new", "-config", config, *_new_key(key), "-out", request)
        self._openssl(
            "x509", "-req", "-in", request, "-CA", self._path(authority + ".pem"), "-CAkey",
            self._path(authority + ".key"), "-set_serial", str(int.from_bytes(os.urandom(8), "big")), "-days", DAYS,
            "-extfile", config, "-extensions", section, "-out", certificate)
        return certificate, key

    def _config(self, name: str, common_name: str, san: str) -> str:
        path = self._path(name + ".cnf")
        Path(path).write_text(_CONFIG % (common_name, san))
        return path

    def _path(self, name: str) -> str:
        return str(self.directory / name)

    @staticmethod
    def _openssl(*arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode:
            raise RuntimeError("openssl %s: %s" % (" ".join(arguments), done.stderr.decode(errors="replace")))


def _new_key(path: str) -> List[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path]
