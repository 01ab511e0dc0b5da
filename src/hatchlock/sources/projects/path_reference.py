"""The text behind `path:`: a directory, and what it is."""

from __future__ import annotations

from dataclasses import dataclass

from hatchlock.address import BadSource
from hatchlock.paths import normal_path

__all__ = ["PathReference"]

_CHOICES = ("python", "node", "files")


@dataclass(frozen=True, kw_only=True, slots=True)
class PathReference:
    """A directory.

    Attributes:
        path: With `/`, normalised; relative ones begin with "." and are relative to the manifest, those with `~/` to
            the home of whoever runs the command.
        as_: "python", "node" or "files", where what was detected is not what is wanted; "" otherwise.
    """

    path: str
    as_: str = ""

    @classmethod
    def parse(cls, spec: str) -> PathReference:
        """Read `DIR` or `DIR#as=python|node|files`.

        Raises:
            BadSource: It is something else.
        """
        text, _, fragment = spec.strip().partition("#")
        key, _, value = fragment.partition("=")
        if (fragment and key != "as") or (value and value not in _CHOICES) or not text:
            raise BadSource(
                text=f"path:{spec}",
                why="that is no directory",
                advice="write path:DIR, or path:DIR#as=python|node|files",
            )
        return cls(path=normal_path(text), as_=value)

    def __str__(self) -> str:
        return f"{self.path}#as={self.as_}" if self.as_ else self.path
