"""Reading `hatch_metadata.json`: every mistake at once, each with its line. Nothing is fetched for it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hatchlock.manifest.problem import Finding, KeyPath, dotted
from hatchlock.place import Place
from hatchlock.sources.hatch.convert import facts_of, written_dependencies
from hatchlock.sources.hatch.facts import HatchFacts
from hatchlock.sources.hatch.findings import UNKNOWN_KEY, schema_findings
from hatchlock.sources.hatch.places import Places, places
from hatchlock.sources.hatch.problems import BadHatchMetadata, report
from hatchlock.sources.hatch.schema import MODELS

__all__ = ["METADATA_NAME", "HatchDocument", "read_document"]

METADATA_NAME = "hatch_metadata.json"
"""The file that makes a directory a Hatch package."""
_LARGEST = 1 << 20
_VERSION_KEYS = ("hatch_schema_version", "package_schema_version")
_NEWEST_USED = "1.2.2"


@dataclass(frozen=True, kw_only=True, slots=True)
class HatchDocument:
    """A package's metadata, and where in its file things stand.

    Attributes:
        facts: What it says.
        file: The file's name for people.
        stands: Where its values stand.
        written: Requirement -> where it stands first.
    """

    facts: HatchFacts
    file: str
    stands: Places
    written: Mapping[str, KeyPath]

    def problem(self, path: KeyPath, what: str, advice: str = "") -> BadHatchMetadata:
        """Return what is wrong with the value at a key path."""
        place = Place(file=self.file, line=self.stands.line(path))
        return BadHatchMetadata(place=place, key=dotted(path), what=what, advice=advice)


def read_document(data: bytes, *, file: str) -> HatchDocument:
    """Read a package's metadata, of any version from 1 to 2.0.0, with the places of what it says.

    In objects that Hatch's own schemas leave open, an unknown key is left out, with a note; anywhere else it is a mistake.

    Args:
        data: The file's bytes.
        file: Its name for people.

    Raises:
        BadHatchMetadata: The one mistake in it, with its place.
        ManyErrors: All of several, in the order of the lines.
    """
    document, stands = _parsed(data, file)
    version = _schema_version(document, stands, file)
    model = MODELS[version]
    unknown, findings = _divided(schema_findings(model, document), is_open=version != "2.0.0")
    document = _without(document, (item.path for item in unknown))
    if not findings:  # now also what only complete objects tell
        findings = schema_findings(model, document)
    findings += [Finding(path=path, what="it is there twice", advice="remove one") for path in stands.repeated]
    findings.sort(key=lambda item: (stands.line(item.path), dotted(item.path), item.what))
    report([_problem(item, stands, file) for item in findings])
    found = model.model_validate(document)
    notes = [f"{dotted(item.path)} is unknown, and left out" for item in unknown]
    written: dict[str, KeyPath] = {}
    for path, text in written_dependencies(found):
        written.setdefault(text, path)
    return HatchDocument(facts=facts_of(found, version, notes), file=file, stands=stands, written=written)


def _parsed(data: bytes, file: str) -> tuple[dict[str, Any], Places]:
    place = Place(file=file)
    if len(data) > _LARGEST:
        raise BadHatchMetadata(place=place, what=f"it is larger than {_LARGEST} bytes", advice="this is no metadata")
    try:
        text = data.decode("utf-8-sig")
        document, stands = json.loads(text), places(text)
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        what = f"it holds half of a character, {error.object[error.start]!a}"
        raise BadHatchMetadata(place=place, what=what, advice="write the character itself") from error
    except UnicodeDecodeError as error:
        raise BadHatchMetadata(place=place, what="it is not UTF-8", advice="save it as UTF-8") from error
    except json.JSONDecodeError as error:
        at = Place(file=file, line=error.lineno)
        raise BadHatchMetadata(place=at, what=f"it is not JSON: {error.msg.lower()}", advice="mend it") from error
    except RecursionError:
        raise BadHatchMetadata(place=place, what="it is nested too deeply", advice="this is no metadata") from None
    if not isinstance(document, dict):
        raise BadHatchMetadata(place=place, what="it must be an object", advice="write { … }")
    return document, stands


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
            advice=f"it may be {', '.join(MODELS)}",
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
