"""What a user's npm is set up for: registries, and who may ask them.

Project file, user's file and system's file are read in npm's order of precedence, below the variables `npm_config_*`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from hatchlock.errors import HatchlockError
from hatchlock.process import on_path

__all__ = ["BadNpmrc", "Npmrc", "read_npmrc"]

_VARIABLE = re.compile(r"(?<!\\)(\\*)\$\{([^${}?]+)(\??)\}")
_PREFIX = "npm_config_"
_PORTS = {"https": 443, "http": 80}
_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1")


@dataclass(kw_only=True, eq=False)
class BadNpmrc(HatchlockError):
    """A file of npm's configuration cannot be read."""

    code: ClassVar[str] = "bad-npmrc"

    path: str
    why: str

    def __str__(self) -> str:
        return f"npm's configuration {self.path} cannot be read: {self.why}"

    def _hint(self) -> str:
        return "mend the file, or let NPM_CONFIG_USERCONFIG name another one"


@dataclass(frozen=True, kw_only=True, slots=True)
class Npmrc:
    """What npm's configuration says. Credentials in it are never shown.

    Attributes:
        registry: The main registry; "" when nobody says.
        scopes: Scope (`@acme`) -> the registry that its packages come from.
        cafile: A file of trusted certificates, or "".
    """

    registry: str = ""
    scopes: Mapping[str, str] = field(default_factory=dict)
    cafile: str = ""
    _settings: Mapping[str, str] = field(default_factory=dict, repr=False)

    def authorization(self, url: str) -> str | None:
        """Return the value of the `Authorization` header for a request to `url`, or None.

        The credentials of the longest path that `url` lies below count. They are for https, or http on loopback; an
        address by plain http never gets any.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https" and not (parts.scheme == "http" and _LOOPBACK.fullmatch(host)):
            return None
        for key in _keys(parts.scheme, host, parts.port, parts.path):
            if (found := self._header(key)) is not None:
                return found
        return None

    def _header(self, key: str) -> str | None:
        if token := self._settings.get(f"{key}:_authToken"):
            return f"Bearer {token}"
        if login := self._settings.get(f"{key}:_auth"):
            return f"Basic {login}"
        user, password = self._settings.get(f"{key}:username"), self._settings.get(f"{key}:_password")
        if not user or not password:
            return None
        try:
            clear = base64.b64decode(password, validate=False)
        except binascii.Error:
            return None
        return "Basic " + base64.b64encode(user.encode() + b":" + clear).decode()


def _keys(scheme: str, host: str, port: int | None, path: str) -> Iterator[str]:
    """`//host/a/b/`, `//host/a/b`, `//host/a/`, …: what credentials for an address may be filed under."""
    shown = f"[{host}]" if ":" in host else host
    key = f"//{shown}" + (f":{port}" if port and port != _PORTS[scheme] else "") + (path or "/")
    while len(key) > len("//"):
        yield key
        key = key[:-1] if key.endswith("/") else key[: key.rindex("/") + 1]


def read_npmrc(environ: Mapping[str, str], project: Path | None = None) -> Npmrc:
    """Read npm's configuration as npm would when it is run in `project`.

    Args:
        environ: `npm_config_*` in any case, HOME, PATH (the system's file is found by Node's place), and what `${NAME}`
            in the files stands for. A credential with a variable that is not set is no credential.
        project: The directory with the project's own `.npmrc`.

    Raises:
        BadNpmrc: A file is there and cannot be read.
    """
    variables = dict(_from_variables(environ))
    user = variables.get("userconfig") or _below(environ.get("HOME"), ".npmrc")
    settings = _read(user, environ) if user else {}
    system = variables.get("globalconfig") or _system_file(environ, variables.get("prefix") or settings.get("prefix"))
    own = str(project / ".npmrc") if project else ""
    layers = [_read(system, environ) if system else {}, settings]
    if own and Path(own).absolute() != Path(user or "/").absolute():
        layers.append(_read(own, environ))
    merged: dict[str, str] = {}
    for layer in (*layers, variables):
        merged |= layer
    return Npmrc(
        registry=_address(merged.get("registry", "")),
        scopes={
            key.removesuffix(":registry"): _address(value)
            for key, value in sorted(merged.items())
            if key.startswith("@") and key.endswith(":registry")
        },
        cafile=merged.get("cafile", ""),
        _settings={key: value for key, value in merged.items() if key.startswith("//") and "${" not in value},
    )


def _address(url: str) -> str:
    return f"{url.rstrip('/')}/" if url else ""


def _below(directory: str | None, name: str) -> str:
    return str(Path(directory) / name) if directory else ""


def _system_file(environ: Mapping[str, str], prefix: str | None) -> str:
    prefix = prefix or environ.get("PREFIX")
    if not prefix:
        node = on_path("node", environ.get("PATH", ""))
        prefix = str(Path(node).resolve().parents[1]) if node else ""
    return _below(prefix, "etc/npmrc")


def _from_variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in sorted(environ.items()):
        if not value or not name.lower().startswith(_PREFIX):
            continue
        key = name[len(_PREFIX) :]
        yield key if key.startswith("//") else key[:1].lower() + key[1:].lower().replace("_", "-"), value


def _read(path: str, environ: Mapping[str, str]) -> dict[str, str]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise BadNpmrc(path=path, why=error.strerror or "it cannot be opened") from error
    except UnicodeDecodeError as error:
        raise BadNpmrc(path=path, why="it is not UTF-8") from error
    found = {}
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            break  # what stands below a section's name is no setting of npm's
        if not stripped or stripped[0] in ";#":
            continue
        key, equals, value = stripped.partition("=")
        found[_expanded(_plain(key), environ)] = _expanded(_plain(value), environ) if equals else "true"
    return found


def _plain(text: str) -> str:
    """A key or value of an ini file: without quotes, or up to a comment."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    match = re.match(r"(?:\\[\\;#]|[^;#])*", text)
    return re.sub(r"\\([\\;#])", r"\1", match.group() if match else "").strip()


def _expanded(text: str, environ: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        slashes, name, optional = match.groups()
        if len(slashes) % 2:
            return match.group()[(len(slashes) + 1) // 2 :]
        return slashes[: len(slashes) // 2] + environ.get(name, "" if optional else f"${{{name}}}")

    return _VARIABLE.sub(value, text)
