"""Why a server or environment of the lock cannot be placed on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError

__all__ = [
    "CommandUnclear",
    "EngineElsewhere",
    "EngineUnfit",
    "FileNotLocked",
    "ImageNameTaken",
    "KeyNotLocked",
    "PlatformNotLocked",
    "ProgramMissing",
    "ProgramNotOffered",
    "RuntimeNotLocked",
    "TransportNotServed",
]


@dataclass(kw_only=True, eq=False)
class CommandUnclear(HatchlockError):
    """A server's package has no script that is the obvious one."""

    code: ClassVar[str] = "command-unclear"

    source: str
    choices: tuple[str, ...]

    def __str__(self) -> str:
        if not self.choices:
            return f"{self.source} has no script to start"
        return f"{self.source} has several scripts: {', '.join(self.choices)}"

    def _hint(self) -> str:
        if not self.choices:
            return "name what starts it: command = […]"
        return f'choose one: command = "{self.choices[0]}"'


@dataclass(kw_only=True, eq=False)
class PlatformNotLocked(HatchlockError):
    """The lock is not for this machine's platform."""

    code: ClassVar[str] = "platform-not-locked"

    platform: str
    locked: tuple[str, ...]

    def __str__(self) -> str:
        return f"the lock is for {', '.join(self.locked)}, and this machine is {self.platform}"

    def _hint(self) -> str:
        return f'add "{self.platform}" to [project] platforms, then run `hatchlock lock`'


@dataclass(kw_only=True, eq=False)
class RuntimeNotLocked(HatchlockError):
    """The overlay runs a server elsewhere than the lock was made for."""

    code: ClassVar[str] = "runtime-not-locked"

    runtime: str

    def __str__(self) -> str:
        return f"the lock has no {self.runtime} environment for it"

    def _hint(self) -> str:
        return "set its runtime in hatchlock.toml, then run `hatchlock lock`"


@dataclass(kw_only=True, eq=False)
class FileNotLocked(HatchlockError):
    """The lock has files of a package, and none of them runs here: the manifest's bounds moved since it was locked."""

    code: ClassVar[str] = "file-not-locked"

    package: str
    platform: str

    def __str__(self) -> str:
        return f"the lock has no file of {self.package} that runs on {self.platform} under this manifest"

    def _hint(self) -> str:
        return "run `hatchlock lock`, or set min-glibc or min-macos as they were"


@dataclass(kw_only=True, eq=False)
class ProgramNotOffered(HatchlockError):
    """A source of several addresses has none for this machine's platform."""

    code: ClassVar[str] = "program-not-offered"

    package: str
    platform: str
    offered: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.package} is for {', '.join(self.offered)}, and this machine is {self.platform}"

    def _hint(self) -> str:
        return f'add "{self.platform}" to the table of its source, then run `hatchlock lock`'


@dataclass(kw_only=True, eq=False)
class KeyNotLocked(HatchlockError):
    """The input key that the lock has for an image is not that of the image's files: somebody edited or merged it."""

    code: ClassVar[str] = "key-not-locked"

    platform: str

    def __str__(self) -> str:
        return f"the lock's input key of its image for {self.platform} is not that of the files in it"

    def _hint(self) -> str:
        return "run `hatchlock lock`"


@dataclass(kw_only=True, eq=False)
class ImageNameTaken(HatchlockError):
    """An environment that no server uses gets an image of its own, and a server of that name has one."""

    code: ClassVar[str] = "image-name-taken"

    name: str

    def __str__(self) -> str:
        return f"no server uses [environments.{self.name}], and its image would be called like that of [servers.{self.name}]"

    def _hint(self) -> str:
        return f'rename the environment, or let the server use it: environment = "{self.name}"'


@dataclass(kw_only=True, eq=False)
class ProgramMissing(HatchlockError):
    """A server is a program of this machine, and the machine does not have it."""

    code: ClassVar[str] = "program-missing"

    program: str

    def __str__(self) -> str:
        return f"there is no program {self.program!r} on PATH"

    def _hint(self) -> str:
        return "install it, or give the server a source"


@dataclass(kw_only=True, eq=False)
class TransportNotServed(HatchlockError):
    """A server does not speak over its standard input and output."""

    code: ClassVar[str] = "transport-not-served"

    transport: str

    def __str__(self) -> str:
        return f"it is locked, and this version does not yet serve {self.transport}"

    def _hint(self) -> str:
        return "choose a server that speaks stdio"


@dataclass(kw_only=True, eq=False)
class EngineElsewhere(HatchlockError):
    """A server needs something of this machine, and its engine is another one."""

    code: ClassVar[str] = "engine-elsewhere"

    engine: str
    needs: tuple[str, ...]
    where: str = "another machine"

    def __str__(self) -> str:
        return f"the container engine at {self.engine} is {self.where}, and cannot have {' and '.join(self.needs)}"

    def _hint(self) -> str:
        return 'take that out of the server\'s sandbox, use an engine of this machine, or runtime = "process"'


@dataclass(kw_only=True, eq=False)
class EngineUnfit(HatchlockError):
    """An engine on which no server can run."""

    code: ClassVar[str] = "engine-unfit"

    engine: str
    why: str
    advice: str

    def __str__(self) -> str:
        return f"the container engine at {self.engine} cannot serve it: {self.why}"

    def _hint(self) -> str:
        return self.advice
