"""A home directory with six applications, configured the usual way: newest versions, tokens in the files, the same server
several times under several names, comments, odd layouts, and servers that are nobody's business."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ABOUT", "TOKENS", "WHERE", "careless_home"]

TOKENS = {
    "GITHUB_TOKEN": "ghp_Zq8Lw3Xk5Vn2Rt7Yb4Mc6Pd9",
    "TRACKER": "trk-4f1c9e7a2b8d6053e9a1c7f4",
    "SEARCH_API_KEY": "sk-live7Hq2Wd9Xs4Lp6Zn8Vb3Kt",
}
"""What must be nowhere afterwards but in the store of secrets."""

WHERE = {
    "claude-desktop": ".config/Claude/claude_desktop_config.json",
    "codex": ".codex/config.toml",
    "cursor": ".cursor/mcp.json",
    "goose": ".config/goose/config.yaml",
    "vscode": ".config/Code/User/mcp.json",
    "zed": ".config/zed/settings.json",
}

_CLAUDE_DESKTOP = """\
{
  "globalShortcut": "Ctrl+Space",
  "mcpServers": {
    "github": {
      "command": "npx",
      "args": ["-y", "%(github)s@latest"],
      "env": {"GITHUB_TOKEN": "%(GITHUB_TOKEN)s"}
    },
    "time": {"command": "uvx", "args": ["%(time)s"]}
  }
}
"""

_CURSOR = """\
{
\t"mcpServers": {
\t\t"gh": {"command": "npx", "args": ["-y", "%(github)s@latest"], "env": {"GITHUB_TOKEN": "%(GITHUB_TOKEN)s"}},
\t\t"time": {"command": "uvx", "args": ["%(time)s", "--local-timezone", "UTC"]},
\t\t"tracker": {
\t\t\t"url": "https://mcp.tracker.example/mcp",
\t\t\t"headers": {"Authorization": "Bearer %(TRACKER)s"}
\t\t}
\t}
}"""

_VSCODE = """\
{
    // asked once, kept by the editor
    "inputs": [{"id": "search-key", "type": "promptString", "password": true}],
    "servers": {
        "github": {
            "type": "stdio",
            "command": "npx",
            "args": ["-y", "%(github)s"],
            "env": {"GITHUB_TOKEN": "%(GITHUB_TOKEN)s"},
        },
        /* the same again */
        "github-copy": {"type": "stdio", "command": "npx", "args": ["-y", "%(github)s"], "env": {"GITHUB_TOKEN": "%(GITHUB_TOKEN)s"}},
        "asked": {"command": "uvx", "args": ["%(time)s"], "env": {"ASKED_KEY": "${input:search-key}"}},
    },
}
"""

_CODEX = """\
model = "o4"   # the good one

[mcp_servers.time]
command = "uvx"
args = ["%(time)s@latest"]
startup_timeout_sec = 20

[mcp_servers.search]
command = "uvx"
args = [
  "--from", "%(time)s",
  "%(time)s",
  "--local-timezone", "Europe/Berlin",
]
# from the wiki
[mcp_servers.search.env]
SEARCH_API_KEY = "%(SEARCH_API_KEY)s"

[tui]
theme = "dark"
"""

_GOOSE = """\
GOOSE_PROVIDER: anthropic
extensions:
  developer:
    enabled: true
    type: builtin
    name: developer
  time:   # which day is it
    enabled: true
    type: stdio
    name: time
    cmd: uvx
    args:
      - %(time)s
    envs: {}
    timeout: 300
  search:
    args: [--from, %(time)s, %(time)s, --local-timezone, Europe/Berlin]
    cmd: uvx
    enabled: false
    envs:
      SEARCH_API_KEY: "%(SEARCH_API_KEY)s"
    name: search
    type: stdio
GOOSE_MODEL: some
"""

_ZED = """\
// Zed settings
{
  "theme": "One Dark",
  "context_servers": {
    // mine
    "tracker": {
      "url": "https://mcp.tracker.example/mcp",
      "headers": { "Authorization": "Bearer %(TRACKER)s" }
    },
    "zed-time": { "command": "uvx", "args": ["%(time)s"], "env": {} }, // last
  },
}
"""

_TEXTS = {
    "claude-desktop": _CLAUDE_DESKTOP,
    "codex": _CODEX,
    "cursor": _CURSOR,
    "goose": _GOOSE,
    "vscode": _VSCODE,
    "zed": _ZED,
}

ABOUT = {
    "claude-desktop": ["github", "time"],
    "codex": ["search", "time"],
    "cursor": ["github", "time-cursor", "tracker"],
    "goose": ["search", "time"],
    "vscode": ["asked", "github"],
    "zed": ["time", "tracker"],
}
"""Application -> the servers of the manifest that it should list afterwards, sorted."""


def careless_home(home: Path, *, github: str, time: str) -> dict[Path, bytes]:
    """Write the files of the six applications, and return them.

    Args:
        home: The home directory.
        github: The npm package that is called so there.
        time: The Python package that is called so there.
    """
    files = {}
    for client, text in _TEXTS.items():
        path = home / WHERE[client]
        path.parent.mkdir(parents=True, exist_ok=True)
        data = (text % {**TOKENS, "github": github, "time": time}).encode()
        if client == "claude-desktop":
            data = data.replace(b"\n", b"\r\n")
        path.write_bytes(data)
        path.chmod(0o644)
        files[path] = data
    return files
