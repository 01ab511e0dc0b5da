"""Twelve real entries, and what becomes of each, against a golden text. `REGOLD=1` writes it anew."""

from __future__ import annotations

import os
from typing import Any

from hatchlock.launch import SecretReference
from hatchlock.sources.mcp_registry.choose import choose
from hatchlock.sources.mcp_registry.entry import entry_of
from hatchlock.sources.mcp_registry.launch import launch
from hatchlock.sources.mcp_registry.render import Answer, render
from support.mcp_registry import real_entries
from support.source_tree import ROOT

GOLDEN = ROOT / "fixtures" / "mcp-registry" / "launches.txt"
PLATFORMS = ("linux/amd64", "linux/arm64")


def described(answer: dict[str, Any]) -> str:
    entry = entry_of(answer, what="a test")
    choice = choose(entry, platforms=PLATFORMS, runtime="container")
    found = launch(entry, choice)
    lines = [
        f"{entry} ({entry.status})",
        f"  sha256    {entry.sha256}",
        f"  takes     {choice.requirement}, {choice.why}",
    ]
    lines += [f"  argument  {argument}" for argument in found.args]
    lines += [f"  variable  {name}={value}" for name, value in found.env.items()]
    for variable in found.variables:
        kind = "needs" if variable.required else "may have"
        lines.append(f"  {kind:<9} {variable.name}{' (secret)' if variable.secret else ''}")
    return "\n".join([*lines, *(f"  note      {note}" for note in found.notes)])


def test_the_real_entries_become_what_the_golden_text_says() -> None:
    text = "\n\n".join(map(described, real_entries())) + "\n"
    if os.environ.get("REGOLD"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_every_real_entry_is_a_server_once_its_questions_are_answered() -> None:
    for answer in real_entries():
        entry = entry_of(answer, what="a test")
        found = launch(entry, choose(entry, platforms=PLATFORMS, runtime="container"))
        answers: dict[str, Answer] = {
            item.name: SecretReference(secret=f"env:{item.name}") if item.secret else "value"
            for item in found.variables
            if item.required
        }
        env = render(found, answers, source=str(entry)).get("env", {})
        assert set(env) == set(answers)
        assert {name for name, value in env.items() if isinstance(value, dict)} == {
            item.name for item in found.variables if item.secret and item.required
        }
