"""Values that look as if they were secrets: a guess, never a guarantee.

`looks_secret` is for warnings and for what `add` takes over. `surely_secret` is for errors: known forms of tokens, names
that mean nothing else, and random texts under names that often mean one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

__all__ = [
    "holds_git_credentials",
    "is_credential_header",
    "known_tokens",
    "looks_secret",
    "secret_arguments",
    "surely_secret",
]

_NAME = re.compile(
    r"(?:^|[_-])(?:key|pass|passphrase|passwd|pwd|pat|auth|credentials?|[a-z0-9]*(?:apikey|token|secret|password))$",
    re.IGNORECASE,
)
_SURE_NAME = re.compile(
    r"(?:token|secret|password|passwd|passphrase|api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key)$",
    re.IGNORECASE,
)
_RANDOM = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w+/=.:~-]{16,}", re.ASCII)
_PLAIN_WORD = re.compile(r"[A-Za-z][A-Za-z_-]{0,30}")
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
# looked for in whole logs, too: none of them begins again in the middle of what it has passed over
_KNOWN = re.compile(
    r"sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}"
    r"|xapp-[\w-]{10,}|sk_live_\w{16,}|npm_[A-Za-z0-9]{30,}|pypi-AgE[\w-]{30,}|hf_[A-Za-z0-9]{30,}|dop_v1_[a-f0-9]{32,}"
    r"|AKIA[A-Z0-9]{16}|AIza[\w-]{30,}|eyJ[\w-]{10,2048}\.[\w-]{10,}\.|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|(?<![a-z0-9+.-])[a-z0-9+.-]++://[^/\s:@]+:[^/\s@]+@"
)


def known_tokens() -> re.Pattern[str]:
    """Return what tokens of known forms look like, and addresses with a password in them."""
    return _KNOWN


def looks_secret(name: str, value: str) -> bool:
    """Return whether a value is probably a secret: by the name of its variable or option, or by its own form."""
    if _KNOWN.search(value):
        return True
    return _NAME.search(name) is not None and _HARMLESS.fullmatch(value) is None


def surely_secret(name: str, value: str) -> bool:
    """Return whether a value is so probably a secret that no manifest may hold it."""
    if _KNOWN.search(value):
        return True
    certain = _SURE_NAME.search(name) is not None or _RANDOM.fullmatch(value) is not None
    return certain and looks_secret(name, value)


def is_credential_header(name: str) -> bool:
    """Return whether an HTTP header carries nothing but a credential."""
    return name.lower() in _CREDENTIAL_HEADERS


def holds_git_credentials(address: str) -> bool:
    """Return whether the text behind `git:` has a user (but for ssh) or a password in it, or half of one as its port."""
    return _GIT_CREDENTIALS.match(address) is not None


def secret_arguments(words: Sequence[str], *, sure: bool = False) -> list[int]:
    """Return the indexes of the arguments that probably are or hold a secret; with `sure`, as `surely_secret` says it.

    That is `--token=X`, `--token X`, `--header "Authorization: Bearer X"` (also `-H`), and what is one by its form. Unlike a
    variable, an argument that is none has no other place: so a plain word is never sure to be one.
    """
    judge = _surely_an_argument if sure else looks_secret
    return [index for index, word in enumerate(words) if _is_suspect(word, words[index - 1] if index else "", judge)]


_Judge = Callable[[str, str], bool]


def _surely_an_argument(name: str, value: str) -> bool:
    return surely_secret(name, value) and _PLAIN_WORD.fullmatch(value) is None


def _is_suspect(word: str, before: str, judge: _Judge) -> bool:
    option, equals, value = word.partition("=")
    if equals and option.startswith("-"):
        name = option.lstrip("-")
        return judge(name, value) or _holds_secret_header(name, value, judge)
    name = before.lstrip("-") if before.startswith("--") and "=" not in before else ""
    header_option = before.lstrip("-") if before.startswith("-") else ""
    return judge("" if word.startswith("-") else name, word) or (
        _holds_secret_header(header_option, word, judge) or _holds_secret_header(word[1:2], word[2:], judge)
    )


def _holds_secret_header(option: str, text: str, judge: _Judge) -> bool:
    header = _HEADER.fullmatch(text.strip())
    if header is None or not (option == "H" or "header" in option.lower()):
        return False
    name, value = header.groups()
    return judge("token" if is_credential_header(name) else name, value.strip())
