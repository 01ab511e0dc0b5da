"""How the servers, environments and the head of two locks differ, field by field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from hatchlock.lock.images import ImageOutput
from hatchlock.lock.model import Build, Environment, Lock, Server
from hatchlock.lock.toml import hyphened

__all__ = ["FieldChange", "build_changes", "environment_changes", "plain_text", "project_changes", "server_changes"]

_LISTED = ("packages", "platform_packages", "tree", "outputs")


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldChange:
    """What changed of a server, an environment or the project; see `difference.Entry`."""

    sign: str
    what: str
    field: str = ""
    before: str = ""
    after: str = ""
    note: str = ""


def plain_text(value: Any) -> str:
    """Return a value of the lock as people read it: texts as they are, lists and tables as JSON, nothing for what is empty."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if value in ((), {}) or value is None:
        return ""
    return json.dumps(_plain(value), ensure_ascii=False)


def server_changes(before: Lock, after: Lock) -> Iterator[FieldChange]:
    """Yield servers that came and went, and each field of the others that changed; a sandbox's by themselves."""
    old = {server.name: server for server in before.servers}
    new = {server.name: server for server in after.servers}
    for name in old.keys() | new.keys():
        what, left, arrived = f"server:{name}", old.get(name), new.get(name)
        if left is None or arrived is None:
            yield _came_or_went(what, _described(left), _described(arrived))
            continue
        yield from _fields(what, left, arrived, without=("name", "sandbox"))
        yield from _fields(what, left.sandbox, arrived.sandbox, prefix="sandbox.")


def build_changes(before: Lock, after: Lock) -> Iterator[FieldChange]:
    """Yield Dockerfiles that came and went, and each field of the others that changed; of the context its hash."""
    old, new = ({build.server: build for build in lock.builds} for lock in (before, after))
    for name in old.keys() | new.keys():
        what, left, arrived = f"server:{name}", old.get(name), new.get(name)
        if left is None or arrived is None:
            known = (f"built from {item.context}" if item else "" for item in (left, arrived))
            yield _came_or_went(what, *known)
            continue
        yield from _fields(what, left, arrived, without=("server", "files"), prefix="build.")
        contents = (_content(left), _content(arrived))
        if contents[0] != contents[1]:
            yield FieldChange(sign="~", what=what, field="build.content", before=contents[0], after=contents[1])


def _content(build: Build) -> str:
    return ", ".join(f"sha256:{file.sha256}" for file in build.files)


def environment_changes(before: Lock, after: Lock) -> Iterator[FieldChange]:
    """Yield environments that came and went, and each field of the others that changed; of packages how many."""
    old = {(item.name, item.runtime): item for item in before.environments}
    new = {(item.name, item.runtime): item for item in after.environments}
    for key in old.keys() | new.keys():
        name, runtime = key
        twice = sum(name == other for other, _ in old.keys() | new.keys()) > 1
        what, left, arrived = f"env:{name}" + (f" ({runtime})" if twice else ""), old.get(key), new.get(key)
        if left is None or arrived is None:
            yield _came_or_went(what, _sized(left), _sized(arrived))
            continue
        yield from _fields(what, left, arrived, without=("name", "runtime", *_LISTED))
        yield from _package_changes(what, left, arrived)
        yield from _output_changes(what, left, arrived)


def project_changes(before: Lock, after: Lock) -> Iterator[FieldChange]:
    """Yield what changed of the lock's head."""
    pairs = {
        "project": (before.project, after.project),
        "platforms": (", ".join(before.platforms), ", ".join(after.platforms)),
        "exclude-newer": (before.exclude_newer, after.exclude_newer),
    }
    for what, (left, arrived) in pairs.items():
        if left != arrived:
            yield _came_or_went(what, left, arrived)


def _came_or_went(what: str, before: str, after: str) -> FieldChange:
    sign = "~" if before and after else "+" if after else "-"
    return FieldChange(sign=sign, what=what, before=before, after=after)


def _described(server: Server | None) -> str:
    if server is None:
        return ""
    return f"{server.source or ' '.join(server.command) or 'nothing'} ({server.runtime})"


def _sized(environment: Environment | None) -> str:
    if environment is None:
        return ""
    number = len(environment.everywhere)
    return f"{environment.runtime}, {number} package{'' if number == 1 else 's'}"


def _fields(what: str, old: Any, new: Any, *, without: Iterable[str] = (), prefix: str = "") -> Iterator[FieldChange]:
    for item in fields(old):
        before, after = getattr(old, item.name), getattr(new, item.name)
        if item.name not in without and before != after:
            name = prefix + hyphened(item.name)
            yield FieldChange(sign="~", what=what, field=name, before=plain_text(before), after=plain_text(after))


def _package_changes(what: str, old: Environment, new: Environment) -> Iterator[FieldChange]:
    """Only how many: which ones is said once for all environments."""
    for field, before, after in (("packages", _listed(old), _listed(new)), ("tree", old.tree, new.tree)):
        if before == after:
            continue
        counts = {
            "changed": sum(before[name] != after[name] for name in before.keys() & after.keys()),
            "added": len(after.keys() - before.keys()),
            "removed": len(before.keys() - after.keys()),
        }
        note = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        yield FieldChange(sign="~", what=what, field=field, before=str(len(before)), after=str(len(after)), note=note)


def _output_changes(what: str, old: Environment, new: Environment) -> Iterator[FieldChange]:
    """Another image of the same input is what cannot be: somebody edited one of the locks, or assembles otherwise."""
    for platform in sorted(old.outputs.keys() | new.outputs.keys()):
        before, after = old.outputs.get(platform), new.outputs.get(platform)
        if before == after:
            continue
        same = before is not None and after is not None and old.keys.get(platform) == new.keys.get(platform)
        yield FieldChange(
            sign="!" if same else "~" if before and after else "+" if after else "-",
            what=what,
            field=f"image {platform}",
            before=_shown(before),
            after=_shown(after),
            note="another image of the same input" if same else "",
        )


def _shown(output: ImageOutput | None) -> str:
    return " ".join((output.config, *output.layers)) if output else ""


def _listed(environment: Environment) -> Mapping[str, tuple[str, ...]]:
    """What is installed where -> in which versions."""
    found: dict[str, tuple[str, ...]] = {}
    for platform, ids in {"": environment.packages, **environment.platform_packages}.items():
        for text in ids:
            name, _, version = text.rpartition("@")
            place = f"{name} {platform}"
            found[place] = (*found.get(place, ()), version)
    return found


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {hyphened(item.name): _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
