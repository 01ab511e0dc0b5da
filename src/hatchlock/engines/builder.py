"""Building an image from a user's own Dockerfile, by the builder that an engine brings along: without network."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, ClassVar
from urllib.parse import urlencode

from hatchlock.engines.api import Engine
from hatchlock.errors import HatchlockError
from hatchlock.place import Place

__all__ = ["BuildWish", "BuilderTooOld", "ImageBuildFailed", "build_image"]

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r(?=\n)")
_STEP = re.compile(r"(?:\[\d+/\d+\] )?STEP \d+(?:/\d+)? ?: ?(.*)", re.IGNORECASE)
_QUOTED = 12
_HEREDOCS_SINCE = (1, 33)
_MEMORY = 4 << 30
"""As for every other build: without a limit, one that has gone wrong takes the machine along."""
# Podman takes the number of its own policy "disabled"; of "none" it makes the host's network, without a word.
_NO_NETWORK_OF_BUILDAH = "1"


@dataclass(kw_only=True, eq=False)
class ImageBuildFailed(HatchlockError):
    """An image could not be built.

    Attributes:
        why: The engine's own words.
        said: The last lines that the build wrote.
        name: Whose build it is.
    """

    code: ClassVar[str] = "image-build-failed"

    why: str
    said: tuple[str, ...] = ()
    name: str = ""

    def __str__(self) -> str:
        lines = "".join(f"\n  | {line}" for line in self.said)
        return f"the build failed: {self.why}{lines}"

    def _hint(self) -> str:
        return (
            f"`hatchlock logs --build {self.name}` shows everything that it wrote; a build has no network, and no files "
            "that may hold secrets, such as .env, *.pem and *.key"
        )


@dataclass(kw_only=True, eq=False)
class BuilderTooOld(HatchlockError):
    """A Dockerfile uses what this engine's builder does not know."""

    code: ClassVar[str] = "builder-too-old"

    what: str
    engine: str
    advice: str

    def __str__(self) -> str:
        return f"{self.what} is not known to the builder of the container engine at {self.engine}"

    def _hint(self) -> str:
        return self.advice


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildWish:
    """What is to be built.

    Attributes:
        dockerfile: Its path in the context.
        shown: Its name for messages.
        steps: The instructions as the engine gets them, each with its line in the Dockerfile.
        mounts: The lines of RUNs with a mount.
        documents: The lines of instructions with here-documents.
        target: The stage that is wanted, by name or number; "" for the last one.
        args: Values for its ARGs.
        labels: The labels that the image gets besides its own.
        is_anew: Whether nothing is taken from an earlier build of the engine.
    """

    dockerfile: str
    shown: str
    steps: Sequence[tuple[int, str]]
    mounts: Sequence[int] = ()
    documents: Sequence[int] = ()
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    is_anew: bool = False


def build_image(
    engine: Engine, wish: BuildWish, context: BinaryIO, *, buildah: str, log: Callable[[str], object]
) -> str:
    """Build an image, and return its id, `sha256:…`.

    What is run has no network, only the given values of ARGs, and 4 GiB of memory; of processors all that the engine has.

    Args:
        engine: Where.
        wish: What; its FROMs name images by ids that the engine has, so that it asks no registry.
        context: An archive with the Dockerfile and everything that it copies.
        buildah: The version of Podman's builder; "" where Docker's builds.
        log: Gets what the build writes, in lines without escapes.

    Raises:
        BuilderTooOld: The builder would not know an instruction, or read something else.
        ImageBuildFailed: An instruction failed.
        EngineError, EngineUnreachable: The engine refused, or broke off.
    """
    _check_builder(engine, wish, buildah)
    query = {
        "dockerfile": wish.dockerfile,
        "networkmode": _NO_NETWORK_OF_BUILDAH if buildah else "none",
        "pull": "false",
        "rm": "true",
        "forcerm": "true",
        "memory": str(_MEMORY),
        "memswap": str(_MEMORY),  # of both together: nothing is swapped
        **({"nocache": "true"} if wish.is_anew else {}),
        "buildargs": json.dumps(dict(wish.args)),
        "labels": json.dumps(dict(wish.labels)),
        **({"target": wish.target} if wish.target else {}),
    }
    progress = _Progress(steps=list(wish.steps), log=log)
    for line in engine.post(f"/build?{urlencode(query)}", context, content_type="application/x-tar"):
        if line.strip():
            progress.take(json.loads(line))
    progress.end()
    if progress.why or not progress.image:
        place = Place(file=wish.shown, line=progress.line)
        raise ImageBuildFailed(place=place, why=progress.why or "it made no image", said=tuple(progress.said))
    return progress.image


def _check_builder(engine: Engine, wish: BuildWish, buildah: str) -> None:
    """Docker offers its first builder alone through its API, no BuildKit."""
    version = tuple(int(part) for part in re.findall(r"\d+", buildah)[:2])
    unknown = [(line, "RUN --mount", "COPY what it needs in an earlier stage") for line in wish.mounts if not buildah]
    if version < _HEREDOCS_SINCE:
        advice = "put the text into a file of the context, or continue the line with \\"
        unknown += [(line, "a here-document", advice) for line in wish.documents]
    if unknown:
        line, what, advice = min(unknown)
        raise BuilderTooOld(place=Place(file=wish.shown, line=line), what=what, engine=engine.address, advice=advice)


@dataclass(kw_only=True, slots=True)
class _Progress:
    """What a build said so far.

    Attributes:
        steps: The instructions that are still to come.
        log: Gets the lines.
        line: The line of the instruction that is being done; 0 before the first.
        image: The id of the last image that was finished.
        why: What went wrong; "" if nothing did.
        said: The last lines that it wrote.
        rest: The beginning of a line.
    """

    steps: list[tuple[int, str]]
    log: Callable[[str], object]
    line: int = 0
    image: str = ""
    why: str = ""
    said: deque[str] = field(default_factory=lambda: deque(maxlen=_QUOTED))
    rest: str = ""

    def take(self, message: Mapping[str, Any]) -> None:
        """Take one message of the engine's answer."""
        if "error" in message:
            self.why = str(message["error"]).strip()
        elif isinstance(aux := message.get("aux"), dict) and "ID" in aux:
            self.image = str(aux["ID"])
        elif "stream" in message:
            *lines, self.rest = (self.rest + str(message["stream"])).split("\n")
            for line in lines:
                self._line(_ESCAPES.sub("", line).rstrip("\r"))

    def end(self) -> None:
        """Take what was not ended by a line's end."""
        if self.rest:
            self._line(_ESCAPES.sub("", self.rest))
        if self.why:
            self.log(self.why)

    def _line(self, line: str) -> None:
        self.log(line)
        if line.strip():
            self.said.append(line)
        if match := _STEP.fullmatch(line):
            self._step(match[1].strip())

    def _step(self, text: str) -> None:
        """Go on to the next instruction with this text; Podman's builder leaves out stages that it does not need."""
        for number, (line, step) in enumerate(self.steps):
            if step.split() == text.split():
                self.line = line
                del self.steps[: number + 1]
                self.said.clear()
                return
