"""What a package's maintainer scripts would do that matters and is not done for images: read from them, never run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hatchlock.realise.debs.package_file import Control
from hatchlock.realise.debs.triggers import triggers_of

__all__ = ["ScriptNeeds", "script_needs"]

# What they do is done: by `linker` and `trust`.
_DONE = frozenset({"ldconfig", "update-ca-certificates", "update-ca-certificates-fresh"})
# What they do is documentation, menus, byte code, or for systems that boot.
_NO_LOSS = re.compile(
    r"update-(menus|initramfs|sgmlcatalog)|install-info|doc-base|man-db|perl-major-upgrade|dictionaries-common|menu"
    r"|/(usr/(local/)?(share/)?|usr/X11R6/|opt/)(man|info|doc|doc-base|menu|applications|icons|fonts|texmf/fonts|ghostscript/fonts|bug|lintian)(/.*)?"
    r"|/usr/(lib|share)/(python3?[^/]*|pypy3?|menu|systemd|dbus-1|binfmt\.d|sysctl\.d|udev|debianutils|reportbug)(/.*)?"
    r"|/etc/(systemd|dbus-1|init\.d|rc.\.d|menu[^/]*|sgml)(/.*)?|/usr/share/(sgml|xml|dictionaries-common)(/.*)?"
    r"|/boot(/.*)?|/lib/(systemd|modules|udev)(/.*)?|/usr/lib/modules(/.*)?"
)
_CONTINUED = re.compile(r"\\\n")
_COMMENT = re.compile(r"(?m)^\s*#.*$")
_COMMAND = re.compile(
    r"(?:^|[\s;&|({`])(?P<program>update-alternatives|adduser|addgroup|useradd|groupadd|dpkg-divert)"
    r"(?P<words>(?:\s+|(?=;))[^\n;&|]*)"
)
_SET = re.compile(r"(?m)^\s*(?:local\s+|readonly\s+)?(\w+)=(\"[^\"$`]*\"|'[^']*'|[^\s\"'$`;]+)\s*$")
_USE = re.compile(r"\$\{?(\w+)\}?")
_LOOP = re.compile(r"\bfor\s+(\w+)\s+in\s+([^;\n]+)")
_LOOKS_ONLY = frozenset({"--remove", "--remove-all", "--list", "--listpackage", "--truename", "--help", "--version"})
_WITH_VALUE = frozenset(
    {
        *(
            "--home",
            "--shell",
            "--ingroup",
            "--uid",
            "--gid",
            "--gecos",
            "--comment",
            "--firstuid",
            "--lastuid",
            "--conf",
        ),
        *("--firstgid", "--lastgid", "--add_extra_groups", "--home-dir", "--groups", "--base-dir", "--expiredate"),
        *("-d", "-s", "-g", "-c", "-u", "-G", "-b", "-e", "-f", "-k", "-K", "-p", "--package", "--divert"),
    }
)
_SYSUSERS = re.compile(r"(?m)^[0-9a-f]{32}\s+(usr/lib/sysusers\.d/[^/\n]+\.conf)$")
_SHOWN = 3
_EACH_AT_MOST = 256
# other names for pages of the manual
_PAGES = "/usr/share/man/"


@dataclass(frozen=True, kw_only=True, slots=True)
class ScriptNeeds:
    """What is done for a package when it is installed, and not when it becomes part of an image. All sorted.

    Attributes:
        alternatives: The links that it has set up: `/usr/bin/awk`.
        accounts: The users and groups that it adds, or the file that lists them.
        diversions: The files of others that it moves away.
        triggers: What it waits for to renew something, or sets off for others to do it.
    """

    alternatives: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    diversions: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()

    @property
    def acts(self) -> str:
        """What it does, as the predicate of a sentence; "" if it does nothing that matters."""
        parts = [
            f"{what} ({_shown(names)})"
            for what, names in (
                ("sets up alternatives", self.alternatives),
                ("adds users or groups", self.accounts),
                ("moves away files of other packages", self.diversions),
                ("renews what others bring", self.triggers),
            )
            if names
        ]
        return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def script_needs(control: Control) -> ScriptNeeds:
    """Read what a package's scripts say plainly.

    What they work out while they run is not seen: this is for warnings, and decides nothing.
    """
    alternatives: set[str] = set()
    accounts: set[str] = set()
    diversions: set[str] = set()
    for name in ("preinst", "postinst"):
        script = _plain(control.members.get(name, b"").decode(errors="replace"))
        loops = {variable: values.split() for variable, values in _LOOP.findall(script)}
        for program, words in _commands(script):
            if program == "update-alternatives":
                alternatives |= {each for link in _links(words) for each in _each(link, loops)}
            elif program == "dpkg-divert":
                diversions |= set(() if _LOOKS_ONLY & set(words) else _operands(words))
            else:
                accounts |= set(_operands(words)[:1])
    accounts |= {f"/{path}" for path in _SYSUSERS.findall(control.members.get("md5sums", b"").decode(errors="replace"))}
    names = {item.name for item in triggers_of(control)}
    return ScriptNeeds(
        alternatives=tuple(sorted(alternatives)),
        accounts=tuple(sorted(accounts)),
        diversions=tuple(sorted(diversions)),
        triggers=tuple(sorted(name for name in names - _DONE if not _NO_LOSS.fullmatch(name))),
    )


def _plain(script: str) -> str:
    """Return a shell script in whole lines and without comments, with variables filled in that have one plain value."""
    text = _COMMENT.sub("", _CONTINUED.sub(" ", script))
    values: dict[str, str] = {}
    for name, value in _SET.findall(text):
        values.setdefault(name, value.strip("\"'"))
    return _USE.sub(lambda found: values.get(found[1], found[0]), text)


def _commands(script: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the programs that a script names, with their arguments."""
    for match in _COMMAND.finditer(script):
        try:
            yield match["program"], shlex.split(match["words"], comments=True)
        except ValueError:  # a quote without an end
            yield match["program"], match["words"].split()


def _each(link: str, loops: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what a link with variables of loops in it stands for; itself, if that is not plain."""
    found = [link]
    for variable, values in loops.items():
        use = re.compile(rf"\$(?:{variable}\b|\{{{variable}\}})")
        is_plain = not any("$" in value for value in values) and len(found) * len(values) <= _EACH_AT_MOST
        if use.search(link) and is_plain:
            found = [value.join(use.split(item)) for item in found for value in values]
    return found


def _links(words: Iterable[str]) -> Iterator[str]:
    before = ""
    for word in words:
        is_link = word.startswith(("/", "$")) and not word.startswith(_PAGES)
        if before in {"--install", "--slave"} and is_link:
            yield word
        before = word


def _operands(words: Iterable[str]) -> list[str]:
    """Return the arguments that are no options, up to where the shell sends output elsewhere."""
    found: list[str] = []
    skip = False
    for word in words:
        if re.match(r"\d*[<>]", word):
            break
        if not skip and not word.startswith("-"):
            found.append(word)
        skip = not skip and word in _WITH_VALUE
    return found


def _shown(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN
    listed = ", ".join(names[:_SHOWN])
    return f"{listed} and {more} more" if more > 0 else listed
