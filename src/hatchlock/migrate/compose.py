"""Compose files (https://github.com/compose-spec/compose-spec): the services that are MCP servers.

A file may have databases and web servers besides. A service is taken for an MCP server if it says so (`mcp` in its name, image,
command or variables), if its stdin is kept open, or if there is no other one; the rest is listed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hatchlock.address import Kind
from hatchlock.clients.shape import Start
from hatchlock.errors import HatchlockError
from hatchlock.manifest.suspicion import secret_arguments
from hatchlock.manifest.takeover import server_from_source
from hatchlock.migrate import yaml_lines
from hatchlock.migrate.compose_endpoint import endpoint_of
from hatchlock.migrate.compose_sandbox import SANDBOX_KEYS, sandbox_of
from hatchlock.migrate.compose_texts import Surroundings, Texts, Variables, is_secret_name, pairs, variables
from hatchlock.migrate.document import Part
from hatchlock.migrate.finish import finished
from hatchlock.migrate.interpolation import filled
from hatchlock.migrate.model import Format, Left, Proposed, Reading
from hatchlock.migrate.names import server_name
from hatchlock.migrate.reach import hosts_in
from hatchlock.migrate.translate import translated

__all__ = ["COMPOSE"]

_NAME = re.compile(r"(?:docker-|podman-)?compose(?:\.[\w.-]+)?\.ya?ml")
_DEFAULT = re.compile(r"(?P<name>(?:docker-)?compose)\.ya?ml")
_ADDRESS = re.compile(r"(?:git@|[a-z][a-z+]*://|github\.com/)")
_RUNNERS = frozenset({"npx", "bunx", "pnpx", "uvx", "uv", "pipx", "npm", "pnpm", "yarn"})
_REASON = "its addresses were taken over from a compose file"
_OWN = "each server has its own; a host is reached by its name, in sandbox.network"
_READ = {
    *("image", "build", "command", "entrypoint", "environment", "env_file", "working_dir", "ports", "expose"),
    *("network_mode", "secrets", "depends_on", "profiles", "extends"),
}
_NEEDS_NOTHING = {
    *("container_name", "hostname", "init", "labels", "stdin_open", "tty", "read_only", "cap_drop", "pull_policy"),
    *("attach", "annotations", "label_file"),
}
"""What a server has anyway, or what only compose itself has to know."""
_LOST: Mapping[str, str] = {
    "restart": "hatchlock starts a server again by itself",
    "healthcheck": "a server is healthy if it answers over MCP; `probe` says how it is asked",
    "logging": "hatchlock keeps what it writes to stderr, up to sandbox.log-size",
    "networks": _OWN,
    "links": _OWN,
    "external_links": _OWN,
    "extra_hosts": _OWN,
    "dns": _OWN,
    "dns_search": _OWN,
    "platform": "the lock has each platform of the manifest",
    "configs": "write what the server is to see into sandbox.mounts",
    "volumes_from": "no two servers share their data",
    "devices": "no server reaches devices of this machine",
    "gpus": "no server reaches devices of this machine",
    "develop": "`run --dev` serves a directory as it is at this moment",
    "scale": "a server runs once, on this machine",
    "mem_reservation": "hatchlock has limits, and reserves nothing",
    "memswap_limit": "swap is 0 unless sandbox.swap says otherwise",
}
_SSE = "a server on this machine is spoken to over streamable HTTP; tell it that instead of SSE"
_ELSEWHERE = "import what `docker compose config` prints, which has everything in one file"
_LOST_OF_BUILD = "a build here has neither network nor secrets, and nothing of other builds"


def _is_compose(path: Path, data: bytes) -> bool:
    is_named = _NAME.fullmatch(path.name) is not None
    if not is_named and (path.suffix not in {".yaml", ".yml", ""} or b"services:" not in data):
        return False
    try:
        services = yaml_lines.load(data, file=path.name).root.get("services")
    except HatchlockError:
        return is_named
    tables = list(services.value.values()) if services and isinstance(services.value, Mapping) else []
    return is_named or any(isinstance(table, Mapping) and ({"image", "build"} & table.keys()) for table in tables)


def _read(path: Path, data: bytes) -> Reading:
    root = yaml_lines.load(data, file=str(path)).root
    services = [part for part in root.need("services").members() if part.table() is not None]
    around, left = Surroundings.of(path)
    found = list(left)
    if include := root.get("include"):
        found.append(include.left(_ELSEWHERE))
    found += [Left(line=0, what=f"`{name}`: compose reads it as well; {_ELSEWHERE}") for name in _overrides(path)]
    servers: list[Proposed] = []
    for part in services:
        one = _Service(part, root, around).proposed(is_only=len(services) == 1)
        kept = one if isinstance(one, Left) else finished(one)
        if isinstance(kept, Left):
            found.append(kept)
        else:
            servers.append(kept)
    return Reading(file=str(path), title=COMPOSE.title, servers=tuple(servers), left=tuple(found))


def _overrides(path: Path) -> list[str]:
    """Return the names of the files beside that compose reads over this one, without being told."""
    match = _DEFAULT.fullmatch(path.name)
    names = [f"{match['name']}.override.{ending}" for ending in ("yaml", "yml")] if match else []
    return [name for name in names if (path.parent / name).is_file()]


class _Service:
    """One service: what becomes of its keys, and what is said of them on the way."""

    def __init__(self, part: Part, root: Part, around: Surroundings) -> None:
        self.part = part
        self.root = root
        self.around = around
        self.texts = Texts(around)
        self.left: list[Left] = []
        self.notes: list[str] = []

    def proposed(self, *, is_only: bool) -> Proposed | Left:
        part = self.part
        if not is_only and not _is_server(part):
            return part.left("nothing says that it is an MCP server; if it is one, `hatchlock add` it by its image")
        origin = self._origin()
        if isinstance(origin, Left):
            return replace(origin, what=f"`{part.key}`: {origin.what}") if origin.line != part.line else origin
        started, refused = self._started()
        if refused:
            return refused
        if published := self._published(started):
            origin, started = published, {}
        known = variables(part, self.around)
        sandbox, lost = sandbox_of(part, self.texts, project=self._project())
        endpoint, unused = endpoint_of(part, self.texts, {str(value) for value in known.fields.values()})
        fields = {
            **origin,
            **started,
            **endpoint,
            "env": self._with_secret_files(known.fields),
            "groups": [server_name(name) for name in profiles.texts()] if (profiles := part.get("profiles")) else [],
            "sandbox": self._with_network(sandbox, [*started.get("args", ()), *_texts_of(known)]),
        }
        if known.defaults:
            self.notes.append(f"as if {', '.join(known.defaults)} were not set where compose is started")
        self._told_to_speak_sse([*started.get("args", ()), *started.get("command", ())], known)
        self._others()
        return Proposed(
            name=server_name(part.key),
            found_as=part.key,
            line=part.line,
            fields={key: value for key, value in fields.items() if value},
            secrets=known.secrets,
            left=_by_line([*self.left, *self.texts.left, *known.left, *lost, *unused]),
            notes=tuple(self.notes),
        )

    def _origin(self) -> dict[str, Any] | Left:
        build, image = self.part.get("build"), self.part.get("image")
        if build:
            if image:
                self.notes.append(
                    f'it is built; source = "{Kind.OCI}:{image.text()}" instead takes what was built elsewhere'
                )
            return self._build(build)
        if image is None:
            return self.part.left("it has neither an image nor a build")
        text = self.texts.of(image)
        if self.texts.left:
            return self.texts.left[0]
        try:
            return server_from_source(f"{Kind.OCI}:{text}")[1]
        except HatchlockError as error:
            return image.left(str(error))

    def _build(self, build: Part) -> dict[str, Any] | Left:
        is_table = isinstance(build.value, Mapping)
        context = build.get("context") if is_table else build
        text = self.texts.of(context) if context else "."
        if _ADDRESS.match(text):
            return build.left("it is built from a repository; clone it, or name an image that was built from it")
        if not is_table:
            return {"build": self.around.path(text)}
        table: dict[str, Any] = {"context": self.around.path(text)}
        for item in build.members():
            match item.key:
                case "dockerfile" | "target" if item.value is not None:
                    table[item.key] = self.texts.of(item)
                case "args":
                    table["args"] = {key: value for key, value, _ in pairs(item) if value is not None}
                case "context" | "tags" | "labels" | "pull" | "no_cache":
                    pass
                case _:
                    self.left.append(item.left(_LOST_OF_BUILD))
        return {"build": table}

    def _started(self) -> tuple[dict[str, Any], Left | None]:
        fields: dict[str, Any] = {}
        for key, field in (("entrypoint", "command"), ("command", "args")):
            if part := self.part.get(key):
                fields[field] = self._words(part)
                if self._is_secret(part) or secret_arguments(fields[field]):
                    what = (
                        "one of its words looks like a secret, and a manifest is no place for one; "
                        "give it as a variable that the server reads"
                    )
                    return {}, Left(line=part.line, what=f"`{self.part.key}`: `{key}`: {what}")
        if cwd := self.part.get("working_dir"):
            fields["cwd"] = self.texts.of(cwd)
        return fields, None

    def _published(self, started: Mapping[str, Any]) -> dict[str, Any]:
        """What a runner of packages in an image runs is a source itself, and needs no network to be there."""
        image, words = self.part.get("image"), [*started.get("command", ()), *started.get("args", ())]
        if image is None or not words or words[0].rpartition("/")[2] not in _RUNNERS:
            return {}
        found = translated(Start(command=words[0], args=tuple(words[1:])), name=self.part.key, line=self.part.line)
        if isinstance(found, Left) or "source" not in found.fields:
            return {}
        self.left += found.left
        self.notes.append(f"{image.text()} only ran {words[0]}, so its package is the source")
        return {key: value for key, value in found.fields.items() if key != "sandbox"}

    def _is_secret(self, part: Part) -> bool:
        names = (name for text in part.texts() for name in filled(text, self.around.known).names)
        return any(is_secret_name(name) for name in names)

    def _words(self, part: Part) -> list[str]:
        if not isinstance(part.value, str):
            return [self.texts.of(item) for item in part.each()]
        try:
            return shlex.split(self.texts.of(part))
        except ValueError:
            part.fail("its words cannot be told apart: a quotation is not closed")

    def _with_network(self, sandbox: dict[str, Any], texts: list[str]) -> dict[str, Any]:
        """The hosts that it names itself; everything else that a network of compose leads to is closed."""
        mode = self.part.get("network_mode")
        named = {host: host.rpartition(":")[0] in self._others_names() for host in hosts_in(texts)}
        for host in (host for host, is_beside in named.items() if is_beside):
            what = f"its variables name {host}, which stays with compose; publish that port, and write localhost for it there"
            self.left.append(self.part.left(what))
        network: Any = [host for host, is_beside in named.items() if not is_beside]
        if mode and self.texts.of(mode) in {"host", "none"}:
            network = mode.text()
        elif mode and mode.text() not in {"bridge", "default"}:
            self.left.append(mode.left(_OWN))
        if not network or network == "none":
            return sandbox | ({"network": network} if network else {})
        return {"network": network, "reason": _REASON, **sandbox}

    def _with_secret_files(self, env: Mapping[str, Any]) -> dict[str, Any]:
        """Return the variables, with those that say where a secret's file is as that secret."""
        found = dict(env)
        part = self.part.get("secrets")
        for item in part.each() if part else ():
            name = (item.need("source") if isinstance(item.value, Mapping) else item).text()
            target = item.get("target") if isinstance(item.value, Mapping) else None
            inside = target.text() if target else name
            inside = inside if inside.startswith("/") else f"/run/secrets/{inside}"
            reference = self._secret(name)
            variable = next((key for key, value in env.items() if value == inside and key.endswith("_FILE")), "")
            if reference and variable:
                del found[variable]
                found[variable.removesuffix("_FILE")] = {"secret": reference, "as": "file"}
                continue
            why = f"no variable that ends in _FILE says {inside}" if reference else "it is external"
            what = f'`secrets`: {name}: {why}; write env.NAME = {{ secret = …, as = "file" }}'
            self.left.append(Left(line=item.line, what=what))
        return found

    def _secret(self, name: str) -> str:
        secrets = self.root.get("secrets")
        declared = secrets.get(name) if secrets else None
        if declared is None:
            return ""
        if file := declared.get("file"):
            return f"file:{self.around.path(self.texts.of(file))}"
        variable = declared.get("environment")
        return f"env:{variable.text()}" if variable else ""

    def _others_names(self) -> set[str]:
        """By which names compose lets it reach the other services."""
        names: set[str] = set()
        for part in self.root.need("services").members():
            if part.key != self.part.key:
                more = (part.get(key) for key in ("container_name", "hostname"))
                names |= {part.key, *(self.texts.of(name) for name in more if name)}
        return names

    def _told_to_speak_sse(self, words: list[str], known: Variables) -> None:
        """A server of ours speaks streamable HTTP; the older way is only known of remote ones."""
        lines = {key: part.line for key, _, part in pairs(self.part.get("environment"))}
        for key, value in known.fields.items():
            if isinstance(value, str) and value.lower() == "sse":
                what = f"`{key}`: {_SSE}"
                self.left.append(Left(line=lines.get(key, self.part.line), what=what))
        if command := self.part.get("command"):
            self.left += [command.left(_SSE)] if {"sse", "--sse", "--transport=sse"} & {*words} else []

    def _others(self) -> None:
        """Say what becomes of no key, and what of the other services it has to reach in another way."""
        if needed := self.part.get("depends_on"):
            names = ", ".join(needed.table() if isinstance(needed.value, Mapping) else needed.texts())
            self.left.append(needed.left(f"{names} stays with compose, and is to be started by it"))
        if extended := self.part.get("extends"):
            self.left.append(extended.left(_ELSEWHERE))
        for part in self.part.members():
            if part.key in _LOST:
                self.left.append(part.left(_LOST[part.key]))
            elif part.key not in _READ | _NEEDS_NOTHING | SANDBOX_KEYS and not part.key.startswith("x-"):
                self.left.append(part.left("it has no counterpart"))

    def _project(self) -> str:
        name = self.root.get("name")
        text = self.texts.of(name) if name else self.around.directory.name
        return re.sub(r"[^a-z0-9_-]", "", text.lower()).lstrip("_-")


def _by_line(left: list[Left]) -> tuple[Left, ...]:
    return tuple(sorted(dict.fromkeys(left), key=lambda item: item.line))


def _texts_of(known: Variables) -> Iterator[str]:
    yield from (value for value in known.fields.values() if isinstance(value, str))
    for secret in known.secrets:
        yield from (secret.value, secret.format)


def _is_server(part: Part) -> bool:
    if part.get("stdin_open") and part.need("stdin_open").value is True:
        return True
    keys = ("image", "build", "command", "entrypoint", "container_name")
    said = [
        part.key,
        *(str(part.table().get(key)) for key in keys),
        *(name for name, _, _ in pairs(part.get("environment"))),
    ]
    return any("mcp" in text.lower() for text in said)


COMPOSE = Format(name="compose", title="Compose file", matches=_is_compose, read=_read)
