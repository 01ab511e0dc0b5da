"""An application's own fields in its entries: which there are, what they hold, who gets them."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from hatchlock.manifest.client_rules import client_cautions, client_findings
from support.locks import manifest_of

HEAD = """
[project]
name = "acme"
platforms = ["linux/amd64"]
[servers.time]
command = ["/bin/cat"]
runtime = "process"
"""


def found(text: str) -> list[tuple[str, str]]:
    return [(item.what, item.advice) for item in client_findings(tomllib.loads(text))]


@pytest.mark.parametrize(
    "fields",
    [
        "gemini = { timeout = 30000, trust = true, includeTools = ['a'], excludeTools = [], description = 'x' }",
        "codex = { startup_timeout_sec = 2.5, tool_timeout_sec = 3, enabled_tools = ['a'], env_vars = ['A'] }",
        "codex = { default_tools_approval_mode = 'approve', tools = { a = { approval_mode = 'prompt' } } }",
        "mistral-vibe = { prompt = 'x', sampling_enabled = false }",
        "cline = { autoApprove = ['a'], timeout = 60, disabled = true }",
        "goose = { timeout = 300, available_tools = ['a'], enabled = false }",
        "nobody = { x = 1 }",
        "cursor = 5",
    ],
)
def test_what_an_application_knows_is_taken(fields: str) -> None:
    assert found(f"[servers.time.client]\n{fields}\n") == []


@pytest.mark.parametrize(
    ("fields", "what", "advice"),
    [
        ("gemini = { excludeTool = [] }", "gemini has no field 'excludeTool'", "did you mean 'excludeTools'?"),
        (
            "codex = { startup_timeout = 9 }",
            "codex has no field 'startup_timeout'",
            "did you mean 'startup_timeout_sec'?",
        ),
        ("kimi = { enabledTool = [] }", "kimi has no field 'enabledTool'", "did you mean 'enabledTools'?"),
        ("gemini = { timeout = '30s' }", "it has to be a whole number", "milliseconds that a request may take"),
        ("gemini = { timeout = true }", "it has to be a whole number", "milliseconds that a request may take"),
        ("gemini = { includeTools = ['a', 1] }", "it has to be a list of texts", "the only tools that the model sees"),
        ("gemini = { trust = 1 }", "it has to be true or false", "whether its tools run without a question"),
        (
            "codex = { default_tools_approval_mode = 'always' }",
            "it has to be auto or prompt or approve",
            "whether its tools ask",
        ),
        ("codex = { tools = { since = 2026-01-01 } }", "it has to be a table", None),
        ("codex = { tool_timeout_sec = inf }", "it has to be a number", "seconds that a call may take"),
        ("cline = { timeout = 29 }", "it has to be a number, at least 30", "seconds that a call may take"),
        ("boltai = { timeout = 29 }", "boltai has no field 'timeout'", "no field of boltai's entries is known"),
        ("cursor = { command = 'x' }", "cursor has no field 'command'", "known are envFile"),
        (
            "gemini = { oauth = {} }",
            "'oauth' is about servers that gemini connects to itself; it starts this one, as every server",
            "write the server's own url and headers",
        ),
    ],
)
@pytest.mark.parametrize("table", ["servers.time", "defaults"])
def test_what_it_does_not_know_is_an_error(table: str, fields: str, what: str, advice: str | None) -> None:
    ((said, hint),) = found(f"[{table}.client]\n{fields}\n")
    assert said == what
    assert advice is None or hint == advice


@pytest.mark.parametrize(
    ("document", "cautioned"),
    [
        ({"servers": {"a": {"clients": ["cursor"], "client": {"zed": {}}}}}, True),
        ({"servers": {"a": {"clients": ["zed"], "client": {"zed": {}}}}}, False),
        ({"servers": {"a": {"client": {"zed": {}}}}}, True),
        ({"servers": {"a": {"client": {"zed": {}}}}, "defaults": {"clients": ["zed"]}}, False),
        ({"servers": {"a": {}}, "defaults": {"client": {"zed": {}}}}, False),
        ({"servers": {"a": {"clients": 5, "client": {"zed": {}}}}, "defaults": 5}, False),
    ],
)
def test_fields_that_nobody_gets_are_a_caution(document: dict[str, Any], cautioned: bool) -> None:
    assert bool(list(client_cautions(document))) is cautioned


def test_a_servers_fields_go_before_those_of_the_defaults_one_by_one() -> None:
    text = HEAD + "client.gemini = { timeout = 5 }\n[defaults.client.gemini]\ntimeout = 9\ntrust = true\n"
    assert manifest_of(text).servers["time"].client_fields == {"gemini": {"timeout": 5, "trust": True}}
