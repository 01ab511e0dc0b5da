"""`docs/migrating/` has every command and flag of Hatch and finch-mcp, and nothing that they have not."""

from __future__ import annotations

import pytest

from support.migrating import facts, known, named, pages, rows

TOOLS = sorted(pages())


def test_each_tool_has_its_page_and_its_facts() -> None:
    assert sorted(pages()) == ["finch-mcp", "hatch"]
    assert len(known("hatch")) > 130
    assert len(known("finch-mcp")) > 60


@pytest.mark.parametrize("tool", TOOLS)
def test_no_command_and_no_flag_is_missing(tool: str) -> None:
    named_here = {item for row in rows(tool) for item in named(tool, row)}
    assert sorted(known(tool) - named_here) == []
    assert sorted(named_here - known(tool)) == []


@pytest.mark.parametrize("tool", TOOLS)
def test_what_has_no_counterpart_has_a_reason(tool: str) -> None:
    assert [row.key for row in rows(tool) if not row.steps and len(row.reason.split()) < 5] == []


@pytest.mark.parametrize("tool", TOOLS)
def test_no_row_stands_twice(tool: str) -> None:
    keys = [(row.section, row.key) for row in rows(tool)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("tool", TOOLS)
def test_facts_say_what_each_command_does(tool: str) -> None:
    assert [command["name"] for command in facts(tool)["command"] if not command["does"]] == []
