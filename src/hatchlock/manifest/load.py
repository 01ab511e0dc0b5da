"""Reading a manifest: every mistake at once, each with its line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hatchlock.errors import ManyErrors
from hatchlock.files import read_optional
from hatchlock.manifest.build import build
from hatchlock.manifest.checks import cautions, mistakes, overlay_mistakes
from hatchlock.manifest.later import not_yet
from hatchlock.manifest.lines import line_of
from hatchlock.manifest.model import Manifest
from hatchlock.manifest.problem import Caution, Finding, KeyPath, ManifestProblem, NotYet, dotted
from hatchlock.manifest.read import Toml, parse
from hatchlock.manifest.schema import Document, OverlayDocument
from hatchlock.manifest.translate import schema_findings
from hatchlock.paths import OVERLAY_NAME
from hatchlock.place import Place

__all__ = ["LoadedManifest", "load", "load_bytes", "loads"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedManifest:
    """A manifest without mistakes.

    Attributes:
        manifest: Its values, with defaults and overlay applied.
        warnings: What works but may surprise, in the order of the lines.
        shown: The manifest's file as users see it.
        text: The manifest's text.
    """

    manifest: Manifest
    warnings: tuple[Caution, ...]
    shown: str
    text: str

    def place(self, *path: str | int) -> Place:
        """Return where in the manifest a key stands, or the closest table above it: `place("servers", "time")`."""
        return Place(file=self.shown, line=line_of(self.text, path))


def load(path: Path, overlay: Path | None = None) -> LoadedManifest:
    """Read a manifest, and the overlay over it.

    Args:
        path: The manifest.
        overlay: The overlay, which need not exist; None for none.

    Raises:
        ManyErrors: All mistakes of both files as `ManifestProblem` with their places, in the order of the lines, the
            manifest's first. What this version cannot do yet is a `NotYet` among them.
        ManifestProblem: There is no such manifest, or it is a directory.
        PermissionProblem: A file may not be read.
    """
    main = _read(path)
    if main is None:
        raise ManifestProblem(
            place=Place(file=_shown(path)), what="there is no manifest", advice="make one with `hatchlock init`"
        )
    return _loaded(main, (_read(overlay) if overlay else None) or Toml(shown="", text=""))


def load_bytes(path: Path, data: bytes, overlay: bytes) -> LoadedManifest:
    """Read what a manifest and its overlay held when they were read; see `load`.

    Args:
        path: The manifest, for messages.
        data: Its bytes.
        overlay: The overlay's, empty for none.

    Raises:
        ManyErrors: All mistakes of both.
    """
    local = parse(overlay, shown=_shown(path.with_name(OVERLAY_NAME)))
    return _loaded(parse(data, shown=_shown(path)), local if overlay else Toml(shown="", text=""))


def loads(text: str, *, shown: str) -> LoadedManifest:
    """Read a manifest's text, without an overlay, as `load` does: before it is written, for example.

    Args:
        text: The manifest.
        shown: The file's name for its places.

    Raises:
        ManyErrors: All its mistakes.
    """
    return _loaded(parse(text.encode(), shown=shown), Toml(shown="", text=""))


def _loaded(main: Toml, local: Toml) -> LoadedManifest:
    if problems := [*_main_problems(main, local), *_overlay_problems(main, local)]:
        raise ManyErrors(errors=tuple(problems))
    return LoadedManifest(
        manifest=build(main.data, local.data), warnings=_warnings(main), shown=main.shown, text=main.text
    )


def _main_problems(main: Toml, local: Toml) -> list[ManifestProblem]:
    if main.broken:
        return [main.broken]
    return _problems(main, schema_findings(Document, main.data), mistakes(main.data, local.data))


def _overlay_problems(main: Toml, local: Toml) -> list[ManifestProblem]:
    if local.broken:
        return [local.broken]
    unfitting = () if main.broken else overlay_mistakes(main.data, local.data)
    return _problems(local, schema_findings(OverlayDocument, local.data, overlay=True), unfitting)


def _problems(file: Toml, wrong: Iterable[Finding], unfitting: Iterable[Finding]) -> list[ManifestProblem]:
    """Report each place once for each reason; what has the wrong form is not reported as "not yet" as well."""
    malformed = list(wrong)
    taken = {item.path for item in malformed}
    problems = [
        ManifestProblem(place=file.place(item.path), key=dotted(item.path), what=item.what, advice=item.advice)
        for item in (*malformed, *unfitting)
    ]
    problems += [
        NotYet(place=file.place(item.path), key=dotted(item.path), what=item.what, advice=item.advice)
        for item in not_yet(file.data)
        if item.path not in taken
    ]
    return sorted(problems, key=lambda item: (item.place or Place(file=""), item.key, item.what))


def _warnings(file: Toml) -> tuple[Caution, ...]:
    found = (
        Caution(
            place=file.place(item.path),
            key=dotted(item.path),
            what=item.what,
            hint=item.advice,
            server=_server(item.path),
            is_locked=item.is_locked,
        )
        for item in cautions(file.data)
    )
    return tuple(sorted(found, key=lambda item: (item.place, item.key, item.what)))


def _server(path: KeyPath) -> str:
    table, *rest = (*path, "")
    return str(rest[0]) if table == "servers" else ""


def _read(path: Path) -> Toml | None:
    try:
        data = read_optional(path)
    except IsADirectoryError as error:
        raise ManifestProblem(place=Place(file=_shown(path)), what="it is a directory, not a file") from error
    return None if data is None else parse(data, shown=_shown(path))


def _shown(path: Path) -> str:
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
