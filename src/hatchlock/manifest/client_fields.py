"""The fields that applications know of an entry beside what starts it: what `[servers.NAME.client.APPLICATION]` may hold.

They are the application's own words, in its own spelling and units. What is about servers that it connects to itself has no
place here, for it starts every server of ours: `FOR_REMOTE` has those names, so that it can be said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import Any, Literal

__all__ = ["CLIENT_FIELDS", "FOR_REMOTE", "ClientField", "Form"]

Form = Literal["text", "true or false", "a number", "a whole number", "a list of texts", "a list", "a table"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_plain(value: Any) -> bool:
    """Whether every form of file has such a value: TOML has dates besides."""
    match value:
        case dict():
            return all(map(_is_plain, value.values()))
        case list():
            return all(map(_is_plain, value))
    return isinstance(value, str | bool) or _is_number(value)


_FORMS: Mapping[Form, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "true or false": lambda value: isinstance(value, bool),
    "a number": _is_number,
    "a whole number": lambda value: _is_number(value) and isinstance(value, int),
    "a list of texts": lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    "a list": lambda value: isinstance(value, list) and _is_plain(value),
    "a table": lambda value: isinstance(value, dict) and _is_plain(value),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientField:
    """A field of an application's entry.

    Attributes:
        form: What it holds.
        about: What it means, in some words.
        words: The texts that it may be; empty for any.
        least: The smallest number that the application takes.
    """

    form: Form
    about: str
    words: tuple[str, ...] = ()
    least: float = 0

    def fits(self, value: Any) -> bool:
        """Whether a value of a TOML document is such a one."""
        if not _FORMS[self.form](value):
            return False
        return value >= self.least if isinstance(value, int | float) else not self.words or value in self.words

    def __str__(self) -> str:
        if self.words:
            return " or ".join(self.words)
        return f"{self.form}, at least {self.least:g}" if self.least else self.form


def _text(about: str, *words: str) -> ClientField:
    return ClientField(form="text", about=about, words=words)


def _flag(about: str) -> ClientField:
    return ClientField(form="true or false", about=about)


def _number(about: str, least: float = 0) -> ClientField:
    return ClientField(form="a number", about=about, least=least)


def _whole(about: str, least: float = 0) -> ClientField:
    return ClientField(form="a whole number", about=about, least=least)


def _texts(about: str) -> ClientField:
    return ClientField(form="a list of texts", about=about)


_DISABLED = _flag("whether it is switched off")
_ENABLED = _flag("whether it is switched on")
_ONLY = _texts("the only tools that the model sees")
_WITHOUT = _texts("tools that the model does not see")
_UNASKED = _texts("tools that run without a question")
_CALL_MS = _whole("milliseconds that a request may take")

_VSCODE = {
    "envFile": _text("a file with more variables"),
    "sandboxEnabled": _flag("whether VS Code puts it into a sandbox of its own, around ours"),
    "sandbox": ClientField(form="a table", about="what that sandbox allows: filesystem, network"),
    "dev": ClientField(form="a table", about="development mode: watch, debug"),
}
_GEMINI = {
    "timeout": _CALL_MS,
    "trust": _flag("whether its tools run without a question"),
    "includeTools": _ONLY,
    "excludeTools": _WITHOUT,
    "description": _text("what is shown of it"),
}
_CLINE = {
    "autoApprove": _UNASKED,
    "disabled": _DISABLED,
    "timeout": _number("seconds that a call may take", least=30),
}

CLIENT_FIELDS: Mapping[str, Mapping[str, ClientField]] = MappingProxyType(
    {
        "amazon-q": {"timeout": _CALL_MS, "disabled": _DISABLED},
        "amp": {"includeTools": _ONLY},
        "antigravity": {"disabled": _DISABLED, "disabledTools": _WITHOUT},
        "augment": {},
        "boltai": {},
        "claude-code": {
            "timeout": _whole("milliseconds that a call may take; less than 1000 counts for nothing", least=1000),
            "alwaysLoad": _flag("whether its tools are loaded at once, instead of when they are searched for"),
        },
        "claude-desktop": {},
        "cline": _CLINE,
        "cline-cli": _CLINE,
        "codex": {
            "enabled": _ENABLED,
            "required": _flag("whether `codex exec` ends when it does not start"),
            "startup_timeout_sec": _number("seconds that its start may take"),
            "startup_timeout_ms": _whole("the same in milliseconds; the seconds count"),
            "tool_timeout_sec": _number("seconds that a call may take"),
            "enabled_tools": _ONLY,
            "disabled_tools": _WITHOUT,
            "default_tools_approval_mode": _text("whether its tools ask", "auto", "prompt", "approve"),
            "tools": ClientField(form="a table", about="the same for single tools: NAME = { approval_mode = … }"),
            "supports_parallel_tool_calls": _flag("whether its tools may run side by side"),
            "env_vars": ClientField(
                form="a list", about="variables that it is handed: names, or tables of name and source"
            ),
            "experimental_environment": _text("where Codex starts it"),
        },
        "continue": {
            "connectionTimeout": _number("milliseconds that its start may take", least=1),
            "faviconUrl": _text("an icon"),
        },
        "copilot-cli": {
            "tools": _texts('the tools that may be used; ["*"], which is written, for all'),
            "timeout": _CALL_MS,
        },
        "crush": {
            "timeout": _whole("seconds that its start may take"),
            "disabled": _DISABLED,
            "enabled_tools": _ONLY,
            "disabled_tools": _WITHOUT,
        },
        "cursor": {"envFile": _text("a file with more variables")},
        "factory": {"disabled": _DISABLED},
        "gemini": _GEMINI,
        "goose": {
            "enabled": _flag("whether it is switched on; true is written"),
            "timeout": _whole("seconds that a call may take"),
            "description": _text("what is shown of it"),
            "available_tools": _ONLY,
            "env_keys": _texts("names of Goose's own secrets that it is handed"),
            "bundled": _flag("whether Goose brings it"),
        },
        "jetbrains-copilot": {},
        "kimi": {
            "enabled": _ENABLED,
            "startupTimeoutMs": _whole("milliseconds that its start may take"),
            "toolTimeoutMs": _whole("milliseconds that a call may take"),
            "enabledTools": _ONLY,
            "disabledTools": _WITHOUT,
        },
        "kiro": {"disabled": _DISABLED, "autoApprove": _UNASKED, "disabledTools": _WITHOUT},
        "lmstudio": {},
        "mistral-vibe": {
            "prompt": _text("a hint that follows the descriptions of its tools"),
            "sampling_enabled": _flag("whether it may ask the model itself"),
            "startup_timeout_sec": _number("seconds that its start may take"),
            "tool_timeout_sec": _number("seconds that a call may take"),
            "disabled": _DISABLED,
            "disabled_tools": _WITHOUT,
        },
        "opencode": {
            "enabled": _ENABLED,
            "timeout": _whole("milliseconds that listing its tools may take", least=1),
        },
        "opencode-v2": {"disabled": _DISABLED},
        "qoder": {"timeout": _CALL_MS, "description": _text("what is shown of it")},
        "qwen-code": _GEMINI,
        "roo-code": {
            "alwaysAllow": _UNASKED,
            "disabled": _DISABLED,
            "timeout": _number("seconds that a call may take, at most 3600", least=1),
            "disabledTools": _WITHOUT,
            "watchPaths": _texts("files whose change starts it again"),
        },
        "trae": {},
        "vscode": _VSCODE,
        "vscode-insiders": _VSCODE,
        "windsurf": {"disabled": _DISABLED, "disabledTools": _WITHOUT},
        "zed": {"enabled": _ENABLED},
    }
)
"""Application -> field -> what it holds. Every application that we know has a place here."""

FOR_REMOTE = frozenset(
    {
        *("auth", "authProviderType", "bearerTokenEnvVar", "bearer_token_env_var", "headers", "headersHelper"),
        *("http_headers", "env_http_headers", "httpUrl", "oauth", "oauthScopes", "oauth_resource", "requestInit"),
        *("oauth_client_id", "oauth_client_secret", "oauth_callback_port", "requestOptions", "scopes", "serverUrl"),
        *("targetAudience", "targetServiceAccount", "uri", "url", "api_key_env", "api_key_format", "api_key_header"),
        "sessionless",
    }
)
"""Fields of applications that are about servers which they connect to themselves."""
