"""What stands behind a kind: whether it has that kind's form. What it means is read by the kind's source."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from hatchlock.address import BadSource, ImageReference, Kind, Source, Transport, is_place
from hatchlock.manifest.problem import did_you_mean
from hatchlock.manifest.suspicion import holds_git_credentials
from hatchlock.manifest.wrong import Wrong

__all__ = ["check_base", "check_source", "check_url"]

_NPM = re.compile(r"(@[a-z0-9~-][a-z0-9._~-]*/)?[A-Za-z0-9~-][A-Za-z0-9._~-]*(@.*)?")
_GIT = re.compile(r"(?:git\+)?(?:/|[A-Za-z][A-Za-z0-9+.-]*://|[^/@:]+@[^/:]+:)")
# what stands behind a name of these kinds is read by their sources; here it has the right form
_BOUNDS = re.compile(r"(?=[<>=!]|~=)")
_OCI_BOUND = r"(?:[=!<>~]=|[<>])\s*v?\d+(?:\.\d+)*(?:\.\*)?(?:-[A-Za-z0-9_.-]+)?"
_OCI_BOUNDS = re.compile(rf"{_OCI_BOUND}(?:\s*,\s*{_OCI_BOUND})*")
_DEB = re.compile(r"[a-z0-9][a-z0-9+.-]*\s*(?:(?:[<>]{1,2}|[<>=!]?=|=)\s*[0-9A-Za-z.+:~-]+\s*(?:,\s*|$))*")
_HATCH = re.compile(
    r"(?:\.{1,2}(?:/[^\s<>=!]*)?|~?/[^\s<>=!]*|(?:[A-Za-z0-9_.-]+:)?[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)?)"
    r"\s*(?:(?:[<>=!~]=|[<>])\s*\d+(?:\.\d+)*\s*(?:,\s*|$))*"
)
_MCP = re.compile(r"[A-Za-z0-9.-]+/[A-Za-z0-9._-]+(?:@[^\s@/]+)?")
_CONDA_BOUND = r"(?:[=!<>~]=|[=<>])?\s*[0-9A-Za-z*][0-9A-Za-z_.!+*-]*"
_CONDA = re.compile(
    r"(?:[A-Za-z0-9_./:-]+::)?[A-Za-z0-9_.-]+"
    rf"(?:\s*{_CONDA_BOUND}(?:\s*[,|]\s*{_CONDA_BOUND})*(?:[\s=]\s*[0-9A-Za-z_.+*]+)?)?"
)


def check_source(text: str) -> str:
    """Return a source, `kind:spec`, if it has its kind's form.

    Raises:
        Wrong: It has not.
    """
    head, colon, spec = text.partition(":")
    try:
        source = Source.parse(text)
        if source.kind is Kind.OCI:
            is_layout = is_place(source.spec)
            ImageReference.parse(source.spec if is_layout else _BOUNDS.split(source.spec, maxsplit=1)[0].strip())
    except BadSource as error:
        meant = did_you_mean(head, Kind) if colon and head not in set(Kind) else ""
        raise Wrong(str(error), meant or error.hint) from error
    if check := _CHECKS.get(source.kind):
        check(text, spec.strip())
    return text


def _check_requirement(text: str, spec: str) -> None:
    name, at, version = spec.partition("@")
    if at and "://" not in version:
        pinned = "" if version.strip() in {"", "latest"} else f"=={version.strip()}"
        raise Wrong(f"{text!r} is not a requirement of PEP 508", f"write pypi:{name.strip()}{pinned}")
    try:
        Requirement(spec)
    except InvalidRequirement as error:
        why = str(error).splitlines()[0]
        raise Wrong(f"{text!r} is not a requirement of PEP 508: {why}", "write pypi:NAME[EXTRA]>=1.2,<2") from error


def _check_npm(text: str, spec: str) -> None:
    if _NPM.fullmatch(spec) is None:
        raise Wrong(f"{text!r} names no npm package", "write npm:NAME@RANGE or npm:@SCOPE/NAME@RANGE")


def _check_git(text: str, spec: str) -> None:
    if holds_git_credentials(spec):
        raise Wrong(
            "it holds a user name or password, or a port that is no number",
            "leave them out, and give them to git: a credential helper, ~/.netrc, or an SSH key (git:ssh://git@HOST/…)",
        )
    if "/" not in spec or spec.startswith("-") or any(character.isspace() for character in spec):
        raise Wrong(f"{text!r} is no git repository", "write git:https://HOST/OWNER/REPOSITORY@REF#subdirectory=DIR")
    if _GIT.match(spec) is None:
        written, at, ref = spec.partition("@")
        advice = (
            f"write git:/…, the repository's absolute path, or path:{written} for its files as they are"
            if is_place(written) or written.startswith("~")
            else f"write git:https://HOST/{written}{at}{ref} with the host that it is on"
        )
        raise Wrong(f"{text!r} is no address of a git repository", advice)


def _check_url(text: str, spec: str) -> None:
    address, _, fragment = spec.partition("#")
    check_url(address)
    if re.search(r"(^|&)sha256=[0-9a-fA-F]{64}(&|$)", fragment) is None:
        raise Wrong(f"{text!r} does not say its hash", "append #sha256=… (64 hex digits)")


def _check_image(text: str, spec: str) -> None:
    _, *bounds = _BOUNDS.split(spec, maxsplit=1)
    if bounds and not _OCI_BOUNDS.fullmatch(bounds[0].strip()):
        raise Wrong(f"{text!r}: {bounds[0]!r} are no bounds on a version", "write oci:NAME>=1.2,<2, or oci:NAME:TAG")
    if bounds and spec.startswith(f"{Transport.ENGINE}:"):
        raise Wrong(f"{text!r}: bounds choose among the tags of a registry, and the engine is none", "name a tag")


def _check_deb(text: str, spec: str) -> None:
    if _DEB.fullmatch(spec) is None:
        raise Wrong(f"{text!r} names no Debian package", "write deb:NAME, deb:NAME>=VERSION or deb:NAME=VERSION")


def _check_hatch(text: str, spec: str) -> None:
    if _HATCH.fullmatch(spec) is None:
        advice = "write hatch:NAME>=1.2, hatch:REPOSITORY:NAME, or hatch:./DIRECTORY"
        raise Wrong(f"{text!r} names no Hatch package", advice)


def _check_mcp(text: str, spec: str) -> None:
    if _MCP.fullmatch(spec) is None:
        advice = "write mcp:io.github.OWNER/NAME, or mcp:io.github.OWNER/NAME@VERSION"
        raise Wrong(f"{text!r} is no name of the MCP registry", advice)


def _check_conda(text: str, spec: str) -> None:
    if _CONDA.fullmatch(spec) is None or spec.rpartition("::")[2].startswith("__"):
        raise Wrong(f"{text!r} names no conda package", "write conda:NAME>=1.2, or conda:CHANNEL::NAME>=1.2")


_CHECKS = {
    Kind.PYPI: _check_requirement,
    Kind.NPM: _check_npm,
    Kind.GIT: _check_git,
    Kind.URL: _check_url,
    Kind.OCI: _check_image,
    Kind.DEB: _check_deb,
    Kind.HATCH: _check_hatch,
    Kind.MCP: _check_mcp,
    Kind.CONDA: _check_conda,
}


def check_base(text: str) -> str:
    """Return the source of an image.

    Raises:
        Wrong: It is none.
    """
    check_source(text)
    if not text.startswith("oci:"):
        raise Wrong(f"{text!r} is no image, and a base is one", "write oci:REGISTRY/PATH:TAG")
    return text


def check_url(text: str) -> str:
    """Return an http(s) address without credentials.

    Raises:
        Wrong: It is none.
    """
    try:
        parts = urlsplit(text)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError as error:
        raise Wrong(f"{text!r} is no address: {error}") from error
    if parts.username is not None or parts.password is not None:
        raise Wrong(
            "the address holds credentials, and a manifest holds none",
            "put them into ~/.netrc; those of a remote server into headers",
        )
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_right:
        raise Wrong(f"{text!r} is no http(s) address", "write https://HOST/PATH")
    return text
