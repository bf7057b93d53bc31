# SPDX-License-Identifier: Apache-2.0
"""labelSelector and fieldSelector: text to predicate."""
from __future__ import annotations

import re
from typing import Callable, Dict, List, Mapping

from .errors import bad_request

Predicate = Callable[[Mapping[str, str]], bool]

_SET = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^()]*)\)$")
_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_KEY = re.compile(r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?%s$" % _NAME)
_VALUE = re.compile(r"^(%s)?$" % _NAME)


def _split(text: str) -> List[str]:
    """Splits at the commas that are outside of parentheses."""
    parts = re.split(r",(?![^()]*\))", text)
    return [part.strip() for part in parts]


def _label_requirement(text: str) -> Predicate:
    match = _SET.match(text)
    if match:
        key, operator = match.group(1), match.group(2)
        values = {value.strip() for value in match.group(3).split(",")}
        wanted = operator == "in"
        _check(text, key, *values)
        # A missing label satisfies notin and never satisfies in.
        return lambda labels: (labels.get(key) in values) == wanted
    for operator in ("!=", "==", "="):
        if operator in text:
            key, value = (side.strip() for side in text.split(operator, 1))
            _check(text, key, value)
            if operator == "!=":
                return lambda labels: labels.get(key) != value
            return lambda labels: labels.get(key) == value
    if text.startswith("!"):
        absent = text[1:].strip()
        _check(text, absent)
        return lambda labels: absent not in labels
    _check(text, text)
    return lambda labels: text in labels


def _check(text: str, key: str, *values: str) -> None:
    if not _KEY.match(key) or not all(_VALUE.match(value) for value in values):
        raise bad_request("unable to parse requirement: %r" % text)


def labels(text: str) -> Predicate:
    """The predicate of a labelSelector; the empty one matches all."""
    if not text:
        return lambda _labels: True
    parts = [_label_requirement(part) for part in _split(text)]
    return lambda labels: all(part(labels) for part in parts)


def fields(text: str) -> Predicate:
    """The predicate of a fieldSelector, on {"metadata.name": ..., "metadata.namespace": ...}."""
    parts: List[Predicate] = []
    for item in _split(text) if text else []:
        match = re.match(r"^([^!=]+)(!=|==|=)(.*)$", item)
        if not match:
            raise bad_request("invalid selector: '%s'; can't understand '%s'" % (text, item))
        key, operator, value = match.groups()
        if key not in ("metadata.name", "metadata.namespace"):
            raise bad_request('"%s" is not a known field selector: only "metadata.name", "metadata.namespace"' % key)
        parts.append(_field_requirement(key, value, operator != "!="))
    return lambda values: all(part(values) for part in parts)


def _field_requirement(key: str, value: str, wanted: bool) -> Predicate:
    def test(values: Mapping[str, str]) -> bool:
        return (values.get(key, "") == value) == wanted

    return test


def matches(selector: Dict[str, str], labels_: Mapping[str, str]) -> bool:
    """A Service's selector: every pair present."""
    return all(labels_.get(key) == value for key, value in selector.items())
