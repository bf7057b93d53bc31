# SPDX-License-Identifier: Apache-2.0
"""Hazard: a credential in the log, which is a file that many may read.

A naive shim prints the request with its headers, the URL with its user, curl's verbose trace, or the answer of a proxy that
tells the request back. Nothing of the token, of the Authorization header, of a key or of a password in a URL is in our log
at its highest level, nor in the program's output, whatever the server answers.
"""
import base64
import json
import re
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests.e2e.common import stand_in
from tests.harness import Build, Result, ShimRunner, expect
from tests.kube.cluster import Service
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import web

pytestmark = pytest.mark.clusters("double")

TOKEN = "eyJhbGciOiJSUzI1NiJ9.c2VjcmV0LW9mLXRoZS1wb2Q.bm9ib2R5LW1heS1zZWUtdGhpcw"


@pytest.fixture
def service(cluster: DoubleCluster) -> Service:
    made, _pods = web(cluster)
    stand_in(cluster, made)
    return made


def leaks(result: Result, secret: str) -> List[str]:
    """The pieces of the secret, of 8 bytes each, that the program's output or our log shows."""
    shown = result.stdout + result.stderr + result.log
    return [secret[i : i + 8] for i in range(max(1, len(secret) - 7)) if secret[i : i + 8] in shown]


def headers(result: Result) -> List[str]:
    """What only a header or a file of ours can have brought there."""
    shown = (result.stdout + result.stderr + result.log).lower()
    return [word for word in ("authorization", "bearer", "begin ") if word in shown]


def split(text: str, size: int) -> str:
    return " ".join(text[at : at + size] for at in range(0, len(text), size))


def told_back() -> Dict[str, Dict[str, Any]]:
    """Answers of servers and proxies that show what they were sent."""
    header = f"Authorization: Bearer {TOKEN}"
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Unauthorized", "code": 401}
    unauthorized = json.dumps({**status, "message": f"not accepted: {header}"})
    forbidden = json.dumps({**status, "code": 403, "message": TOKEN})
    item = json.dumps({"kind": "ServiceList", "items": [{"metadata": TOKEN}]})
    return {
        "in a Status": {"kind": "status", "code": 401, "body": unauthorized},
        "in a forbidding Status": {"kind": "status", "code": 403, "body": forbidden},
        "in a page": {"kind": "status", "code": 502, "body": f"<pre>GET / HTTP/1.1\n{header}</pre>", "content_type": "text/html"},
        "in a redirect": {"kind": "redirect", "location": f"https://elsewhere.test/?access_token={TOKEN}"},
        "in the reason phrase": {"kind": "raw", "data": f"HTTP/1.1 500 {header}\r\nContent-Length: 0\r\n\r\n".encode()},
        "in a header": {"kind": "status", "code": 429, "body": "", "headers": {"Retry-After": TOKEN}},
        "instead of JSON": {"kind": "status", "code": 200, "body": f"{header}\n"},
        "in the place of HTTP": {"kind": "raw", "data": f"{header}\r\n\r\n".encode()},
        "in pieces": {"kind": "status", "code": 403, "body": f"{split(TOKEN, 10)}\n"},
        "its payload alone": {"kind": "status", "code": 502, "body": TOKEN.split(".")[1]},
        "its end alone": {"kind": "status", "code": 500, "body": json.dumps({**status, "code": 500, "message": TOKEN[-20:]})},
        "in an item": {"kind": "status", "code": 200, "body": item},
    }


@pytest.mark.parametrize("where", told_back())
def test_a_server_that_tells_the_token_back(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, service: Service, where: str
) -> None:
    fault = told_back()[where]
    token = tmp_path / "token-file"
    token.write_text(TOKEN)
    cluster.server.auth.add_token(TOKEN, "system:serviceaccount:default:k8slb")
    queued = cluster.server.fault(times=None, **fault)

    result = run_shim(
        [build.programs / "connect_loop", service.vip, 80, 2, "plain"], env=cluster.env("web", K8SLB_TOKEN_FILE=str(token))
    )

    assert queued.used and " error: " in result.log, result
    expect((result.returncode, len(result.stdout.splitlines()), leaks(result, TOKEN)), (0, 2, []), result)


def test_a_short_token_that_is_told_back(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, service: Service
) -> None:
    token = tmp_path / "token-file"
    token.write_text("tok%123")
    cluster.server.auth.add_token("tok%123", "system:serviceaccount:default:k8slb")
    queued = cluster.server.fault("status", times=None, code=403, body="not for tok%123 !")

    result = run_shim(
        [build.programs / "connect_loop", service.vip, 80, 2, "plain"], env=cluster.env("web", K8SLB_TOKEN_FILE=str(token))
    )

    assert queued.used and "not for ******* !" in result.log, result
    expect((result.returncode, leaks(result, "tok%123")), (0, []), result)


@pytest.mark.parametrize("good", [True, False], ids=["accepted", "refused"])
def test_the_token_itself(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, service: Service, good: bool
) -> None:
    token = tmp_path / "token-file"
    token.write_text(TOKEN)
    cluster.server.auth.add_token(TOKEN, "system:serviceaccount:default:k8slb")
    if not good:
        cluster.server.auth.revoke(TOKEN)

    result = run_shim(
        [build.programs / "connect_loop", service.vip, 80, 2, "plain"], env=cluster.env("web", K8SLB_TOKEN_FILE=str(token))
    )

    # A watch's random timeoutSeconds may be that number too, and so may a process's.
    said = re.sub(r"timeoutSeconds=\d+|\[\d+\]|\d\d\d\d+", "", result.log)
    expect(("listed at" in said, "401" in said), (good, not good), result)
    expect((result.returncode, leaks(result, TOKEN), headers(result)), (0, [], []), result)


@pytest.mark.parametrize("variable", ["K8SLB_KEY_FILE", "K8SLB_CERT_FILE", "K8SLB_CA_FILE", "K8SLB_TOKEN_FILE"])
def test_a_file_of_the_wrong_kind(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, tmp_path: Path, service: Service, variable: str
) -> None:
    """Key, certificate and token in each other's place: their content is in no message."""
    secret = base64.b64encode(bytes(range(1, 200))).decode()
    file = tmp_path / "file"
    file.write_text(f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n")
    env = {**cluster.env("web", K8SLB_CERT_FILE=cluster.ca_file, K8SLB_KEY_FILE=str(file)), variable: str(file)}

    result = run_shim([build.programs / "connect_loop", service.vip, 80, 2, "plain"], env=env)

    assert " error: " in result.log, result
    expect((result.returncode, leaks(result, secret), headers(result)), (0, [], []), result)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:pass-of-the-user@10.9.9.9:6443",
        "http://pass-of-the-user@10.9.9.9",
        "https://10.9.9.9:6443/user:pass-of-the-user@/",
        "https://user:pass-of-the-user@other@10.9.9.9",
        "https://10.9.9.9/?token=pass-of-the-user",
        "https://10.9.9.9/#pass-of-the-user",
    ],
)
def test_a_password_in_the_url(run_shim: ShimRunner, url: str) -> None:
    result = run_shim(["true"], env={"K8SLB_SERVICES": "web", "K8SLB_API": url})

    assert "error: K8SLB_API=" in result.log, result
    expect((result.returncode, leaks(result, "pass-of-the-user")), (0, []), result)
