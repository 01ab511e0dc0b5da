"""Findings as SARIF 2.1.0, for code scanning. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from hatchlock.digest import sha256_bytes
from hatchlock.place import Place
from hatchlock.security.audit.model import Finding, Verdict
from hatchlock.security.audit.points import POINTS

__all__ = ["sarif"]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(
    verdicts: Sequence[Verdict], places: Mapping[tuple[str | int, ...], Place], *, manifest: str, version: str
) -> dict[str, Any]:
    """Return a SARIF log with one run.

    Each check is a rule, each finding a result. Checks that pass are no results, since readers show every result as an
    alert; how each ended is in the run's properties, and what could not be evaluated among its notifications.

    Args:
        verdicts: Every check.
        places: Key path -> where in the manifest it stands.
        manifest: The manifest's file, where findings are put that no line of it is about: readers want a place for each.
        version: Ours.
    """
    results = [
        _result(number, verdict, finding, places.get(finding.key) or Place(file=manifest))
        for number, verdict in enumerate(verdicts)
        for finding in verdict.outcome.findings
    ]
    notifications = [
        {
            "descriptor": {"id": item.check.id},
            "level": "note",
            "message": {"text": f"cannot be evaluated: {item.outcome.unknown}"},
        }
        for item in verdicts
        if item.outcome.unknown
    ]
    run = {
        "tool": {"driver": {"name": "hatchlock", "version": version, "rules": [_rule(item) for item in verdicts]}},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notifications}],
        "results": results,
        "properties": {"states": {item.check.id: item.outcome.state for item in verdicts}},
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(verdict: Verdict) -> dict[str, Any]:
    check = verdict.check
    answers = "; ".join(f"{point}: {POINTS[point]}" for point in check.points)
    return {
        "id": check.id,
        "shortDescription": {"text": check.title},
        "help": {"text": f"It answers {answers}."},
        "properties": {"tags": ["security", *check.points]},
    }


def _result(number: int, verdict: Verdict, finding: Finding, place: Place) -> dict[str, Any]:
    text = f"{finding.address}: {finding.what}" + (f" ({finding.hint})" if finding.hint else "")
    mark = f"{verdict.check.id}\0{finding.address}\0{finding.what}"
    return {
        "ruleId": verdict.check.id,
        "ruleIndex": number,
        "level": finding.level,
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(place.file)},
                    "region": {"startLine": max(place.line, 1)},
                },
                "logicalLocations": [{"fullyQualifiedName": finding.address, "kind": "resource"}],
            }
        ],
        "partialFingerprints": {"finding/v1": sha256_bytes(mark.encode())},
    }
