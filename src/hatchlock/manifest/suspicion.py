"""Values that look as if they were secrets: a guess, for warnings and for what `add` takes over, never a guarantee."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["holds_git_credentials", "looks_secret", "secret_arguments"]

_NAME = re.compile(
    r"(?:^|[_-])(?:key|pass|passphrase|passwd|pwd|pat|auth|credentials?|[a-z0-9]*(?:apikey|token|secret|password))$",
    re.IGNORECASE,
)
_HEADER = re.compile(r"([A-Za-z][\w-]*):\s*(?:(?:Bearer|Basic|Token)\s+)?(.*)", re.IGNORECASE | re.DOTALL)
_CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})
_GIT_CREDENTIALS = re.compile(
    r"(?:git\+)?(?:"
    r"(?!(?:git\+)?ssh:)[^/@]*://[^/#]*@"  # only ssh has users
    r"|ssh://[^/@]*:[^/@]*@"
    r"|[^/]*://(?:[^/@#]*@)?[^/@#\[]*:(?!\d*(?:[/#]|$))"  # what looks like a port may be half a password
    r"|[^/@:]+:[^/@]*@"  # user:password@host:path
    r")",
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


def holds_git_credentials(address: str) -> bool:
    """Return whether the text behind `git:` has a user (but for ssh) or a password in it, or half of one as its port."""
    return _GIT_CREDENTIALS.match(address) is not None


def _holds_secret_header(option: str, text: str) -> bool:
    header = _HEADER.fullmatch(text.strip())
    if header is None or not (option == "H" or "header" in option.lower()):
        return False
    name, value = header.groups()
    return looks_secret("auth" if name.lower() in _CREDENTIAL_HEADERS else name, value.strip())


def secret_arguments(words: Sequence[str]) -> list[int]:
    """Return the indexes of the arguments that probably are or hold a secret.

    That is `--token=X`, `--token X`, `--header "Authorization: Bearer X"` (also `-H`), and what is one by its form.
    """
    found = []
    for index, word in enumerate(words):
        option, equals, value = word.partition("=")
        before = words[index - 1] if index else ""
        if equals and option.startswith("-"):
            name = option.lstrip("-")
            suspect = looks_secret(name, value) or _holds_secret_header(name, value)
        else:
            name = before.lstrip("-") if before.startswith("--") and "=" not in before else ""
            header_option = before.lstrip("-") if before.startswith("-") else ""
            suspect = looks_secret("" if word.startswith("-") else name, word) or (
                _holds_secret_header(header_option, word) or _holds_secret_header(word[1:2], word[2:])
            )
        if suspect:
            found.append(index)
    return found
