"""Applications of the terminal whose files are JSON."""

from __future__ import annotations

from hatchlock.clients.catalogue.record import MCP_SERVERS, PLAIN, TYPED, XDG, Checked, Client, Tried
from hatchlock.clients.json_object import JsonObject
from hatchlock.clients.shape import Shape, UrlShape

__all__ = ["TERMINALS"]

_RESTART = "sessions that are already open see the change after a restart"
_GEMINI = Shape(http=UrlShape(url="httpUrl"), sse=UrlShape())
_OPENCODE = Shape(args="", env="environment", fixed={"type": "local"}, http=UrlShape(fixed={"type": "remote"}))

_CLAUDE_CODE = Client(
    name="claude-code",
    title="Claude Code",
    dialect=MCP_SERVERS,
    user_files={"linux": ".claude.json", "darwin": ".claude.json"},
    variables={"CLAUDE_CONFIG_DIR": ""},
    project_file=".mcp.json",
    shape=TYPED,
    notes={
        "user": _RESTART,
        "project": "it shows the servers of a project's .mcp.json as pending until you approve them: start `claude` there once",
    },
    markers=(".claude",),
    quirks=("it rewrites its own file, which holds tokens and much else, while it runs",),
    checked=Checked(
        pages=("https://code.claude.com/docs/en/mcp",),
        unproved="the page was at hand only as its own issues quote it; alwaysLoad is from its changes",
    ),
    tried=Tried(program="@anthropic-ai/claude-code", version="2.1.332", user="connected", project="connected"),
)

_GEMINI_CLI = Client(
    name="gemini",
    title="Gemini CLI",
    dialect=MCP_SERVERS,
    user_files={"linux": ".gemini/settings.json", "darwin": ".gemini/settings.json"},
    variables={"GEMINI_CLI_HOME": ""},
    project_file=".gemini/settings.json",
    shape=_GEMINI,
    notes={
        "user": f"{_RESTART}; it starts no server, of yours neither, in a folder that is not trusted",
        "project": f"{_RESTART}; it starts no server in a folder that is not trusted",
    },
    quirks=("`url` is an address of server-sent events, `httpUrl` one of streamable HTTP",),
    checked=Checked(pages=("google-gemini/gemini-cli: docs/tools/mcp-server.md",)),
    tried=Tried(program="@google/gemini-cli", version="0.61.0", user="connected", project="connected"),
)

_QWEN_CODE = Client(
    name="qwen-code",
    title="Qwen Code",
    dialect=MCP_SERVERS,
    user_files={"linux": ".qwen/settings.json", "darwin": ".qwen/settings.json"},
    project_file=".qwen/settings.json",
    shape=_GEMINI,
    notes={
        "user": _RESTART,
        "project": "the servers of a project's settings wait for `qwen mcp approve NAME`, and for it again when their entry has changed",
    },
    markers=(".qwen",),
    quirks=(
        "it was made from Gemini CLI, and has its fields",
        "of a project it reads .mcp.json as well, which is Claude Code's",
    ),
    checked=Checked(
        pages=("https://qwenlm.github.io/qwen-code-docs/en/users/features/mcp/",),
        unproved="what each field of its entries does",
    ),
    tried=Tried(program="@qwen-code/qwen-code", version="0.24.4", user="connected", project="connected"),
)

_OPENCODE_1 = Client(
    name="opencode",
    title="OpenCode",
    dialect=JsonObject(("mcp",)),
    user_files={"linux": ".config/opencode/opencode.json", "darwin": ".config/opencode/opencode.json"},
    variables=XDG,
    project_file="opencode.json",
    shape=_OPENCODE,
    notes={"user": _RESTART, "project": _RESTART},
    markers=(".config/opencode", ".local/share/opencode"),
    quirks=(
        "it reads opencode.jsonc as well: name that with `path` where you have it",
        "version 2 reads another place of the file: opencode-v2",
    ),
    checked=Checked(pages=("https://opencode.ai/docs/mcp-servers",)),
    tried=Tried(program="opencode-ai", version="1.18.33", user="connected", project="connected"),
)

_OPENCODE_2 = Client(
    name="opencode-v2",
    title="OpenCode 2",
    dialect=JsonObject(("mcp", "servers")),
    user_files={"linux": ".config/opencode/opencode.json", "darwin": ".config/opencode/opencode.json"},
    variables=XDG,
    project_file="opencode.json",
    shape=_OPENCODE,
    notes={"user": _RESTART, "project": _RESTART},
    markers=(".config/opencode", ".local/share/opencode"),
    quirks=(
        "it reads opencode.jsonc as well: name that with `path` where you have it",
        "OpenCode 1.18 reads this place as well",
    ),
    checked=Checked(
        pages=("https://opencode.ai/v2/docs/mcp-servers/",), unproved="its timeouts, which are therefore no fields here"
    ),
    tried=Tried(program="opencode-ai", version="1.18.33", user="connected", project="connected"),
)

_CRUSH = Client(
    name="crush",
    title="Crush",
    dialect=JsonObject(("mcp",)),
    user_files={"linux": ".config/crush/crush.json", "darwin": ".config/crush/crush.json"},
    variables=XDG,
    project_file=".crush.json",
    shape=Shape(
        cwd="",
        fixed={"type": "stdio"},
        http=UrlShape(fixed={"type": "http"}),
        sse=UrlShape(fixed={"type": "sse"}),
    ),
    notes={"user": _RESTART, "project": _RESTART},
    markers=(".config/crush", ".local/share/crush"),
    quirks=(
        "a crushrc beside the file counts more, and its makers prefer it",
        "it expands $NAME and $(command) in commands and arguments, as a shell does",
    ),
    checked=Checked(pages=("charmbracelet/crush: docs/config/README.md", "charmbracelet/crush: schema.json")),
)

_AMP = Client(
    name="amp",
    title="Amp",
    dialect=JsonObject(("amp.mcpServers",)),
    user_files={"linux": ".config/amp/settings.json", "darwin": ".config/amp/settings.json"},
    project_file=".amp/settings.json",
    shape=PLAIN,
    notes={
        "user": _RESTART,
        "project": "the servers of a project's settings wait for `amp mcp approve NAME`",
    },
    markers=(".config/amp",),
    quirks=("`amp.mcpServers` is one name, with a dot in it", "it reads settings.jsonc as well"),
    checked=Checked(
        pages=("sourcegraph/amp-examples-and-guides: guides/mcp/amp-mcp-setup-guide.md",),
        unproved="its manual was not at hand but in copies of others",
    ),
    tried=Tried(program="@sourcegraph/amp", version="0.0.1790142911-g7618fb", user="listed", project="listed"),
)

_COPILOT_CLI = Client(
    name="copilot-cli",
    title="GitHub Copilot CLI",
    dialect=MCP_SERVERS,
    user_files={"linux": ".copilot/mcp-config.json", "darwin": ".copilot/mcp-config.json"},
    variables={"COPILOT_HOME": ".copilot"},
    project_file=".github/mcp.json",
    shape=Shape(
        cwd="",
        fixed={"type": "local", "tools": ["*"]},
        http=UrlShape(fixed={"type": "http"}),
        sse=UrlShape(fixed={"type": "sse"}),
    ),
    notes={
        "user": _RESTART,
        "project": f"{_RESTART}; it loads a project's servers only where the folder is trusted",
    },
    markers=(".copilot",),
    quirks=(
        "of a project it reads .mcp.json as well, which is Claude Code's",
        "a server gets PATH and no other variable",
    ),
    checked=Checked(
        pages=(
            "github/docs: content/copilot/how-tos/copilot-cli/customize-copilot/add-mcp-servers.md",
            "microsoft/vscode-docs: docs/agents/reference/mcp-configuration.md",
        )
    ),
    tried=Tried(program="@github/copilot", version="1.0.102", user="connected", project="connected"),
)

_FACTORY = Client(
    name="factory",
    title="Factory",
    dialect=MCP_SERVERS,
    user_files={"linux": ".factory/mcp.json", "darwin": ".factory/mcp.json"},
    project_file=".factory/mcp.json",
    shape=Shape(cwd="", fixed={"type": "stdio"}, http=UrlShape(fixed={"type": "http"})),
    notes={"user": _RESTART, "project": _RESTART},
    markers=(".factory",),
    checked=Checked(
        pages=("https://docs.factory.ai/factory-cli/configuration/mcp",),
        unproved="the copy names no file, and knows no remote servers; both are from other tools that write it",
    ),
    tried=Tried(program="@factory/cli-linux-x64", version="0.225.2", user="connected", project="connected"),
)

_KIMI = Client(
    name="kimi",
    title="Kimi Code CLI",
    dialect=MCP_SERVERS,
    user_files={"linux": ".kimi-code/mcp.json", "darwin": ".kimi-code/mcp.json"},
    variables={"KIMI_CODE_HOME": ".kimi-code"},
    project_file=".kimi-code/mcp.json",
    shape=Shape(http=UrlShape()),
    notes={
        "user": "sessions that are already open do not see new servers; the next one does",
        "project": "it skips a project's servers until you start `kimi` there once and trust the folder",
    },
    markers=(".kimi-code",),
    quirks=(
        "the older kimi-cli reads ~/.kimi/mcp.json: name that with `path`",
        "of a project it reads .mcp.json as well, which is Claude Code's",
    ),
    checked=Checked(pages=("https://moonshotai.github.io/kimi-code/zh/customization/mcp",)),
    tried=Tried(program="@moonshot-ai/kimi-code", version="2.1.0", user="connected", project="connected"),
)

_QODER = Client(
    name="qoder",
    title="Qoder CLI",
    dialect=MCP_SERVERS,
    user_files={"linux": ".qoder/settings.json", "darwin": ".qoder/settings.json"},
    no_project="it reads the project's .mcp.json, which `claude-code` writes",
    shape=TYPED,
    notes={"user": "in a session that is open, /mcp reload shows the change", "project": ""},
    markers=(".qoder",),
    checked=Checked(
        pages=("https://docs.qoder.com/cli/mcp-servers", "https://docs.qoder.com/cli/mcp-reference"),
        unproved="fields behind timeout and description, where the copy ended",
    ),
    tried=Tried(program="@qoder-ai/qodercli", version="1.1.52", user="connected"),
)

_CLINE_CLI = Client(
    name="cline-cli",
    title="Cline CLI",
    dialect=MCP_SERVERS,
    user_files={
        "linux": ".cline/data/settings/cline_mcp_settings.json",
        "darwin": ".cline/data/settings/cline_mcp_settings.json",
    },
    shape=Shape(
        fixed={"type": "stdio"},
        http=UrlShape(fixed={"type": "streamableHttp"}),
        sse=UrlShape(fixed={"type": "sse"}),
    ),
    notes={"user": _RESTART, "project": ""},
    markers=(".cline",),
    checked=Checked(pages=("cline/cline: src/services/mcp/schemas.ts",)),
    tried=Tried(program="cline", version="3.0.65", user="connected"),
)

_AUGMENT = Client(
    name="augment",
    title="Auggie",
    dialect=MCP_SERVERS,
    user_files={"linux": ".augment/settings.json", "darwin": ".augment/settings.json"},
    project_file=".augment/settings.json",
    shape=TYPED,
    notes={"user": _RESTART, "project": _RESTART},
    markers=(".augment",),
    quirks=("Augment's extensions of editors keep their servers elsewhere",),
    checked=Checked(pages=("https://docs.augmentcode.com/cli/integrations",), unproved="fields of its own"),
    tried=Tried(program="@augmentcode/auggie", version="0.36.0", user="listed", project="listed"),
)

_AMAZON_Q = Client(
    name="amazon-q",
    title="Amazon Q Developer",
    dialect=MCP_SERVERS,
    user_files={"linux": ".aws/amazonq/mcp.json", "darwin": ".aws/amazonq/mcp.json"},
    project_file=".amazonq/mcp.json",
    shape=PLAIN,
    notes={"user": _RESTART, "project": _RESTART},
    markers=(".aws/amazonq",),
    quirks=("the file is its older one; it is read unless `useLegacyMcpJson` is false in its default.json",),
    checked=Checked(
        pages=("https://docs.aws.amazon.com/amazonq/latest/qdeveloper-ug/mcp-ide.html",),
        unproved="the unit of its timeout",
    ),
)

TERMINALS = (
    *(_CLAUDE_CODE, _GEMINI_CLI, _QWEN_CODE, _OPENCODE_1, _OPENCODE_2, _CRUSH, _AMP, _COPILOT_CLI, _FACTORY, _KIMI),
    *(_QODER, _CLINE_CLI, _AUGMENT, _AMAZON_Q),
)
