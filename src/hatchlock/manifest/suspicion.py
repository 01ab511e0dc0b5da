"""Values that look as if they were secrets: a guess, for warnings and for what `add` takes over, never a guarantee."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["looks_secret", "secret_arguments"]

_NAME = re.compile(
    r"(?:^|[_-])(?:key|pass|passphrase|passwd|pwd|pat|auth|credentials?|[a-z0-9]*(?:apikey|token|secret|password))$",
    re.IGNORECASE,
)
_HARMLESS = re.compile(r"|true|false|yes|no|none|null|on|off|\d{1,6}|\$\{?\w+\}?|[./~].*|<.*>", re.IGNORECASE)
_KNOWN = re.compile(
    r"sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}"
    r"|AKIA[A-Z0-9]{16}|AIza[\w-]{30,}|eyJ[\w-]{10,}\.[\w-]{10,}\.|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@"
)


def looks_secret(name: str, value: str) -> bool:
    """Return whether a value is probably a secret: by the name of its variable or option, or by its own form."""
    if _KNOWN.search(value):
        return True
    return _NAME.search(name) is not None and _HARMLESS.fullmatch(value) is None


def secret_arguments(words: Sequence[str]) -> list[int]:
    """Return the indexes of the arguments that probably are or hold a secret: `--token=X`, `--token X`, or by their form."""
    found = []
    for index, word in enumerate(words):
        option, equals, value = word.partition("=")
        before = words[index - 1] if index else ""
        if equals and option.startswith("-"):
            suspect = looks_secret(option.lstrip("-"), value)
        else:
            name = before.lstrip("-") if before.startswith("--") and "=" not in before else ""
            suspect = looks_secret("" if word.startswith("-") else name, word)
        if suspect:
            found.append(index)
    return found
