"""A Dockerfile as a value: its stages, the images that it is built from, what it starts. Pure; nothing is run.

Only what can be known beforehand is taken: each image is named by a digest, nothing comes from the network, and no secret
is asked for. See Docker's reference of the Dockerfile for what each instruction means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hatchlock.address import BadSource, ImageReference
from hatchlock.errors import HatchlockError
from hatchlock.manifest.problem import did_you_mean
from hatchlock.place import Place
from hatchlock.sources.dockerfile.lines import Instruction, Lines, Wrong, read_lines, split_words
from hatchlock.sources.dockerfile.problems import BadDockerfile, NotPinned
from hatchlock.sources.dockerfile.variables import CannotReplace, replaced

__all__ = ["Dockerfile", "Stage", "Start", "read_dockerfile"]

_SCRATCH = "scratch"
_FLAGS: Mapping[str, frozenset[str]] = {
    "FROM": frozenset({"--platform"}),
    "COPY": frozenset({"--from", "--chown", "--chmod", "--link", "--parents", "--exclude"}),
    "ADD": frozenset({"--chown", "--chmod", "--link", "--exclude"}),
    "RUN": frozenset({"--mount", "--network"}),
    "HEALTHCHECK": frozenset({"--interval", "--timeout", "--start-period", "--start-interval", "--retries"}),
}
_PLAIN = frozenset(
    {
        *("ARG", "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "LABEL", "MAINTAINER", "SHELL", "STOPSIGNAL", "USER"),
        *("VOLUME", "WORKDIR"),
    }
)
_INSTRUCTIONS = (*_FLAGS, *_PLAIN)
_HERE = frozenset({"$TARGETPLATFORM", "${TARGETPLATFORM}", "$BUILDPLATFORM", "${BUILDPLATFORM}"})
_NAME = re.compile(r"[a-z][a-z0-9._-]*")
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@", re.IGNORECASE)
_MOUNTS = ("bind", "tmpfs")
_SECRET_MOUNTS = ("secret", "ssh")


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """An ENTRYPOINT or a CMD.

    Attributes:
        line: Where it stands.
        words: Its list.
        is_shell: It is text for a shell instead of a list.
    """

    line: int
    words: tuple[str, ...] = ()
    is_shell: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """What follows a FROM.

    Attributes:
        line: That FROM's.
        name: In small letters; "" if it has none.
        text: What it is built from, variables replaced.
        image: The same if it is an image; "" for an earlier stage or from scratch.
        parent: The number of the stage that it is built from; -1 if it is built from none.
        starts: Its ENTRYPOINTs (True) and CMDs (False), in order.
    """

    line: int
    name: str = ""
    text: str = ""
    image: str = ""
    parent: int = -1
    starts: tuple[tuple[bool, Start], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Dockerfile:
    """A Dockerfile, read.

    Attributes:
        escape: What continues a line.
        instructions: In order.
        stages: In order.
        target: The number of the stage whose image is wanted.
        images: Every image that it names, each once, in order.
        used: Line of an instruction -> the images that it names, as they are written there -> as in `images`.
        mounts: The lines of RUNs with a mount.
        documents: The lines of instructions with here-documents.
        problems: What is wrong, in the order of lines.
    """

    escape: str
    instructions: tuple[Instruction, ...]
    stages: tuple[Stage, ...] = ()
    target: int = -1
    images: tuple[str, ...] = ()
    used: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    mounts: tuple[int, ...] = ()
    documents: tuple[int, ...] = ()
    problems: tuple[HatchlockError, ...] = ()

    def starts(self) -> tuple[str, Start | None, Start | None]:
        """Return what the image starts: the image whose own count where it says none, its ENTRYPOINT, and its CMD.

        An ENTRYPOINT does away with a CMD that its stage did not say itself.
        """
        chain = [self.stages[self.target]]
        while chain[0].parent >= 0:
            chain.insert(0, self.stages[chain[0].parent])
        entrypoint: Start | None = None
        command: Start | None = None
        for stage in chain:
            is_own = False
            for is_entrypoint, start in stage.starts:
                if not is_entrypoint:
                    command, is_own = start, True
                    continue
                entrypoint = start
                command = command if is_own else Start(line=start.line)
        return chain[0].image, entrypoint, command


def read_dockerfile(text: str, *, file: str, args: Mapping[str, str], target: str = "") -> Dockerfile:
    """Read a Dockerfile.

    Args:
        text: Its content.
        file: Its name, for messages.
        args: Values for its ARGs; each is one that it declares.
        target: The stage that is wanted, by name or number; "" for the last one.

    Returns:
        What it says; with `problems` nothing else of it counts.
    """
    lines = read_lines(text)
    reader = _Reader(lines=lines, args=args)
    reader.read()
    reader.choose(target)
    problems = [
        *(_problem(item, file) for item in (*lines.wrong, *reader.wrong)),
        *(_not_pinned(item, file) for item in reader.loose),
    ]
    return Dockerfile(
        escape=lines.escape,
        instructions=tuple(lines.instructions),
        stages=tuple(reader.stages),
        target=reader.target,
        images=tuple(dict.fromkeys(image for found in reader.used.values() for image in found.values())),
        used=reader.used,
        mounts=tuple(item.line for item in lines.instructions if any(item.flag("mount"))),
        documents=tuple(item.line for item in lines.instructions if item.documents),
        problems=tuple(sorted(problems, key=lambda error: error.place or Place(file=file))),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Loose:
    line: int
    how: str
    image: str


def _problem(wrong: Wrong, file: str) -> BadDockerfile:
    return BadDockerfile(place=Place(file=file, line=wrong.line), what=wrong.what, advice=wrong.advice)


def _not_pinned(loose: _Loose, file: str) -> NotPinned:
    return NotPinned(place=Place(file=file, line=loose.line), how=loose.how, image=loose.image)


@dataclass(kw_only=True, slots=True)
class _Reader:
    """What is known on the way down the lines."""

    lines: Lines
    args: Mapping[str, str]
    stages: list[Stage] = field(default_factory=list)
    target: int = -1
    variables: dict[str, str] = field(default_factory=dict)
    declared: set[str] = field(default_factory=set)
    used: dict[int, dict[str, str]] = field(default_factory=dict)
    wrong: list[Wrong] = field(default_factory=list)
    loose: list[_Loose] = field(default_factory=list)

    def read(self) -> None:
        if syntax := self.lines.directives.get("syntax"):
            what = f"the frontend {syntax[0]} would be an image that reads this file"
            self._say(syntax[1], what, "remove the line `# syntax=…`: the engine's own builder reads it")
        for item in self.lines.instructions:
            self._check_flags(item)
            if self.stages or item.name in {"FROM", "ARG"}:
                self._instruction(item)
            else:
                self._say(item.line, f"{item.name} stands before the first FROM")
        if not self.stages:
            self._say(0, "it has no FROM", "write FROM IMAGE@sha256:…")
        for name in sorted(set(self.args) - self.declared):
            advice = did_you_mean(name, self.declared, f"write ARG {name} where it is used")
            self._say(0, f"args has {name}, which it declares nowhere", advice)

    def _instruction(self, item: Instruction) -> None:
        match item.name:
            case "FROM":
                self._from(item)
            case "ARG":
                self._arg(item)
            case "COPY":
                for source in item.flag("from"):
                    self._other(item, "COPY --from", source)
            case "ADD":
                self._add(item)
            case "RUN":
                self._run(item)
            case "ENTRYPOINT" | "CMD":
                own = (item.name == "ENTRYPOINT", _start(item))
                self.stages[-1] = replace(self.stages[-1], starts=(*self.stages[-1].starts, own))
            case "ONBUILD":
                advice = "remove it: it is for images that others are built from"
                self._say(item.line, "ONBUILD says nothing of a server's image", advice)
            case name if name not in _INSTRUCTIONS:
                advice = did_you_mean(name, _INSTRUCTIONS)
                self._say(item.line, f"there is no instruction {name}", advice)

    def choose(self, target: str) -> None:
        """Settle which stage is wanted."""
        names = [stage.name for stage in self.stages]
        if not target:
            self.target = len(self.stages) - 1
        elif target.lower() in names:
            self.target = len(names) - 1 - names[::-1].index(target.lower())
        elif target.isdecimal() and int(target) < len(names):
            self.target = int(target)
        else:
            advice = did_you_mean(target, filter(None, names), "name one: FROM … AS NAME")
            self._say(0, f"it has no stage {target}", advice)

    def _say(self, line: int, what: str, advice: str = "") -> None:
        self.wrong.append(Wrong(line=line, what=what, advice=advice))

    def _check_flags(self, item: Instruction) -> None:
        known = _FLAGS.get(item.name, frozenset())
        for flag in item.flags:
            name = flag.partition("=")[0]
            if name not in known and item.name in _INSTRUCTIONS:
                self._say(item.line, f"{item.name} {name} is not supported", did_you_mean(name, known))

    def _from(self, item: Instruction) -> None:
        for platform in item.flag("platform"):
            if platform not in _HERE:
                what = f"--platform={platform} would take another platform's image"
                self._say(item.line, what, "remove it: each platform is built from its own")
        words = item.rest.split()
        has_name = len(words) == 3 and words[1].upper() == "AS"  # noqa: PLR2004  IMAGE AS NAME
        if not words or (len(words) > 1 and not has_name):
            self._say(
                item.line,
                f"FROM {item.rest} cannot be read",
                "write FROM IMAGE@sha256:… or FROM IMAGE@sha256:… AS NAME",
            )
        name = words[2].lower() if has_name else ""
        if name and not _NAME.fullmatch(name):
            self._say(item.line, f"{words[2]} is no name of a stage")
        image, parent = "", -1
        written = words[0] if words else ""
        text = self._replaced(item, written)
        names = [stage.name for stage in self.stages]
        if text and text.lower() in names:
            parent = len(names) - 1 - names[::-1].index(text.lower())
        elif text and text != _SCRATCH:
            image = text
            self._use(item, "FROM", written, image)
        self.stages.append(Stage(line=item.line, name=name, text=text, image=image, parent=parent))

    def _replaced(self, item: Instruction, text: str) -> str:
        try:
            return replaced(text, self.variables, escape=self.lines.escape)
        except CannotReplace as error:
            self._say(item.line, str(error), "declare it before the first FROM: ARG NAME=value")
            return ""

    def _use(self, item: Instruction, how: str, written: str, image: str) -> None:
        try:
            reference = ImageReference.parse(image)
        except BadSource:
            self._say(item.line, f"{image} is no name of an image")
            return
        if reference.mutable:
            self.loose.append(_Loose(line=item.line, how=how, image=image))
            return
        self.used.setdefault(item.line, {})[written] = image

    def _arg(self, item: Instruction) -> None:
        for word in split_words(item.rest):
            name, has_default, default = word.partition("=")
            self.declared.add(name)
            if self.stages:  # only what stands before the first FROM counts in FROM
                continue
            if name in self.args:
                self.variables[name] = self.args[name]
            elif has_default:
                self.variables[name] = self._replaced(item, default)

    def _other(self, item: Instruction, how: str, source: str) -> None:
        """What is neither an earlier stage nor its number is an image."""
        if "$" in source:
            self._say(item.line, f"{how}={source}: not every builder replaces variables there", "write it out")
        elif source.isdecimal():
            if int(source) >= len(self.stages) - 1:
                self._say(item.line, f"{how}={source}: there is no earlier stage of that number")
        elif source.lower() not in {stage.name for stage in self.stages[:-1]} - {""}:
            self._use(item, how, source, source)

    def _add(self, item: Instruction) -> None:
        for word in _sources(item.rest):
            plain = re.sub(r"[\"'`\\]", "", word)
            if _REMOTE.match(plain):
                advice = (
                    "let an environment or another server have it as url:…#sha256=…, or put the file into the context"
                )
                self._say(item.line, f"ADD {plain} would fetch while it builds, and a build has no network", advice)
            elif "$" in plain:
                self._say(item.line, f"ADD {plain}: it could become an address", "write COPY instead, or write it out")

    def _run(self, item: Instruction) -> None:
        for network in item.flag("network"):
            if network != "none":
                self._say(item.line, f"RUN --network={network}: a build has no network", "remove it")
        for mount in item.flag("mount"):
            parts = [part.partition("=") for part in mount.split(",")]
            # some builders read `From` as `from`, and of two take the first, or the last
            options = {key.lower(): value for key, _, value in parts}
            kind = options.get("type", "bind")
            if [key for key, _, _ in parts] != list(options):
                what = f"RUN --mount={mount}: builders read it in different ways"
                self._say(item.line, what, "write each option once, in small letters")
            elif kind in _SECRET_MOUNTS:
                advice = "do outside what needs it, and put the result into the context"
                self._say(item.line, f"RUN --mount=type={kind}: no secret reaches a build", advice)
            elif kind == "cache":
                what = f"RUN --mount=type={kind}: what builds of other projects left there would go in"
                self._say(item.line, what, "use type=tmpfs, which is empty")
            elif kind not in _MOUNTS:
                self._say(item.line, f"RUN --mount=type={kind} is not supported", did_you_mean(kind, _MOUNTS))
            elif "from" in options:
                self._other(item, "RUN --mount from", options["from"])


def _start(item: Instruction) -> Start:
    try:
        words = json.loads(item.rest)
    except ValueError:
        return Start(line=item.line, is_shell=True)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return Start(line=item.line, is_shell=True)
    return Start(line=item.line, words=tuple(words))


def _sources(rest: str) -> Iterator[str]:
    """Yield what an ADD adds: all but the last word."""
    words: Sequence[str] = split_words(rest)
    if rest.startswith("["):
        try:
            words = [word for word in json.loads(rest) if isinstance(word, str)]
        except ValueError:
            words = split_words(rest)
    yield from words[:-1]
