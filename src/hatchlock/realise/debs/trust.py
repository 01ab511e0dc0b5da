"""The certificates that programs of an image trust, as update-ca-certificates(8) puts them together."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hatchlock.digest import sha256_bytes
from hatchlock.realise.base_tree import BasePath
from hatchlock.realise.debs.subject_hash import BadCertificate, certificates, subject_hash
from hatchlock.realise.tree import Entry

__all__ = ["CERTIFICATES", "TRUST_SETTINGS", "Trust", "trust_of"]

CERTIFICATES = re.compile(r"usr/(local/)?share/ca-certificates/.+\.crt")
"""Whole paths of certificates that may be trusted."""
TRUST_SETTINGS = "etc/ca-certificates.conf"

_OF_PACKAGES = "usr/share/ca-certificates/"
_LINKS = "etc/ssl/certs"
_BUNDLE = f"{_LINKS}/ca-certificates.crt"
_HASHED = re.compile(rf"{_LINKS}/[0-9a-f]{{8}}\.\d+")
_REPLACED = str.maketrans({" ": "_", "(": "=", ")": "=", ",": "_"})
_HEAD = """\
# The certificates below /usr/share/ca-certificates that /etc/ssl/certs is made from. A `!` in front of one leaves it out.
# Made by hatchlock; update-ca-certificates(8) reads it.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """What a layer has to do so that its certificates are trusted.

    Attributes:
        entries: The bundle, the links and the settings.
        gone: Links of the base that lead nowhere any more.
    """

    entries: tuple[Entry, ...]
    gone: frozenset[str]


def trust_of(certs: Mapping[str, bytes], *, settings: bytes | None, paths: Mapping[str, BasePath]) -> Trust:
    """Return what update-ca-certificates would do.

    Args:
        certs: Path -> content of all certificates that base and layer have, `CERTIFICATES`.
        settings: The base's `TRUST_SETTINGS`; None if it has none. What it leaves out stays out; what it does not name is new
            and trusted.
        paths: What the base has.
    """
    lines = _settings(certs, settings)
    chosen = [f"{_OF_PACKAGES}{line}" for line in lines if not line.startswith("!")]
    local = sorted(path for path in certs if not path.startswith(_OF_PACKAGES))
    used = [path for path in (*chosen, *local) if path in certs]
    links = {_link_name(path): f"/{path}" for path in used}
    hashed = _hashed({_link_name(path): certs[path] for path in used})
    bundle = b"".join(certs[path] if certs[path].endswith(b"\n") else certs[path] + b"\n" for path in used)
    settings_text = settings if settings is not None and lines == _named(settings) else _written(lines, settings)
    entries = (
        Entry(path=TRUST_SETTINGS, content=settings_text),
        Entry(path=_BUNDLE, content=bundle),
        *(_symlink(name, target) for name, target in sorted({**links, **hashed}.items())),
    )
    new = {entry.path for entry in entries}
    return Trust(entries=entries, gone=frozenset(path for path in _ours(paths) if path not in new))


def _symlink(name: str, target: str) -> Entry:
    return Entry(path=f"{_LINKS}/{name}", kind="symlink", mode=0o777, target=target)


def _settings(certs: Mapping[str, bytes], settings: bytes | None) -> list[str]:
    present = sorted(path.removeprefix(_OF_PACKAGES) for path in certs if path.startswith(_OF_PACKAGES))
    named = _named(settings or b"")
    known = [line for line in named if line.removeprefix("!") in present]
    return sorted({*known, *(name for name in present if f"!{name}" not in known)}, key=lambda line: line.lstrip("!"))


def _named(settings: bytes) -> list[str]:
    lines = (line.strip() for line in settings.decode(errors="replace").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _written(lines: list[str], settings: bytes | None) -> bytes:
    comments = [line for line in (settings or b"").decode(errors="replace").splitlines() if line.startswith("#")]
    head = "".join(f"{line}\n" for line in comments) or _HEAD
    return (head + "".join(f"{line}\n" for line in lines)).encode()


def _link_name(path: str) -> str:
    return f"{posixpath.basename(path).removesuffix('.crt').translate(_REPLACED)}.pem"


def _hashed(pems: Mapping[str, bytes]) -> dict[str, str]:
    """Return the links by subject, as `openssl rehash` makes them: numbered by the order of names, each certificate once."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name, pem in sorted(pems.items()):
        for key, fingerprint in _one_certificate(pem):
            found[key].setdefault(fingerprint, name)
    return {f"{key}.{number}": name for key, names in found.items() for number, name in enumerate(names.values())}


def _one_certificate(pem: bytes) -> Iterator[tuple[str, str]]:
    """Yield subject hash and fingerprint of a file's certificate; files with none or several get no link."""
    try:
        ders = certificates(pem)
        if len(ders) == 1:
            yield subject_hash(ders[0]), sha256_bytes(ders[0])
    except BadCertificate:
        return


def _ours(paths: Mapping[str, BasePath]) -> Iterator[str]:
    """Yield the links of a base that update-ca-certificates made."""
    links = {path: item for path, item in paths.items() if item.kind == "symlink" and posixpath.dirname(path) == _LINKS}
    named = {path for path, item in links.items() if CERTIFICATES.fullmatch(item.target.lstrip("/"))}
    yield from named
    for path, item in links.items():
        target = f"{_LINKS}/{item.target}"
        if _HASHED.fullmatch(path) and (target in named or target not in paths):
            yield path
