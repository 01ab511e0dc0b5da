"""What a lock has of files: those of packages, of Debian archives, and of directories that images are built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Archive", "Build", "File"]


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class File:
    """A file that a package may be fetched as.

    Attributes:
        name: Its file name in the index (a wheel's name carries its tags).
        sha256: 64 hex digits; "" where the registry gives a stronger hash.
        sha512: 128 hex digits, where the registry gives that (npm); "" otherwise.
        size: Bytes; 0 where the index does not say.
        platform: The one platform that it is for, where the name does not tell (`url:`); "" otherwise.
    """

    name: str
    sha256: str = ""
    sha512: str = ""
    size: int = 0
    platform: str = ""

    @property
    def digest(self) -> str:
        """The stronger of its hashes, by which the store names it."""
        return self.sha512 or self.sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """An image that is built from a Dockerfile of the user's own.

    Attributes:
        server: The server that it is for.
        context: The directory that it is built from; a relative one is relative to the manifest.
        dockerfile: The Dockerfile's path in there.
        target: The stage that is wanted, as declared; "" for the last one.
        args: Values for its ARGs.
        files: One: the snapshot of the context, the Dockerfile included.
        images: References of the images that the Dockerfile names, sorted; they are among the lock's.
        base: Which of them says what is started, as far as the Dockerfile leaves it open; "" for none.
        entrypoint: What the Dockerfile says is started.
        command: Its arguments, likewise.
        inherits: Which of the two, "entrypoint" and "command", the base says.
        image: Reference of an image that was built from it before, and is taken instead; it is among the lock's. "" for none.
        keys: Platform -> input key of the image (64 hex digits).
    """

    server: str
    context: str
    dockerfile: str
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    images: tuple[str, ...] = ()
    base: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    inherits: tuple[str, ...] = ()
    image: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """A suite of a Debian archive, as it was when it was asked.

    Attributes:
        name: What packages call it as their index: `debian/bookworm-updates`.
        suite: As apt's sources name it: `bookworm-updates`.
        components: Sorted.
        snapshot: The id of a snapshot, `20260701T000000Z`; "" if the archive itself was asked.
        date: When the archive made its lists, RFC 3339.
        sha256: 64 hex digits, of its signed list of lists (`InRelease`).
        keys: Fingerprints of the keys that signed it, sorted.
    """

    name: str
    suite: str
    components: tuple[str, ...] = ()
    snapshot: str = ""
    date: str
    sha256: str
    keys: tuple[str, ...] = ()
