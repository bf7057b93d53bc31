# SPDX-License-Identifier: Apache-2.0
"""The API server's errors: metav1.Status objects with the wording of the real one."""
from __future__ import annotations

from typing import Any, Dict, Optional

from .resources import Resource

EXPIRED_CONTINUE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new "
    "list without the continue parameter, or use the continue token in this response to retrieve the "
    "remainder of the results. Continuing with the provided token results in an inconsistent list - objects "
    "that were created, modified, or deleted between the time the first chunk was returned and now may show "
    "up in the list."
)


class ApiError(Exception):
    """An error answer: HTTP status, Status object, extra headers."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Optional[Dict[str, Any]] = None,
        metadata: Optional[Dict[str, Any]] = None,
        headers: Optional[Dict[str, str]] = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.headers = headers or {}
        self.status: Dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": metadata or {},
            "status": "Failure",
            "message": message,
            "reason": reason,
        }
        if details is not None:
            self.status["details"] = details
        self.status["code"] = code


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(user: str, verb: str, res: Resource, namespace: str, name: str = "") -> ApiError:
    subject = '%s "%s" is forbidden' % (res.qualified, name) if name else "%s is forbidden" % res.qualified
    where = 'in the namespace "%s"' % namespace if namespace else "at the cluster scope"
    message = '%s: User "%s" cannot %s resource "%s" in API group "%s" %s' % (
        subject, user, verb, res.plural, res.group, where)
    return ApiError(403, "Forbidden", message, _details(res, name))


def not_found(res: Resource, name: str) -> ApiError:
    return ApiError(404, "NotFound", '%s "%s" not found' % (res.qualified, name), _details(res, name))


def no_such_resource() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(res: Resource, name: str) -> ApiError:
    message = '%s "%s" already exists' % (res.qualified, name)
    return ApiError(409, "AlreadyExists", message, _details(res, name))


def conflict(res: Resource, name: str) -> ApiError:
    message = (
        'Operation cannot be fulfilled on %s "%s": the object has been modified; please apply your changes '
        "to the latest version and try again" % (res.qualified, name)
    )
    return ApiError(409, "Conflict", message, _details(res, name))


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def invalid(kind: str, group: str, name: str, cause: str) -> ApiError:
    """`cause` is "FIELD: MESSAGE"; MESSAGE begins with Forbidden, Required value or Invalid value."""
    what = kind + "." + group if group else kind
    field, _, message = cause.partition(": ")
    reasons = {"Forbidden": "FieldValueForbidden", "Required value": "FieldValueRequired"}
    reason = reasons.get(message.partition(":")[0], "FieldValueInvalid")
    details: Dict[str, Any] = {"name": name} if name else {}
    details.update({"group": group, "kind": kind, "causes": [{"reason": reason, "message": message, "field": field}]})
    return ApiError(422, "Invalid", '%s "%s" is invalid: %s' % (what, name, cause), details)


def too_old(requested: int, oldest: int) -> ApiError:
    return ApiError(410, "Expired", "too old resource version: %d (%d)" % (requested, oldest))


def expired_continue(fresh: str) -> ApiError:
    return ApiError(410, "Expired", EXPIRED_CONTINUE, metadata={"continue": fresh})


def too_large(requested: int, current: int) -> ApiError:
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return ApiError(
        504,
        "Timeout",
        "Timeout: Too large resource version: %d, current: %d" % (requested, current),
        {"causes": [cause], "retryAfterSeconds": 1},
        headers={"Retry-After": "1"},
    )


def _details(res: Resource, name: str) -> Dict[str, Any]:
    details: Dict[str, Any] = {"name": name} if name else {}
    if res.group:
        details["group"] = res.group
    details["kind"] = res.plural
    return details
