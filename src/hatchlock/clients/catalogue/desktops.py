"""Editors, and other applications that are started from a desktop, whose files are JSON."""

from __future__ import annotations

from hatchlock.clients.catalogue.record import MCP_SERVERS, PLAIN, TYPED, XDG, Checked, Client, code_files
from hatchlock.clients.json_object import JsonObject
from hatchlock.clients.shape import Shape, UrlShape

__all__ = ["DESKTOPS"]

_RESTART = "it sees the change after a restart"
_SERVERS = JsonObject(("servers",))
_SERVER_URL = Shape(cwd="", http=UrlShape(url="serverUrl"))
_VSCODE_PAGE = "microsoft/vscode-docs: docs/agents/reference/mcp-configuration.md"
_VSCODE_ASKS = "it asks once whether a new server is trusted, when that is first started"

_CURSOR = Client(
    name="cursor",
    title="Cursor",
    dialect=MCP_SERVERS,
    user_files={"linux": ".cursor/mcp.json", "darwin": ".cursor/mcp.json"},
    project_file=".cursor/mcp.json",
    shape=TYPED,
    notes={
        "user": "new servers are switched on in its settings, under MCP",
        "project": "new servers are switched on in its settings, under MCP",
    },
    desktop=True,
    markers=(".cursor",),
    checked=Checked(unproved="https://cursor.com/docs/mcp was at hand only as guides of server makers quote it"),
)

_VSCODE = Client(
    name="vscode",
    title="VS Code",
    dialect=_SERVERS,
    user_files=code_files("mcp.json"),
    variables=XDG,
    project_file=".vscode/mcp.json",
    shape=TYPED,
    notes={"user": _VSCODE_ASKS, "project": _VSCODE_ASKS},
    desktop=True,
    markers=(".config/Code", "Library/Application Support/Code", ".vscode"),
    quirks=(
        "each profile has a file of its own; this is the default profile's",
        "on a machine that it reaches over SSH it reads ~/.vscode-server/data/User/mcp.json: name that with `path`",
    ),
    checked=Checked(pages=(_VSCODE_PAGE,), unproved="the place of the user's file, which the page calls the profile"),
)

_VSCODE_INSIDERS = Client(
    name="vscode-insiders",
    title="VS Code Insiders",
    dialect=_SERVERS,
    user_files=code_files("mcp.json", "Code - Insiders"),
    variables=XDG,
    no_project="it reads the project's .vscode/mcp.json, which `vscode` writes",
    shape=TYPED,
    notes={"user": _VSCODE_ASKS, "project": ""},
    desktop=True,
    markers=(".config/Code - Insiders", "Library/Application Support/Code - Insiders", ".vscode-insiders"),
    checked=Checked(pages=(_VSCODE_PAGE,), unproved="the place of the user's file, which the page calls the profile"),
)

_JETBRAINS_COPILOT = Client(
    name="jetbrains-copilot",
    title="GitHub Copilot for JetBrains",
    dialect=JsonObject(("servers",), form="json5"),
    user_files={
        "linux": ".config/github-copilot/intellij/mcp.json",
        "darwin": ".config/github-copilot/intellij/mcp.json",
    },
    variables=XDG,
    shape=Shape(cwd="", http=UrlShape(below="requestInit")),
    notes={"user": _RESTART, "project": ""},
    desktop=True,
    markers=(".config/github-copilot/intellij",),
    checked=Checked(
        pages=("github/github-mcp-server: docs/installation-guides/install-other-copilot-ides.md",),
        unproved="the place of its file, on which other tools differ",
    ),
)

_WINDSURF = Client(
    name="windsurf",
    title="Windsurf",
    dialect=MCP_SERVERS,
    user_files={"linux": ".codeium/windsurf/mcp_config.json", "darwin": ".codeium/windsurf/mcp_config.json"},
    shape=_SERVER_URL,
    notes={"user": "the refresh button of its MCP settings shows the change", "project": ""},
    desktop=True,
    markers=(".codeium/windsurf",),
    quirks=("its plugin for JetBrains reads ~/.codeium/mcp_config.json: name that with `path`",),
    checked=Checked(
        pages=("https://docs.windsurf.com/windsurf/cascade/mcp", "https://docs.windsurf.com/plugins/cascade/mcp"),
        unproved="disabled and disabledTools, which it writes itself",
    ),
)

_ANTIGRAVITY = Client(
    name="antigravity",
    title="Antigravity",
    dialect=MCP_SERVERS,
    user_files={"linux": ".gemini/antigravity/mcp_config.json", "darwin": ".gemini/antigravity/mcp_config.json"},
    project_file=".agents/mcp_config.json",
    shape=_SERVER_URL,
    notes={
        "user": "the refresh button of its MCP servers shows the change",
        "project": "the refresh button of its MCP servers shows the change",
    },
    desktop=True,
    markers=(".gemini/antigravity", ".antigravity"),
    quirks=(
        "version 2 reads ~/.gemini/config/mcp_config.json: name that with `path`",
        "a file that it cannot parse keeps it from starting; an entry that it does not understand is dropped silently",
    ),
    checked=Checked(unproved="its own pages were not at hand; the record is what guides of server makers say alike"),
)

_CLINE = Client(
    name="cline",
    title="Cline",
    dialect=MCP_SERVERS,
    user_files=code_files("globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"),
    variables=XDG,
    shape=Shape(
        fixed={"type": "stdio"},
        http=UrlShape(fixed={"type": "streamableHttp"}),
        sse=UrlShape(fixed={"type": "sse"}),
    ),
    notes={"user": "it watches its file, and starts new servers at once", "project": ""},
    desktop=True,
    markers=(
        ".config/Code/User/globalStorage/saoudrizwan.claude-dev",
        "Library/Application Support/Code/User/globalStorage/saoudrizwan.claude-dev",
    ),
    quirks=("its command line reads another file: cline-cli",),
    checked=Checked(
        pages=("cline/cline: src/services/mcp/schemas.ts", "https://docs.cline.bot/mcp/configuring-mcp-servers"),
        unproved="the directory of its file, which is the one that VS Code gives its extensions",
    ),
)

_ROO_CODE = Client(
    name="roo-code",
    title="Roo Code",
    dialect=MCP_SERVERS,
    user_files=code_files("globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json"),
    variables=XDG,
    project_file=".roo/mcp.json",
    shape=Shape(
        fixed={"type": "stdio"},
        http=UrlShape(fixed={"type": "streamable-http"}),
        sse=UrlShape(fixed={"type": "sse"}),
    ),
    notes={
        "user": "it watches its file, and starts new servers at once",
        "project": "it watches its file, and starts new servers at once",
    },
    desktop=True,
    markers=(
        ".config/Code/User/globalStorage/rooveterinaryinc.roo-cline",
        "Library/Application Support/Code/User/globalStorage/rooveterinaryinc.roo-cline",
    ),
    quirks=("it has had no new version since May 2026",),
    checked=Checked(
        pages=("https://docs.roocode.com/features/mcp/using-mcp-in-roo",),
        unproved="the directory of its user's file, which is the one that VS Code gives its extensions",
    ),
)

_KIRO = Client(
    name="kiro",
    title="Kiro",
    dialect=MCP_SERVERS,
    user_files={"linux": ".kiro/settings/mcp.json", "darwin": ".kiro/settings/mcp.json"},
    project_file=".kiro/settings/mcp.json",
    shape=PLAIN,
    notes={
        "user": "it watches its file, and connects to new servers at once",
        "project": "it watches its file, and connects to new servers at once",
    },
    desktop=True,
    markers=(".kiro",),
    checked=Checked(pages=("https://kiro.dev/docs/mcp/configuration",), unproved="that it watches its file"),
)

_ZED = Client(
    name="zed",
    title="Zed",
    dialect=JsonObject(("context_servers",)),
    user_files={"linux": ".config/zed/settings.json", "darwin": ".config/zed/settings.json"},
    variables=XDG,
    shape=PLAIN,
    notes={"user": "its agent panel's settings show the new server", "project": ""},
    desktop=True,
    markers=(".config/zed", "Library/Application Support/Zed"),
    quirks=('versions of 2025 want `"source": "custom"` in an entry',),
    checked=Checked(
        pages=("https://zed.dev/docs/ai/mcp", "zed-industries/zed: docs/src/ai/mcp.md"),
        unproved="the place of its settings, and whether it takes servers from a project's",
    ),
)

_TRAE = Client(
    name="trae",
    title="Trae",
    dialect=MCP_SERVERS,
    user_files=code_files("mcp.json", "Trae"),
    variables=XDG,
    project_file=".trae/mcp.json",
    shape=PLAIN,
    notes={"user": _RESTART, "project": "a project's servers have to be allowed in its settings, under MCP"},
    desktop=True,
    markers=(".config/Trae", "Library/Application Support/Trae", ".trae"),
    checked=Checked(
        pages=("https://www.volcengine.com/docs/86677/2137601",),
        unproved="the place of its user's file, which is from users; fields of its own",
    ),
)

_CLAUDE_DESKTOP = Client(
    name="claude-desktop",
    title="Claude Desktop",
    dialect=MCP_SERVERS,
    user_files={
        "linux": ".config/Claude/claude_desktop_config.json",
        "darwin": "Library/Application Support/Claude/claude_desktop_config.json",
    },
    variables=XDG,
    shape=Shape(cwd=""),
    notes={"user": "it reads its file when it starts: quit it, and start it again", "project": ""},
    desktop=True,
    markers=(".config/Claude", "Library/Application Support/Claude"),
    quirks=("remote servers in its file are ignored; they are its connectors",),
    checked=Checked(unproved="its own page was at hand only as guides of server makers quote it"),
)

_LMSTUDIO = Client(
    name="lmstudio",
    title="LM Studio",
    dialect=MCP_SERVERS,
    user_files={"linux": ".lmstudio/mcp.json", "darwin": ".lmstudio/mcp.json"},
    shape=PLAIN,
    notes={"user": "it reloads its file when that is saved in its own editor, and at a start", "project": ""},
    desktop=True,
    markers=(".lmstudio",),
    quirks=("installations that are older keep the file in ~/.cache/lm-studio: name that with `path`",),
    checked=Checked(pages=("lmstudio-ai/docs: 0_app/2_mcp/index.mdx",), unproved="when it reads its file again"),
)

_BOLTAI = Client(
    name="boltai",
    title="BoltAI",
    dialect=MCP_SERVERS,
    user_files={"linux": ".boltai/mcp.json", "darwin": ".boltai/mcp.json"},
    shape=PLAIN,
    notes={"user": _RESTART, "project": ""},
    desktop=True,
    markers=(".boltai",),
    quirks=("there is one for macOS only",),
    checked=Checked(unproved="none of its pages was at hand; the file is the one that other tools write"),
)

DESKTOPS = (
    *(_CURSOR, _VSCODE, _VSCODE_INSIDERS, _JETBRAINS_COPILOT, _WINDSURF, _ANTIGRAVITY, _CLINE, _ROO_CODE, _KIRO),
    *(_ZED, _TRAE, _CLAUDE_DESKTOP, _LMSTUDIO, _BOLTAI),
)
