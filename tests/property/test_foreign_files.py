"""Whatever stands in files of other tools: a reader gives servers that a manifest takes, or says what is wrong."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatchlock.errors import HatchlockError, ManyErrors
from hatchlock.migrate.claude_plugin import CLAUDE_PLUGIN
from hatchlock.migrate.compose import COMPOSE
from hatchlock.migrate.compose_sandbox import SANDBOX_KEYS
from hatchlock.migrate.finch import FINCH
from hatchlock.migrate.hatch import HATCH_ENVIRONMENTS
from hatchlock.migrate.mcpb import MCPB
from hatchlock.migrate.model import Format
from support import imports

SECRET = "sk-0a1b2c3d4e5f60718293"
WORDS = st.sampled_from(
    [
        *(
            "",
            "a",
            "A b",
            "é",
            "mcp",
            "x" * 80,
            "${A}",
            "${A:-b}",
            "$$",
            "${user_config.a}",
            "${__dirname}/x",
            "/",
            "/data",
        ),
        *(
            "./a:/b:ro",
            "v:/proc",
            "1",
            "0",
            "-1",
            "80:80",
            "127.0.0.1:1:2/tcp",
            "512m",
            "1e9",
            "root",
            "0:0",
            "1000:1",
            "it's",
        ),
        *(
            "node",
            "npx",
            "--token",
            SECRET,
            "https://a.example.com",
            "https://u:p@a/b",
            "file:///x",
            "\x00",
        ),
        *(
            "ALL",
            "NET_ADMIN",
            "seccomp=unconfined",
            "a=b",
            "=",
            "host",
            "none",
            "python",
            "linux",
            "3.12",
            ">=3.10",
            "1h",
        ),
    ]
)
KEYS = WORDS.filter(lambda word: word != SECRET)
LEAVES = st.one_of(
    WORDS, st.none(), st.booleans(), st.integers(-5, 1 << 40), st.floats(allow_nan=False, allow_infinity=False)
)
NAMES = (
    "path",
    "source",
    "target",
    "type",
    "name",
    "args",
    "env",
    "command",
    "context",
    "required",
    "published",
    "hard",
)


def values(*keys: str) -> st.SearchStrategy[Any]:
    """Any value of JSON, whose objects mostly have keys that mean something."""
    names = st.one_of(st.sampled_from(keys or NAMES), KEYS)
    return st.recursive(
        LEAVES,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=4)),
        max_leaves=8,
    )


def tables(*keys: str) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(keys), values(), max_size=6)


SERVICE = tables(
    *("image", "build", "command", "entrypoint", "environment", "env_file", "ports", "expose", "secrets", "depends_on"),
    *("network_mode", "working_dir", "profiles", "extends", "stdin_open", "restart", *sorted(SANDBOX_KEYS)),
)
CONFIG = tables("command", "args", "env", "platform_overrides")
OPTION = tables("type", "title", "required", "default", "multiple", "sensitive")
SERVER = st.fixed_dictionaries(
    {"type": st.sampled_from(["node", "python", "uv", "binary", "x"]), "entry_point": WORDS},
    optional={"mcp_config": CONFIG},
)
HOSTS = st.dictionaries(st.sampled_from(["cursor", "gemini", "x"]), st.fixed_dictionaries({"server_config": CONFIG}))
PACKAGE = st.fixed_dictionaries(
    {"name": KEYS}, optional={"version": WORDS, "type": WORDS, "source": WORDS, "configured_hosts": HOSTS}
)
DOCUMENTS: dict[str, tuple[Format, str, st.SearchStrategy[Any]]] = {
    "compose": (
        COMPOSE,
        "compose.yaml",
        st.fixed_dictionaries(
            {"services": st.dictionaries(KEYS, st.one_of(SERVICE, SERVICE, values()), max_size=2)},
            optional={"secrets": tables("a", "mcp"), "name": values(), "include": values()},
        ),
    ),
    "mcpb": (
        MCPB,
        "manifest.json",
        st.fixed_dictionaries(
            {"manifest_version": st.just("0.3"), "name": KEYS, "server": SERVER},
            optional={
                "user_config": st.dictionaries(st.sampled_from(["a", "b"]), OPTION),
                "compatibility": tables("platforms", "runtimes"),
                "description": values(),
            },
        ),
    ),
    "finch": (FINCH, ".finch-mcp", tables("dependencies", "build", "runtime", "mcp", "x")),
    "hatch": (
        HATCH_ENVIRONMENTS,
        "environments.json",
        st.dictionaries(
            KEYS,
            st.fixed_dictionaries(
                {"packages": st.lists(PACKAGE, max_size=2)},
                optional={"description": values(), "python_version": values(), "python_env": values("version")},
            ),
            max_size=2,
        ),
    ),
    "claude-plugin": (
        CLAUDE_PLUGIN,
        ".claude-plugin/plugin.json",
        st.fixed_dictionaries(
            {"mcpServers": st.dictionaries(KEYS, st.one_of(CONFIG, values("headers", "type")), max_size=2)},
            optional={"userConfig": st.dictionaries(st.sampled_from(["a", "b"]), OPTION)},
        ),
    ),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_any_document_gives_a_valid_manifest_or_an_error(kind: str, data: st.DataObject) -> None:
    form, name, documents = DOCUMENTS[kind]
    content = json.dumps(data.draw(documents)).encode()
    path = Path("/nowhere/at-all") / name
    form.matches(path, content)
    with contextlib.suppress(HatchlockError):
        reading = form.read(path, content)
        try:
            imports.manifest(reading)
        except HatchlockError as problem:
            pytest.fail(f"{problem.errors if isinstance(problem, ManyErrors) else problem}")
        assert SECRET not in repr(imports.left(reading))
