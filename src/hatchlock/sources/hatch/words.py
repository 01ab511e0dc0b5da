"""The kinds of text that a package's metadata consists of, each with its check."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated

from pydantic import AfterValidator

from hatchlock.manifest.wrong import Wrong
from hatchlock.sources.hatch.texts import NAMES, hatch_text

__all__ = [
    "CITATIONS",
    "Channel",
    "Commit",
    "Constraint",
    "Digest",
    "HatchName",
    "HatchName2",
    "ImageName",
    "ImageWord",
    "PackageName",
    "PythonFile",
    "PythonName",
    "PythonPath",
    "QualifiedName",
    "SemanticVersion",
    "SystemName",
    "SystemWord",
    "Tag",
    "VersionNumber",
]

# more digits than that are no number to Python
_LONGEST = 4000
_NUMBERS = r"\d+(\.\d+)*"
_IDENTIFIER = r"(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_SEMANTIC = (
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    rf"(-{_IDENTIFIER}(\.{_IDENTIFIER})*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
)

CITATIONS = {
    "doi": r"10\.\d{4,}/\S+",
    "arxiv": r"\d{4}\.\d{4,5}(v\d+)?|https://arxiv\.org/abs/.+",
    "pmid": r"\d+",
    "isbn": r"(97[89])?\d{9}[\dX]",
    "url": r"https?://.+",
}
"""What the value of a citation looks like, for the formats that have a form."""


def _matching(pattern: str, what: str, advice: str = "") -> AfterValidator:
    compiled = re.compile(pattern, re.ASCII)

    def check(text: str) -> str:
        if len(text) > _LONGEST or compiled.fullmatch(text) is None:
            raise Wrong(f"{text[:_LONGEST]!r} is no {what}", advice)
        return text

    return AfterValidator(check)


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _named(text: str, *, qualified: bool) -> str:
    hatch_text(text, "", qualified=qualified)
    return text


PackageName = Annotated[str, _matching("[a-z0-9_]+", "name of a Hatch package", "use a-z, 0-9 and _")]
QualifiedName = Annotated[
    str,
    _matching(r"(?=.{3,200}$)[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", "name of a package", "write NAMESPACE/NAME"),
]
VersionNumber = Annotated[str, _matching(_NUMBERS, "version", "write numbers with dots, such as 1.2.0")]
SemanticVersion = Annotated[str, _matching(_SEMANTIC, "semantic version", "write it like 1.2.0 or 1.2.0-rc.1")]
Constraint = Annotated[
    str,
    _matching(
        rf"\s*(==|>=|<=|!=)\s*{_NUMBERS}",
        "version constraint of Hatch",
        "write one of ==, >=, <= and !=, then numbers with dots: >=1.2.0",
    ),
    AfterValidator(_squeezed),
]
_hatch_characters = _matching(r"[A-Za-z0-9_\-./\\:]+", "name of a Hatch package", NAMES)
HatchName = Annotated[str, _hatch_characters, AfterValidator(partial(_named, qualified=False))]
HatchName2 = Annotated[str, _hatch_characters, AfterValidator(partial(_named, qualified=True))]
PythonName = Annotated[str, _matching(r"[\w\-./\\]+", "name of a Python package", "write NAME, or ./DIRECTORY")]
SystemWord = Annotated[
    str, _matching(r"\w+", "name that this version of the metadata allows", "names with -, + or . need metadata 2.0.0")
]
SystemName = Annotated[str, _matching(r"[A-Za-z0-9][A-Za-z0-9.+_-]*", "name of a system package")]
ImageWord = Annotated[
    str, _matching(r"\w+", "name that this version of the metadata allows", "names with /, - or . need metadata 2.0.0")
]
ImageName = Annotated[str, _matching(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?", "name of an image")]
Channel = Annotated[str, _matching(r"[a-zA-Z0-9_\-]+", "name of a conda channel")]
Digest = Annotated[str, _matching(r"sha256:[A-Fa-f0-9]{64}", "digest", "write sha256: and 64 hex digits")]
Tag = Annotated[str, _matching(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", "tag of an image")]
Commit = Annotated[str, _matching("[0-9a-f]{7,40}", "commit", "write 7 to 40 lower-case hex digits")]
PythonFile = Annotated[
    str, _matching(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*\.py", "Python file at the top of the package", "write NAME.py")
]
PythonPath = Annotated[
    str, _matching(r"(?!/|.*(^|/)\.\.(/|$))[^\\]+\.py", "Python file below the package", "write NAME.py")
]
