"""Which index a user's machine is set up for."""

from __future__ import annotations

import ast
import configparser
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path

from hatchlock.paths import user_home

__all__ = ["default_index"]

_SYSTEM_FILE = Path("/etc/pip.conf")
_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")


def default_index(environ: Mapping[str, str]) -> str:
    """Return the address of the main index that this machine uses.

    That is UV_DEFAULT_INDEX, UV_INDEX_URL or PIP_INDEX_URL; else `index-url` of the user's and the system's pip
    configuration, the nearest first; else the public index. Extra indexes and find-links are never looked at: a name
    is taken from one index only.
    """
    for variable in _VARIABLES:
        if environ.get(variable):
            # uv allows NAME=URL
            name, equals, url = environ[variable].partition("=")
            return url if equals and "/" not in name else environ[variable]
    return next(_configured(environ), "") or _public_index()


def _configured(environ: Mapping[str, str]) -> Iterator[str]:
    for path in _pip_files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path)
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip will complain; it is not ours
        for section in ("install", "global"):
            if url := parser.get(section, "index-url", fallback="").strip():
                yield url


def _pip_files(environ: Mapping[str, str]) -> Iterator[Path]:
    if named := environ.get("PIP_CONFIG_FILE"):
        yield Path(named)
    home = user_home(environ)
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    yield home / "Library" / "Application Support" / "pip" / "pip.conf"
    yield home / ".pip" / "pip.conf"
    for directory in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"):
        yield Path(directory) / "pip" / "pip.conf"
    yield _SYSTEM_FILE


def _public_index() -> str:
    # pypi_simple knows the address, but importing it takes 0.4 s (requests, BeautifulSoup): read the constant instead.
    spec = importlib.util.find_spec("pypi_simple")
    assert spec is not None and spec.origin is not None  # noqa: PT018, S101  a declared dependency
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and node.target.id == "PYPI_SIMPLE_ENDPOINT"
            and isinstance(node.value, ast.Constant)
        ):
            return str(node.value.value)
    raise AssertionError(spec.origin)
