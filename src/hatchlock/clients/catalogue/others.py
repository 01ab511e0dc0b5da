"""Applications whose files are TOML or YAML. What reads them is loaded with the first such file."""

from __future__ import annotations

from hatchlock.clients.catalogue.record import XDG, Checked, Client, Tried
from hatchlock.clients.dialect import Dialect
from hatchlock.clients.on_demand import OnDemand
from hatchlock.clients.shape import Shape, UrlShape

__all__ = ["OTHERS"]

_RESTART = "sessions that are already open see the change after a restart"


def _codex() -> Dialect:
    from hatchlock.clients.toml_tables import TomlTables  # noqa: PLC0415

    return TomlTables("mcp_servers")


def _vibe() -> Dialect:
    from hatchlock.clients.toml_tables import TomlArray  # noqa: PLC0415

    return TomlArray("mcp_servers")


def _goose() -> Dialect:
    from hatchlock.clients.yaml_servers import YamlServers  # noqa: PLC0415

    return YamlServers("extensions")


def _continue() -> Dialect:
    from hatchlock.clients.yaml_servers import YamlServers  # noqa: PLC0415

    head = {"name": "Local Assistant", "version": "1.0.0", "schema": "v1"}
    return YamlServers("mcpServers", is_list=True, head=head)


_CODEX = Client(
    name="codex",
    title="Codex",
    dialect=OnDemand(_codex),
    user_files={"linux": ".codex/config.toml", "darwin": ".codex/config.toml"},
    variables={"CODEX_HOME": ".codex"},
    project_file=".codex/config.toml",
    shape=Shape(http=UrlShape(headers="http_headers")),
    notes={"user": _RESTART, "project": f"{_RESTART}; it reads a project's file only where the project is trusted"},
    markers=(".codex",),
    quirks=("with --strict-config, a field that it does not know keeps it from starting",),
    checked=Checked(pages=("openai/codex: codex-rs/config/src/mcp_types.rs",)),
    tried=Tried(program="@openai/codex", version="0.171.0", user="connected", project="connected"),
)

_MISTRAL_VIBE = Client(
    name="mistral-vibe",
    title="Mistral Vibe",
    dialect=OnDemand(_vibe),
    user_files={"linux": ".vibe/config.toml", "darwin": ".vibe/config.toml"},
    variables={"VIBE_HOME": ".vibe"},
    project_file=".vibe/config.toml",
    shape=Shape(
        splits=True,
        fixed={"transport": "stdio"},
        http=UrlShape(below="auth", beside={"type": "static"}, fixed={"transport": "streamable-http"}),
    ),
    notes={"user": _RESTART, "project": f"{_RESTART}; it reads a project's file only where the folder is trusted"},
    markers=(".vibe",),
    quirks=("it turns every other character than letters, digits, '-' and '_' of a server's name into '_'",),
    checked=Checked(
        pages=(
            "https://docs.mistral.ai/vibe/code/cli/mcp-servers",
            "https://docs.mistral.ai/mistral-vibe/terminal/configuration",
            "mistralai/mistral-vibe: vibe/core/config/models.py",
        ),
    ),
    tried=Tried(program="pypi:mistral-vibe", version="3.0.2", user="connected", project="connected"),
)

_GOOSE = Client(
    name="goose",
    title="Goose",
    dialect=OnDemand(_goose),
    user_files={"linux": ".config/goose/config.yaml", "darwin": ".config/goose/config.yaml"},
    variables=XDG,
    shape=Shape(
        command="cmd",
        env="envs",
        cwd="",
        fixed={"enabled": True, "type": "stdio"},
        http=UrlShape(url="uri", fixed={"enabled": True, "type": "streamable_http"}),
    ),
    notes={"user": _RESTART, "project": ""},
    markers=(".config/goose", ".local/share/goose"),
    quirks=("it knows an extension by its name in lower case, without spaces",),
    checked=Checked(
        pages=(
            "https://block.github.io/goose/docs/guides/config-files",
            "block/goose: crates/goose/src/agents/extension.rs",
        )
    ),
)

_CONTINUE = Client(
    name="continue",
    title="Continue",
    dialect=OnDemand(_continue),
    user_files={"linux": ".continue/config.yaml", "darwin": ".continue/config.yaml"},
    no_project="a project has a file for each server, in .continue/mcpServers",
    shape=Shape(
        fixed={"type": "stdio"},
        http=UrlShape(below="requestOptions", fixed={"type": "streamable-http"}),
        sse=UrlShape(below="requestOptions", fixed={"type": "sse"}),
    ),
    notes={"user": "it reloads its configuration when the file changes", "project": ""},
    desktop=True,
    markers=(".continue",),
    checked=Checked(
        pages=("continuedev/continue: packages/config-yaml/src/schemas/mcp/index.ts",),
        unproved="that it reloads its file",
    ),
    tried=Tried(program="@continuedev/cli", version="1.5.47", user="connected"),
)

OTHERS = (_CODEX, _MISTRAL_VIBE, _GOOSE, _CONTINUE)
