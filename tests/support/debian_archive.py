"""A Debian archive on loopback: real .deb files, compressed indexes, and a Release signed with a key made here."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import io
import lzma
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pysequoia

from support.compressed import zstd
from support.loopback import Handler, answering, fails

__all__ = [
    "Deb",
    "DebianArchive",
    "Link",
    "armored",
    "fingerprint",
    "make_deb",
    "new_key",
    "public_part",
    "serving_debian",
    "status_of",
]

_COMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = {
    "xz": lzma.compress,
    "gz": functools.partial(gzip.compress, mtime=0),
    "zst": zstd,
    "": bytes,
}


@dataclass(frozen=True)
class Link:
    """A symbolic link in a package."""

    target: str


@dataclass(frozen=True, kw_only=True)
class Deb:
    """A binary package.

    `fields` is what else its control file says (`Depends`, `Provides`, …); `files` maps a path without a leading slash to
    its content, a `Link`, or None for a directory; `control` holds further control members (`postinst`, `conffiles`, …);
    `modes` maps a path to its permission bits, for files other than 0644 and directories other than 0755. `suite` and
    `component` say where an archive lists it. With the `compression` "zst" both parts have it, as Ubuntu's do.
    """

    name: str
    version: str = "1.0-1"
    architecture: str = "amd64"
    fields: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes | str | Link | None] = field(default_factory=dict)
    control: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    compression: str = "xz"
    suite: str = "bookworm"
    component: str = "main"

    @property
    def file_name(self) -> str:
        """The name in the pool, which leaves the epoch out."""
        return f"{self.name}_{self.version.partition(':')[2] or self.version}_{self.architecture}.deb"

    @property
    def path(self) -> str:
        """Where it is below the archive's address."""
        source = self.fields.get("Source", self.name).split(" ")[0]
        prefix = source[:4] if source.startswith("lib") else source[0]
        return f"pool/{self.component}/{prefix}/{source}/{self.file_name}"

    @property
    def control_fields(self) -> dict[str, str]:
        head = {"Package": self.name, "Version": self.version, "Architecture": self.architecture}
        usual = {
            "Maintainer": "The Example Team <team@example.com>",
            "Priority": "optional",
            "Description": f"the package {self.name}\n for tests",
        }
        return {**head, **{key: value for key, value in usual.items() if key not in self.fields}, **self.fields}

    @property
    def data(self) -> bytes:
        return make_deb(self)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def stanza(self) -> str:
        """Return its paragraph in `Packages`."""
        facts = {"Filename": self.path, "Size": str(len(self.data)), "SHA256": self.sha256}
        return _paragraph(self.control_fields | facts)


def _paragraph(fields: Mapping[str, str]) -> str:
    return "".join(
        f"{key}: {value}\n" if not value.startswith("\n") else f"{key}:{value}\n" for key, value in fields.items()
    )


@functools.cache
def _made(deb: tuple[Any, ...]) -> bytes:
    fields, control, files, modes, compression = deb
    members = {"control": _paragraph(dict(fields)), **dict(control)}
    sums = "".join(
        f"{hashlib.md5(_encoded(content)).hexdigest()}  {path}\n"
        for path, content in files
        if isinstance(content, bytes | str)
    )
    executable = dict.fromkeys(("preinst", "postinst", "prerm", "postrm", "config"), 0o755)
    control_form = "zst" if compression == "zst" else "xz"
    parts = {
        "debian-binary": b"2.0\n",
        f"control.tar.{control_form}": _COMPRESSORS[control_form](_tar({**members, "md5sums": sums}, executable)),
        f"data.tar{'.' if compression else ''}{compression}": _COMPRESSORS[compression](_tar(dict(files), dict(modes))),
    }
    return b"!<arch>\n" + b"".join(_member(name, data) for name, data in parts.items())


def make_deb(deb: Deb) -> bytes:
    """Return the package's file, deb-format 2.0; the same bytes for the same content."""
    tables = (deb.control_fields, deb.control, deb.files, deb.modes)
    return _made((*(tuple(table.items()) for table in tables), deb.compression))


def _member(name: str, data: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
    return head + data + b"\n" * (len(data) % 2)


def _encoded(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _tar(files: Mapping[str, bytes | str | Link | None], modes: Mapping[str, int]) -> bytes:
    """Return a tar as dpkg-deb writes it: names begin with `./`, every directory comes before what is in it."""
    stream = io.BytesIO()
    parents = {"/".join(path.split("/")[:depth]) for path in files for depth in range(1, path.count("/") + 1)}
    members: dict[str, bytes | str | Link | None] = {"": None, **dict.fromkeys(parents), **files}
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, content in sorted(members.items()):
            info = tarfile.TarInfo(f"./{path}")
            info.uname = info.gname = "root"
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, modes.get(path, 0o755)
                archive.addfile(info)
            elif isinstance(content, Link):
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, content.target, 0o777
                archive.addfile(info)
            else:
                data = _encoded(content)
                info.size, info.mode = len(data), modes.get(path, 0o644)
                archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def status_of(*debs: Deb) -> bytes:
    """Return what /var/lib/dpkg/status says when these are installed."""
    return "\n".join(
        _paragraph({"Package": deb.name, "Status": "install ok installed", **deb.control_fields}) for deb in debs
    ).encode()


@functools.cache
def new_key(user: str = "archive") -> Any:
    """Return a secret key, one for each name in a run."""
    return pysequoia.Tsk.generate(user_id=f"{user} <{user}@example.com>")


def public_part(*keys: Any) -> bytes:
    """Return a binary keyring with the public parts of some keys."""
    return b"".join(bytes(key.extract_certificate()) for key in keys)


def armored(key: Any) -> bytes:
    """Return the public part of a key as text."""
    return str(key.extract_certificate()).encode()


def fingerprint(key: Any) -> str:
    """Return the fingerprint of a key, 40 hex digits in lower case."""
    return str(key.extract_certificate().fingerprint)


@dataclass(kw_only=True)
class DebianArchive:
    """What is served, how, and what was asked for.

    Switches: `date` and `valid_until` (as Release writes them; "" leaves the field out), `codenames` (suite -> codename, if
    it is another), `fields` (more of Release, e.g. `Snapshots`, `NotAutomatic`), `by_hash`, `forms` (which compressed
    indexes exist), `ranges` (whether parts of files can be asked for), `signer` (the key that signs; `key` stays the one in `keyring`), `raw` (path below the address -> bytes
    to answer instead of the real ones, which Release still lists), `failures` (path -> how often it answers 503 first),
    `aliases` (a further prefix -> "" so that snapshots can be served: `snapshot/20260101T000000Z`).
    """

    debs: list[Deb]
    architectures: tuple[str, ...] = ("amd64", "arm64")
    date: str = "Thu, 01 Jan 2026 00:00:00 UTC"
    valid_until: str = ""
    codenames: dict[str, str] = field(default_factory=dict)
    suite_names: dict[str, str] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    by_hash: bool = True
    forms: tuple[str, ...] = ("xz", "gz")
    ranges: bool = True
    key: Any = field(default_factory=new_key)
    signer: Any = None
    raw: dict[str, bytes] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    aliases: tuple[str, ...] = ()
    root: str = ""
    asked: list[str] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    """Path below the address -> how many bytes of it were sent."""

    @property
    def url(self) -> str:
        """The archive's address, as it stands in apt's sources."""
        return f"{self.root}/debian"

    @property
    def keyring(self) -> bytes:
        """The public key, as a binary keyring."""
        return public_part(self.key)

    @property
    def sources(self) -> bytes:
        """A deb822 file of apt that names this archive, for a base's /etc/apt/sources.list.d/*.sources."""
        components = " ".join(sorted({deb.component for deb in self.debs} | {"main"}))
        return (
            f"Types: deb\nURIs: {self.url}\nSuites: {' '.join(self.suites)}\nComponents: {components}\n"
            "Signed-By: /usr/share/keyrings/archive.gpg\n"
        ).encode()

    @property
    def suites(self) -> list[str]:
        return sorted({deb.suite for deb in self.debs} | {"bookworm"})

    def asked_for(self, part: str) -> list[str]:
        return [path for path in self.asked if part in path]

    def replace(self, name: str, **changes: Any) -> None:
        """Change the package of that name, as a new upload does."""
        self.debs = [replace(deb, **changes) if deb.name == name else deb for deb in self.debs]

    def indexes(self, suite: str) -> dict[str, bytes]:
        """Return what Release lists, path below `dists/SUITE/` -> bytes."""
        components = sorted({deb.component for deb in self.debs} | {"main"})
        found = {}
        for component in components:
            for architecture in self.architectures:
                stanzas = [
                    deb.stanza()
                    for deb in self.debs
                    if (deb.suite, deb.component) == (suite, component) and deb.architecture in {architecture, "all"}
                ]
                data = "\n".join(stanzas).encode()
                path = f"{component}/binary-{architecture}/Packages"
                found[path] = data
                found |= {f"{path}.{form}": _COMPRESSORS[form](data) for form in self.forms}
        return found

    def release(self, suite: str) -> str:
        listed = self.indexes(suite)
        sums = "".join(
            f"\n {hashlib.sha256(data).hexdigest()} {len(data)} {path}" for path, data in sorted(listed.items())
        )
        fields = {
            "Origin": "Example",
            "Label": "Example",
            "Suite": self.suite_names.get(suite, suite),
            "Codename": self.codenames.get(suite, suite),
            "Date": self.date,
            "Valid-Until": self.valid_until,
            "Acquire-By-Hash": "yes" if self.by_hash else "",
            "No-Support-for-Architecture-all": "Packages",
            "Architectures": f"all {' '.join(self.architectures)}",
            "Components": " ".join(sorted({deb.component for deb in self.debs} | {"main"})),
            **self.fields,
            "SHA256": sums,
        }
        return _paragraph({key: value for key, value in fields.items() if value})

    def in_release(self, suite: str) -> bytes:
        """Return the Release, signed in the clear."""
        signer = (self.signer or self.key).signer()
        return bytes(pysequoia.sign(signer, self.release(suite).encode(), mode=pysequoia.SignatureMode.CLEAR))

    def answer(self, path: str) -> bytes | None:
        """Return what is at a path below the archive's address."""
        if path in self.raw:
            return self.raw[path]
        if path.startswith("pool/"):
            return next((deb.data for deb in self.debs if deb.path == path), None)
        _, _, rest = path.partition("dists/")
        suite = next((suite for suite in self.suites if rest.startswith(f"{suite}/")), "")
        inside = rest.removeprefix(f"{suite}/")
        if not suite:
            return None
        if inside == "InRelease":
            return self.in_release(suite)
        return self._index(suite, inside)

    def _index(self, suite: str, inside: str) -> bytes | None:
        listed = {name: self.raw.get(f"dists/{suite}/{name}", data) for name, data in self.indexes(suite).items()}
        folder, by_hash, digest = inside.partition("/by-hash/SHA256/")
        if not by_hash:
            return listed.get(inside) if not inside.endswith("/Packages") else None
        true = self.indexes(suite)
        named = (
            name
            for name, data in true.items()
            if name.rpartition("/")[0] == folder and hashlib.sha256(data).hexdigest() == digest
        )
        return next((listed[name] for name in named), None) if self.by_hash else None


class _Handler(Handler[DebianArchive]):
    def do_GET(self) -> None:
        archive = self.state
        archive.asked.append(self.path)
        prefix = next((item for item in ("debian", *archive.aliases) if self.path.startswith(f"/{item}/")), None)
        path = self.path.removeprefix(f"/{prefix}/") if prefix else ""
        if fails(archive.failures, path):
            self.send(503, b"")
            return
        data = archive.answer(path) if path else None
        if data is None:
            self.send(404, b"")
            return
        part, headers = self._wanted(data)
        archive.sent[path] += len(part)
        self.send(206 if headers else 200, part, headers)

    def _wanted(self, data: bytes) -> tuple[bytes, dict[str, str]]:
        first, dash, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if not dash or not self.state.ranges:
            return data, {}
        part = data[int(first) : int(last) + 1 if last else None]
        return part, {"Content-Range": f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"}


@contextlib.contextmanager
def serving_debian(*debs: Deb | Sequence[Deb], **switches: Any) -> Iterator[DebianArchive]:
    """Serve these packages on loopback inside the block."""
    flat = [item for entry in debs for item in ([entry] if isinstance(entry, Deb) else entry)]
    archive = DebianArchive(debs=flat, **switches)
    with answering(_Handler, archive) as address:
        archive.root = address
        yield archive
