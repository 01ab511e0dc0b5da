"""The Dockerfile that an engine gets: the user's, with each image named by what this engine calls it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hatchlock.sources.dockerfile.lines import Instruction
from hatchlock.sources.dockerfile.read import Dockerfile

__all__ = ["for_engine"]


def for_engine(dockerfile: Dockerfile, names: Mapping[str, str]) -> str:
    """Return the text that an engine builds from.

    Each instruction stands on one line, its own first one, so that the engine reads exactly those that were read here and
    its messages name the user's lines. Comments are left out, and `--platform`, which can only be the engine's own.

    Args:
        dockerfile: One without problems.
        names: Image, as in `dockerfile.images` -> its name in the engine.
    """
    lines = [f"# escape={dockerfile.escape}"] if dockerfile.escape != "\\" else []
    stages = {stage.line: stage for stage in dockerfile.stages}
    for item in dockerfile.instructions:
        # a directive is on the first line already, where no instruction can begin
        lines += [""] * (item.line - 1 - len(lines))
        if stage := stages.get(item.line):
            lines += [f"FROM {names.get(stage.image, stage.text)}" + (f" AS {stage.name}" if stage.name else "")]
        else:
            lines += _instruction(item, dockerfile.used.get(item.line, {}), names)
    return "\n".join(lines) + "\n"


def _instruction(item: Instruction, used: Mapping[str, str], names: Mapping[str, str]) -> Iterator[str]:
    flags = (_flag(flag, used, names) for flag in item.flags)
    yield " ".join(part for part in (item.name, *flags, item.rest) if part)
    yield from item.documents


def _flag(flag: str, used: Mapping[str, str], names: Mapping[str, str]) -> str:
    name, _, value = flag.partition("=")
    if name == "--from" and value in used:
        return f"{name}={names[used[value]]}"
    if name == "--mount":
        parts = value.split(",")
        return f"{name}={','.join(_option(part, used, names) for part in parts)}"
    return flag


def _option(part: str, used: Mapping[str, str], names: Mapping[str, str]) -> str:
    key, _, value = part.partition("=")
    return f"{key}={names[used[value]]}" if key == "from" and value in used else part
