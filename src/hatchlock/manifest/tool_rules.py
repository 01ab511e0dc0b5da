"""What fits together in `tools`: which of a server's tools may be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hatchlock.manifest.later import matches
from hatchlock.manifest.problem import Finding

__all__ = ["tool_findings"]


def tool_findings(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with the `tools` of a manifest's servers and defaults."""
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
