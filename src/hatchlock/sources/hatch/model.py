"""Reading `hatch_metadata.json`: every mistake at once, each with its line. Nothing is fetched for it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import Any

from hatchlock.manifest.problem import Finding, KeyPath, did_you_mean, dotted
from hatchlock.place import Place
from hatchlock.sources.hatch.convert import facts_of
from hatchlock.sources.hatch.facts import HatchFacts
from hatchlock.sources.hatch.findings import UNKNOWN_KEY, schema_findings
from hatchlock.sources.hatch.places import Places, places
from hatchlock.sources.hatch.problems import BadHatchMetadata, report
from hatchlock.sources.hatch.schema import MODELS

__all__ = ["METADATA_NAME", "HatchFacts", "metadata_places", "read_metadata"]

METADATA_NAME = "hatch_metadata.json"
"""The file that makes a directory a Hatch package."""
_LARGEST = 1 << 20
_VERSION_KEYS = ("hatch_schema_version", "package_schema_version")
_NEWEST_USED = "1.2.2"


def read_metadata(data: bytes, *, file: str) -> HatchFacts:
    """Read a package's metadata, of any version from 1 to 2.0.0.

    In objects that Hatch's own schemas leave open, an unknown key is left out, with a note; anywhere else it is a mistake.

    Args:
        data: The file's bytes.
        file: Its name for people.

    Raises:
        BadHatchMetadata: The one mistake in it, with its place.
        ManyErrors: All of several, in the order of the lines.
    """
    document = _parsed(data, file)
    stands = metadata_places(data)
    version = _schema_version(document, stands, file)
    model = MODELS[version]
    unknown, findings = _divided(schema_findings(model, document), is_open=version != "2.0.0")
    document = _without(document, (item.path for item in unknown))
    if not findings:  # now also what only complete objects tell
        findings = schema_findings(model, document)
    findings += [Finding(path=path, what="it is there twice", advice="remove one") for path in stands.repeated]
    findings.sort(key=lambda item: (stands.line(item.path), dotted(item.path), item.what))
    report([_problem(item, stands, file) for item in findings])
    notes = [f"{dotted(item.path)} is unknown, and left out" for item in unknown]
    return facts_of(model.model_validate(document), version, notes)


def metadata_places(data: bytes) -> Places:
    """Return on which lines the values of metadata stand that is JSON."""
    return places(data.decode("utf-8-sig"))


def _parsed(data: bytes, file: str) -> dict[str, Any]:
    place = Place(file=file)
    if len(data) > _LARGEST:
        raise BadHatchMetadata(place=place, what=f"it is larger than {_LARGEST} bytes", advice="this is no metadata")
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadHatchMetadata(place=place, what="it is not UTF-8", advice="save it as UTF-8") from error
    except json.JSONDecodeError as error:
        at = Place(file=file, line=error.lineno)
        raise BadHatchMetadata(place=at, what=f"it is not JSON: {error.msg.lower()}", advice="mend it") from error
    except RecursionError:
        raise BadHatchMetadata(place=place, what="it is nested too deeply", advice="this is no metadata") from None
    if not isinstance(document, dict):
        raise BadHatchMetadata(place=place, what="it must be an object", advice="write { … }")
    return document


def _schema_version(document: dict[str, Any], stands: Places, file: str) -> str:
    key = next((key for key in _VERSION_KEYS if key in document), "")
    newest, last = list(MODELS)[-1], _VERSION_KEYS
    if not key:
        raise BadHatchMetadata(
            place=Place(file=file, line=1),
            what="it does not say which version its metadata has",
            advice=f'write "{last[1]}": "{_NEWEST_USED}", or "{last[0]}": "{newest}"',
        )
    version = document[key]
    if not isinstance(version, str) or version not in MODELS:
        raise BadHatchMetadata(
            place=Place(file=file, line=stands.line((key,))),
            key=key,
            what=f"{version!r} is no version of the metadata that is known here",
            advice=did_you_mean(str(version), MODELS, f"it may be {', '.join(MODELS)}"),
        )
    return version


def _divided(findings: Iterable[Finding], *, is_open: bool) -> tuple[list[Finding], list[Finding]]:
    """Tell unknown keys that do no harm from what is wrong."""
    unknown: list[Finding] = []
    wrong: list[Finding] = []
    for item in findings:
        is_harmless = is_open and item.what == UNKNOWN_KEY and len(item.path) > 1 and item.path[0] != "entry_point"
        (unknown if is_harmless else wrong).append(item)
    return unknown, wrong


def _without(document: dict[str, Any], paths: Iterable[KeyPath]) -> dict[str, Any]:
    result = copy.deepcopy(document)
    for *parents, key in paths:
        holder: Any = result
        for part in parents:
            holder = holder[part]
        del holder[key]
    return result


def _problem(finding: Finding, stands: Places, file: str) -> BadHatchMetadata:
    return BadHatchMetadata(
        place=Place(file=file, line=stands.line(finding.path)),
        key=dotted(finding.path),
        what=finding.what,
        advice=finding.advice,
    )
