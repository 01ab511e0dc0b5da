"""The lock's file: read with checks, written by one function."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from hatchlock.files import atomic_write, clear_unfinished, read_optional
from hatchlock.launch import SANDBOX_RULES, Mount, SecretReference
from hatchlock.lock.conflict import conflict_sides
from hatchlock.lock.images import Image, ImageOutput, Layer
from hatchlock.lock.model import ASSEMBLER, LOCK_MINOR, LOCK_VERSION, Environment, File, Lock, Package, Server
from hatchlock.lock.newer import known_part, minor_of
from hatchlock.lock.problems import BadLock, BadPin, MissingLock, NewerLock
from hatchlock.lock.reading import read_document
from hatchlock.lock.surfaces import Definition, Surface, surface_problem
from hatchlock.lock.toml import hyphened, literal, quoted, table
from hatchlock.paths import LOCK_NAME
from hatchlock.place import Place

__all__ = [
    "BadLock",
    "MissingLock",
    "NewerLock",
    "dumps",
    "loads",
    "loads_sides",
    "read_lock",
    "write_text",
]

_QUOTED = re.compile(r"'([^']+)'")
_POSITION = re.compile(r" \(at line (\d+), column \d+\)$")
_HEADER = "# Written by `hatchlock lock`: edit hatchlock.toml instead, and keep this file in version control.\n"
_STDIO = Server(name="", source="", runtime="process").transport


def dumps(lock: Lock) -> str:
    """Return the lock as TOML: equal locks give equal text, one block per package."""
    blocks = [
        table(
            "",
            {
                "version": LOCK_VERSION,
                "minor": minor_of(lock),
                "assembler": ASSEMBLER,
                "sandbox": SANDBOX_RULES,
                "project": lock.project,
                "platforms": lock.platforms,
                "exclude-newer": lock.exclude_newer,
            },
        )
    ]
    blocks += [table("[[server]]", _server(server)) for server in lock.servers]
    blocks += [block for environment in lock.environments for block in _environment(environment)]
    blocks += [block for image in lock.images for block in _image(image)]
    blocks += [block for surface in lock.surfaces for block in _surface(surface)]
    blocks += [table("[[build]]", _values(build)) for build in lock.builds]
    blocks += [table("[[archive]]", _values(archive)) for archive in lock.archives]
    blocks += [table("[[package]]", _package(package)) for package in lock.packages]
    return _HEADER + "\n" + "\n".join(blocks)


def _unheard(_: str) -> None:
    pass


def loads(data: bytes, *, file: str = LOCK_NAME, warn: Callable[[str], object] = _unheard) -> Lock:
    """Read a lock.

    Args:
        data: The file's bytes.
        file: Its name, for messages.
        warn: Told, in a sentence, when the lock is of a newer minor version, of which something may not be understood.

    Raises:
        BadLock: It is not TOML, or not a lock, or has conflict markers.
        BadPin: What is pinned of a server is not what its hash says.
        NewerLock: Its format or a rule in it is newer than this hatchlock.
    """
    lock = _load(data, file=file, warn=warn)
    for surface in lock.surfaces:
        if why := surface_problem(surface):
            raise BadPin(place=Place(file=file), why=why, server=surface.server)
    return lock


def _load(data: bytes, *, file: str, warn: Callable[[str], object]) -> Lock:
    try:
        document = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        if conflict_sides(data, file=file):
            advice = "run `hatchlock lock`: it takes both sides as preferred pins"
            raise BadLock(place=Place(file=file), why="it has git conflict markers", advice=advice) from error
        if isinstance(error, UnicodeDecodeError):
            line = data.count(b"\n", 0, error.start) + 1
            raise BadLock(place=Place(file=file, line=line), why="it is not UTF-8") from error
        position, why = _POSITION.search(str(error)), _POSITION.sub("", str(error))
        raise BadLock(place=Place(file=file, line=int(position[1]) if position else 0), why=why) from error
    _check_versions(document, file)
    minor = _minor(document, file)
    if minor > LOCK_MINOR:
        document = known_part(document)
        warn(f"{file} was written by a newer hatchlock; what this one does not know of it is dropped when it writes")
    try:
        return read_document(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if minor > LOCK_MINOR:
            raise NewerLock(place=Place(file=file), what="minor", found=minor, known=LOCK_MINOR) from error
        raise BadLock(place=Place(file=file), why=_in_words(error)) from error


def _in_words(error: Exception) -> str:
    """What a truncated or edited lock lacks is named as it stands there; what Python says of it helps nobody."""
    if isinstance(error, KeyError):
        return f"one of its tables has no {error.args[0]!r}"
    if isinstance(error, ValueError):
        return str(error)
    if " missing " in str(error) and (names := _QUOTED.findall(str(error))):
        return f"one of its tables has no {', '.join(name.replace('_', '-') for name in names)}"
    if " unexpected keyword argument " in str(error) and (names := _QUOTED.findall(str(error))):
        return f"unknown key {names[0]!r}"
    return "something in it has another form than `hatchlock lock` writes"


def loads_sides(data: bytes, *, file: str = LOCK_NAME, warn: Callable[[str], object] = _unheard) -> tuple[Lock, ...]:
    """Read the locks on both sides of a file with git conflict markers, ours first; without markers the one lock.

    They are fit for preferring their pins and for nothing else: a side is as git left it, with what was merged cleanly
    from the other one in it, so environments may name packages that this side does not have. Those names are left out.

    Args:
        data: The file's bytes.
        file: Its name, for messages.
        warn: Told, in a sentence, of a side that cannot be read, which is left out; otherwise as in `loads`.

    Raises:
        BadLock: There are no markers, and it is no lock; or the markers do not fit together.
        NewerLock: As in `loads`.
    """
    sides = conflict_sides(data, file=file)
    if sides is None:
        return (loads(data, file=file, warn=warn),)
    found = []
    for name, side in zip(("our", "their"), sides, strict=True):
        try:
            lock = _load(side, file=file, warn=warn)
        except BadLock as error:
            warn(f"{name} side of the conflict in {file} is left out: {error.why}")
            continue
        found.append(_without_loose_ends(_without_torn_surfaces(lock, warn)))
    return tuple(found)


def _without_torn_surfaces(lock: Lock, warn: Callable[[str], object]) -> Lock:
    """Of one server both sides may have pinned other tools, which git then mixes."""
    torn = {surface.server: why for surface in lock.surfaces if (why := surface_problem(surface))}
    for server, why in torn.items():
        warn(f"what was pinned of {server} is left out, as a merge has mixed it: {why}")
    return replace(lock, surfaces=tuple(item for item in lock.surfaces if item.server not in torn))


def _without_loose_ends(lock: Lock) -> Lock:
    there = {package.id for package in lock.packages}
    return replace(
        lock,
        environments=tuple(
            replace(
                item,
                packages=tuple(name for name in item.packages if name in there),
                platform_packages={
                    platform: tuple(name for name in names if name in there)
                    for platform, names in item.platform_packages.items()
                },
                tree={path: name for path, name in item.tree.items() if name in there},
                builds={name: built for name, built in item.builds.items() if name in there},
            )
            for item in lock.environments
        ),
    )


def read_lock(path: Path, *, warn: Callable[[str], object] = _unheard) -> Lock:
    """Read the lock at a path.

    Raises:
        MissingLock: There is none.
        BadLock, NewerLock: As `loads`.
    """
    data = read_optional(path)
    if data is None:
        raise MissingLock(path=path.name)
    return loads(data, file=path.name, warn=warn)


def write_text(path: Path, text: str) -> bool:
    """Write what `dumps` gave, whole or not at all, and return whether the bytes changed; equal bytes are left alone.

    Raises:
        PermissionProblem: The directory cannot be written to.
    """
    data = text.encode()
    clear_unfinished(path.parent, path.name)
    if read_optional(path) == data:
        return False
    atomic_write(path, data, mode=0o644)
    return True


def _check_versions(document: Mapping[str, Any], file: str) -> None:
    known = {"version": LOCK_VERSION, "assembler": ASSEMBLER, "sandbox": SANDBOX_RULES}
    for what, limit in known.items():
        found = document.get(what)
        if not isinstance(found, int) or found < 1:
            raise BadLock(place=Place(file=file), why=f"it has no `{what} = {limit}`")
        if found > limit:
            raise NewerLock(place=Place(file=file), what=what, found=found, known=limit)


def _minor(document: Mapping[str, Any], file: str) -> int:
    minor = document.get("minor", 0)
    if not isinstance(minor, int) or isinstance(minor, bool) or minor < 0:
        raise BadLock(place=Place(file=file), why=f"minor is {minor!r}")
    return minor


def _values(value: Any) -> dict[str, Any]:
    """Return a dataclass's fields by their TOML names, nested ones too."""
    return {hyphened(item.name): _plain(getattr(value, item.name)) for item in fields(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, (File, ImageOutput, Layer, SecretReference)):
        return {key: item for key, item in _values(value).items() if item or isinstance(item, bool)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(value[key]) for key in sorted(value)}
    return value


def _server(server: Server) -> dict[str, Any]:
    profile = server.sandbox
    sandbox = {hyphened(name): value for name, value in profile.deviations().items()}
    if "mounts" in sandbox:
        sandbox["mounts"] = [_mount(mount) for mount in profile.mounts]
    if profile.seccomp_sha256:
        sandbox["seccomp-sha256"] = profile.seccomp_sha256
    if profile.reason:
        sandbox["reason"] = profile.reason
    values = _values(server)
    if server.transport == _STDIO:
        del values["transport"]
    return {**values, "sandbox": sandbox}


def _surface(surface: Surface) -> list[str]:
    """Each definition gets a block of its own, so that a changed tool is a small difference."""
    values = _values(surface)
    lists = {name: values.pop(name) for name in ("tools", "prompts")}
    theirs = {name: values.pop(name) for name in ("protocol", "instructions")}
    said = "".join(f"{name} = {quoted(text)}\n" for name, text in theirs.items() if text)
    if varying := values.pop("varying"):
        said += "varying = [\n" + "".join(f"    {quoted(label)},\n" for label in varying) + "]\n"
    return [
        table("[[surface]]", values) + said,
        *(_definition(f"[[surface.{name}]]", item) for name, definitions in lists.items() for item in definitions),
    ]


def _definition(header: str, item: Definition) -> str:
    facts = {"name": quoted(item.name), "sha256": quoted(item.sha256), "text": literal(item.text)}
    return "\n".join([header, *(f"{name} = {text}" for name, text in facts.items())]) + "\n"


def _mount(mount: Mount) -> dict[str, Any]:
    values = _values(mount)
    if not mount.relabel:
        del values["relabel"]
    return values


def _environment(environment: Environment) -> list[str]:
    """Long mappings get a table of their own, a line for each item, so that merges are local."""
    values = _values(environment)
    tables = {name: values.pop(name) for name in ("managed", "platform-packages", "tree", "builds", "outputs")}
    return [
        table("[[environment]]", values),
        *(table(f"[environment.{name}]", content) for name, content in tables.items() if content),
    ]


def _package(package: Package) -> dict[str, Any]:
    return {key: value for key, value in _values(package).items() if value is not False}


def _image(image: Image) -> list[str]:
    head = table("[[image]]", {"reference": image.reference, "digest": image.digest})
    return [
        head,
        *(table(f'[image.platforms."{name}"]', _values(image.platforms[name])) for name in sorted(image.platforms)),
    ]
