"""Findings for other programs: JSON of our own, and SARIF, which code hosts show beside code."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

import pipetrace
from pipetrace.checks.findings import SEVERITIES, Finding
from pipetrace.checks.registry import Rule

VERSION = 1
"""Of the JSON: a key that is there stays, and new ones may come."""
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "advice": "note", "note": "note"}
_ROOT = "%SRCROOT%"
_MARKS = (".git", ".hg", "pyproject.toml")


def told(found: Sequence[Finding], rules: Sequence[Rule], reasons: Sequence[str]) -> dict[str, Any]:
    """Return findings as an object of JSON.

    Args:
        found: The findings.
        rules: The rules that were asked.
        reasons: Why not all of the program was seen; none where it was.
    """
    counts = Counter(each.severity for each in found)
    names = {rule.id: rule.name for rule in rules}
    return {
        "version": VERSION,
        "pipetrace": pipetrace.__version__,
        "rules": [rule.id for rule in rules],
        "complete": not reasons,
        "reasons": list(reasons),
        "counts": {severity: counts[severity] for severity in SEVERITIES},
        "findings": [_object(each, names.get(each.id, "")) for each in found],
    }


def listed(rules: Sequence[Rule]) -> list[dict[str, str]]:
    """Return rules as objects of JSON."""
    keys = ("id", "name", "family", "severity", "title", "why")
    return [{key: getattr(rule, key) for key in keys} for rule in rules]


def sarif(
    found: Sequence[Finding], rules: Sequence[Rule], reasons: Sequence[str], start: Path,
    cut: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """Return findings as a log of SARIF 2.1.0.

    Args:
        found: The findings; advice becomes a note there.
        rules: The rules that were asked.
        reasons: Why the check failed to see all of the program; none where it did not.
        start: The script or its folder: files are named from the root of the repository around it,
            and a finding without a line is placed at its first line.
        cut: What was not seen because it was asked to stop.
    """
    top = root(start)
    index = {rule.id: number for number, rule in enumerate(rules)}
    said = [*(("warning", reason) for reason in reasons), *(("note", reason) for reason in cut)]
    notes = [{"level": level, "message": {"text": reason}} for level, reason in said]
    driver = {
        "name": "pipetrace",
        "semanticVersion": pipetrace.__version__,
        "rules": [_rule(rule) for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"uri": f"{top.as_uri().rstrip('/')}/"}},
        "invocations": [
            {"executionSuccessful": not reasons, "toolExecutionNotifications": notes}
        ],
        "results": [_result(each, index, top, start) for each in found],
    }  # fmt: skip
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def root(start: Path) -> Path:
    """Return the root of the repository or project around a path, else its folder."""
    folder = start.absolute() if start.is_dir() else start.absolute().parent
    for mark in _MARKS:
        for each in (folder, *folder.parents):
            if (each / mark).exists():
                return each
    return folder


def _object(each: Finding, name: str) -> dict[str, Any]:
    keys = ("severity", "title", "message", "evidence", "why", "fix", "module", "file", "line",
            "text")  # fmt: skip
    return {"id": each.id, "name": name} | {key: getattr(each, key) for key in keys}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(part.capitalize() for part in rule.name.split("-")),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": rule.words, "markdown": rule.words},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": [rule.family], "precision": "high"},
    }


def _result(each: Finding, index: dict[str, int], top: Path, start: Path) -> dict[str, Any]:
    file = each.file or str(start)
    address = _address(file, top)
    text = f"{each.message}\n\n{each.evidence}\n\nWrite instead:\n{each.fix}"
    region = {"startLine": each.line or 1}
    if each.text and each.line:
        region |= {"snippet": {"text": each.text}}  # type: ignore[dict-item]  # of any kind
    result = {
        "ruleId": each.id,
        "ruleIndex": index.get(each.id, -1),
        "level": _LEVELS[each.severity],
        "message": {"text": text},
        "locations": [{"physicalLocation": {"artifactLocation": address, "region": region}}],
        "partialFingerprints": {"finding/v1": _fingerprint(each, address["uri"])},
    }
    if each.module:
        names = {"fullyQualifiedName": each.module, "kind": "module"}
        result["locations"][0]["logicalLocations"] = [names]  # type: ignore[index]  # a list
    return result


def _address(file: str, top: Path) -> dict[str, str]:
    path = PurePath(file)
    if path.is_relative_to(top):
        return {"uri": quote(path.relative_to(top).as_posix()), "uriBaseId": _ROOT}
    return {"uri": path.as_uri() if path.is_absolute() else quote(path.as_posix())}


def _fingerprint(each: Finding, uri: str) -> str:
    """Tell a finding from others by what stays when lines above it move."""
    words = "\0".join((each.id, uri, each.module, each.text))
    return hashlib.sha256(words.encode()).hexdigest()[:32]
