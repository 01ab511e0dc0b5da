"""What fits together in `tools`, which says which of a server's tools may be used, and in `probe`, which calls one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hatchlock.manifest.later import matches
from hatchlock.manifest.problem import Finding

__all__ = ["tool_findings"]


def tool_findings(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with the `tools` and `probe` of a manifest's servers and defaults."""
    yield from _probe_findings(document)
    for pattern in ("servers.*.tools", "defaults.tools"):
        for path, rules in matches(document, pattern):
            if not isinstance(rules, dict):
                continue
            allow, deny = (rules.get(key) if isinstance(rules.get(key), list) else None for key in ("allow", "deny"))
            if allow == []:
                yield Finding(
                    path=(*path, "allow"),
                    what="an empty list says nothing",
                    advice='leave it out to allow every tool; for none write deny = ["*"]',
                )
            for key, names in (("allow", allow), ("deny", deny)):
                for place, name in enumerate(names or ()):
                    if name == "":
                        yield Finding(
                            path=(*path, key, place),
                            what="no tool has an empty name",
                            advice="remove it; `*` stands for anything",
                        )
                    elif key == "deny" and name in (allow or ()):
                        yield Finding(
                            path=(*path, key, place),
                            what=f"{name!r} is allowed and denied",
                            advice="keep one of the two; what is denied goes before what is allowed",
                        )


def _probe_findings(document: Mapping[str, Any]) -> Iterator[Finding]:
    calls_by_default = any(isinstance(how, dict) and "call" in how for _, how in matches(document, "defaults.probe"))
    for pattern in ("servers.*.probe", "defaults.probe"):
        for path, how in matches(document, pattern):
            if isinstance(how, dict) and "args" in how and "call" not in how and not calls_by_default:
                yield Finding(
                    path=(*path, "args"),
                    what="'args' is what a tool gets, and none is called",
                    advice='write call = "TOOL" beside it, or remove it',
                )
