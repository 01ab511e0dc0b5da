"""What people write behind `conda:`, a channel, a name and a version: a part of conda's MatchSpec, without its library."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hatchlock.address import BadSource

__all__ = ["CondaRequirement", "declared_conda"]

_FORM = "write conda:NAME, conda:NAME>=1.2,<2 or conda:CHANNEL::NAME=1.2"
_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_SUBDIR = re.compile(r"(?:.*/)?(?:noarch|(?:linux|osx|win|emscripten|wasi)-[a-z0-9]+)")
_NAME = re.compile(r"(?:_?[a-z0-9])[a-z0-9._-]*")
_OPERATOR = r"==|!=|>=|<=|~=|=|>|<"
_SPLIT = re.compile(r"(?P<name>[^\s=<>!~\[(*,|]+)\s*(?P<rest>.*)", re.DOTALL)
_EXACT_BUILD = re.compile(r"=(?P<version>[^\s=<>!~,|*]+)=(?P<build>[^\s=<>!~,|]+)")
_ITEM = re.compile(rf"(?P<operator>{_OPERATOR})?(?P<version>[0-9A-Za-z][0-9A-Za-z_.!+-]*(?:\*)?|\*)")
_STARTING = re.compile(r"(?<![^,|])=(?!=)([^,|]+)")
_BUILD = re.compile(r"[0-9A-Za-z_.+*]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaRequirement:
    """A package of a channel, in the versions that will do.

    Attributes:
        name: In lower case.
        version: What conda's MatchSpec calls the version: `>=1.20,<2`, `=3.12` (that and what follows it), `==1.26.4`; "" for any.
        build: The build string, in which `*` stands for anything; "" for any.
        channel: The one that it has to come from; "" for whichever has it first.
    """

    name: str
    version: str = ""
    build: str = ""
    channel: str = ""

    @property
    def spec(self) -> str:
        """It as a MatchSpec, without the channel."""
        # in front of a build rattler takes `=1.2` for that version alone
        version = _STARTING.sub(lambda match: match[1] if "*" in match[1] else f"{match[1]}.*", self.version)
        return " ".join([self.name, version or "*", *([self.build] if self.build else [])])

    def __str__(self) -> str:
        """Return the normal form, which `declared_conda` reads to an equal value."""
        head = f"{self.channel}::{self.name}" if self.channel else self.name
        if not self.build:
            return head + self.version
        return f"{head} {self.version or '*'} {self.build}"


def declared_conda(spec: str) -> CondaRequirement:
    """Read the text behind `conda:`: `numpy>=1.20`, `colomoto::maboss>=2.5.0`, `python=3.12`, `numpy 1.26.* py311*`.

    Raises:
        BadSource: It is something else, also what MatchSpec allows beyond that (brackets, addresses, directories of a
            platform).
    """
    channel, colons, rest = spec.strip().rpartition("::")
    match = _SPLIT.fullmatch(rest.strip())
    if match is None:
        raise _bad(spec, "it names no package")
    if colons:
        _check_channel(spec, channel)
    name = match["name"].lower()
    if name.startswith("__"):
        advice = "leave it out; project.min-glibc and project.min-macos say what platforms have"
        raise _bad(spec, f"{name} is a fact of the platform, and no package", advice)
    if not _NAME.fullmatch(name):
        raise _bad(spec, f"{name!r} cannot be the name of a package")
    version, build = _version_and_build(spec, match["rest"])
    return CondaRequirement(name=name, version=version, build=build, channel=channel)


def _check_channel(spec: str, channel: str) -> None:
    if ":" in channel:
        raise _bad(
            spec, "a channel has a name there", "give its address a name below [indexes.conda], and write that name"
        )
    if not _CHANNEL.fullmatch(channel):
        raise _bad(spec, f"{channel!r} cannot be the name of a channel")
    if _SUBDIR.fullmatch(channel):
        raise _bad(
            spec, f"{channel!r} names the directory of a platform", "leave it out: project.platforms says which ones"
        )


def _version_and_build(spec: str, text: str) -> tuple[str, str]:
    if "[" in text or "(" in text:
        raise _bad(spec, "what stands in brackets is not supported")
    tight = re.sub(r"\s*([,|])\s*", r"\1", re.sub(rf"({_OPERATOR})\s+", r"\1", text.strip()))
    if exact := _EXACT_BUILD.fullmatch(tight):
        return f"=={exact['version']}", _build(spec, exact["build"])
    version, *others = tight.split() or ["*"]
    if len(others) > 1:
        raise _bad(spec, "more than a version and a build follow the name")
    return _version(spec, version), _build(spec, others[0] if others else "")


def _version(spec: str, text: str) -> str:
    items = re.split(r"([,|])", text)
    matches = [_ITEM.fullmatch(item) for item in items[::2]]
    written = [_written(match["operator"], match["version"]) for match in matches if match]
    if len(written) != len(matches):
        raise _bad(spec, f"{text!r} is no version of conda's")
    if text == "*":
        return ""
    return "".join(part + separator for part, separator in zip(written, [*items[1::2], ""], strict=True))


def _written(operator: str | None, version: str) -> str:
    """A bare version is that one alone, `1.2.*` what `=1.2` is."""
    if operator:
        return operator + version
    if version.endswith(".*"):
        return f"={version.removesuffix('.*')}"
    return f"={version}" if "*" in version else f"=={version}"


def _build(spec: str, text: str) -> str:
    if text and not _BUILD.fullmatch(text):
        raise _bad(spec, f"{text!r} is no build string")
    return "" if text == "*" else text


def _bad(spec: str, why: str, advice: str = _FORM) -> BadSource:
    return BadSource(text=f"conda:{spec}", why=why, advice=advice)
