"""The kinds of text that a manifest's values are, each with its check and its JSON Schema."""

from __future__ import annotations

import datetime as dt
import re
import shlex
from collections.abc import Callable
from typing import Annotated, Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from hatchlock.address import Kind
from hatchlock.launch import size_in_bytes
from hatchlock.manifest.client_fields import CLIENT_FIELDS
from hatchlock.manifest.model import PLATFORMS, moment, seconds
from hatchlock.manifest.problem import did_you_mean
from hatchlock.manifest.specs import check_base, check_source, check_url
from hatchlock.manifest.wrong import Wrong

__all__ = [
    "CLIENTS",
    "NAME_LENGTH",
    "NAME_PATTERN",
    "AbsolutePath",
    "AdoptedAddress",
    "AppArmor",
    "Argument",
    "Base",
    "Capability",
    "ClientName",
    "Duration",
    "Format",
    "HostPort",
    "Moment",
    "Name",
    "NodeVersion",
    "OwnedAddress",
    "Platform",
    "PythonVersion",
    "RegistryHost",
    "RegistryMirror",
    "SELinux",
    "Seccomp",
    "Secret",
    "ServerAddress",
    "Size",
    "SnapshotId",
    "SourceText",
    "Specifier",
    "Text",
    "Url",
    "User",
    "VariableName",
    "VersionNumber",
]

_PATH_OF_VOLUME = r"/[^\0@]+(?:@process)?"
NAME_PATTERN = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
NAME_LENGTH = 64

CLIENTS = tuple(CLIENT_FIELDS)
_SECCOMP_WORDS = ("default", "unconfined")

_CAPABILITIES = (
    *("AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN"),
    *("DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE"),
    *("LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST"),
    *("NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT"),
    *("SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME"),
    *("SYS_TTY_CONFIG", "WAKE_ALARM"),
)

_ENTRY_OR_VOLUME = rf"client:[a-z0-9-]+/{NAME_PATTERN}|volume:{NAME_PATTERN}{_PATH_OF_VOLUME}"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEPT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HOST_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9*_.-]+):(?P<port>[0-9]{1,5})")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"(?!.{{254}})(?:{_LABEL}\.)*{_LABEL}")
_REGISTRY = re.compile(r"(?:\[[0-9a-f:]+\]|[A-Za-z0-9][A-Za-z0-9.-]*)(?::[0-9]{1,5})?")
_MIRROR = re.compile(rf"{_REGISTRY.pattern}(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")
_USER = re.compile(r"([0-9]{1,10})(?::([0-9]{1,10}))?")
_LARGEST_ID = (1 << 32) - 2


def _pattern(pattern: str, refuse: Callable[[str], Wrong]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise refuse(text)
        return text

    return check


def _word(check: Callable[[str], str], **schema: Any) -> Any:
    return (AfterValidator(check), WithJsonSchema({"type": "string", **schema}))


_SURROGATE = re.compile(r"[\ud800-\udfff]")
"""JSON can write half of a character, and UTF-8 cannot."""


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise Wrong("it holds a NUL character, which no program can be given")
    if _SURROGATE.search(text):
        raise Wrong("it holds half of a character, which is no text")
    return text


def _name(text: str) -> str:
    if len(text) > NAME_LENGTH:
        raise Wrong(f"{text!r} is longer than {NAME_LENGTH} characters, and names go into image tags and paths")
    if re.fullmatch(NAME_PATTERN, text) is None:
        suggestion = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
        raise Wrong(
            f"{text!r} is no name: lowercase letters and digits, joined by single '.', '_' or '-'",
            f"write {suggestion!r}" if suggestion else "",
        )
    return text


def _client(text: str) -> str:
    if text not in CLIENTS:
        raise Wrong(f"there is no client {text!r}", did_you_mean(text, CLIENTS, f"known are {', '.join(CLIENTS)}"))
    return text


def _platform(text: str) -> str:
    if text not in PLATFORMS:
        raise Wrong(
            f"there is no platform {text!r}", did_you_mean(text, PLATFORMS, f"known are {', '.join(PLATFORMS)}")
        )
    return text


def _capability(text: str) -> str:
    word = text.upper().removeprefix("CAP_")
    if word == "ALL":
        raise Wrong("'ALL' gives a server everything", "name the capabilities that it needs")
    if word not in _CAPABILITIES:
        raise Wrong(f"there is no capability {text!r}", did_you_mean(word, _CAPABILITIES))
    return word


def _specifier(text: str) -> str:
    try:
        SpecifierSet(text)
    except InvalidSpecifier as error:
        raise Wrong(f"{text!r} is not a version specifier of PEP 440", "write >=0.1,<1") from error
    return text


def _size(text: str) -> str:
    try:
        number = size_in_bytes(text)
    except ValueError as error:
        raise Wrong(f"{text!r} is no size", "write a whole number with k, m or g, such as 512m") from error
    if number >= 1 << 62:
        raise Wrong(f"{text!r} is more than any machine has")
    return text


def _user(text: str) -> str:
    match = _USER.fullmatch(text)
    root = text.partition(":")[0] == "root" or (match is not None and int(match[1]) == 0)
    if root or (match is not None and match[2] is not None and int(match[2]) == 0):
        raise Wrong(f"{text!r} is root, and no server runs as root", "leave it out, or write another UID:GID")
    if match is None:
        raise Wrong(f"{text!r} is no numeric user", "write UID:GID, such as 10001:10001: names differ between images")
    uid, gid = int(match[1]), int(match[2] or match[1])
    if max(uid, gid) > _LARGEST_ID:
        raise Wrong(f"{text!r} is beyond the largest user id")
    return f"{uid}:{gid}"


def _absolute(text: str) -> str:
    _no_nul(text)
    if not text.startswith("/") or ".." in text.split("/") or text.strip("/") == "":
        raise Wrong(f"{text!r} is no absolute path below the root, without '..'")
    return text


def _seccomp(text: str) -> str:
    if text in _SECCOMP_WORDS:
        return text
    if "/" not in text and not text.endswith(".json"):
        advice = did_you_mean(text, _SECCOMP_WORDS, "write ./profile.json for a file of the project")
        raise Wrong(f"{text!r} is neither a word for a profile nor a file", advice)
    if text.startswith(("/", "~")) or ".." in text.split("/") or "\0" in text:
        raise Wrong(f"the profile {text!r} is no file of the project", "copy it there, and write ./profile.json")
    return text


def _selinux(text: str) -> str:
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text) is None:
        raise Wrong(f"{text!r} is no SELinux type", 'write a type alone, such as container_t, or "disable"')
    return text


def _host_port(text: str) -> str:
    match = _HOST_PORT.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 1 << 16:
        raise Wrong(f"{text!r} is not host:port", "write api.example.com:443")
    host, port = match["host"], match["port"]
    if "*" in host:
        raise Wrong(f"{text!r} is a pattern, and each host is named in full", "write api.example.com:443")
    if host.startswith("[") or host.replace(".", "").isdigit():
        here = host.startswith("127.") or host == "[::1]"
        advice = f"write localhost:{port}" if here else "give it a name, in DNS or in this machine's /etc/hosts"
        raise Wrong(f"{text!r} is an address, and a server reaches hosts by their names only", advice)
    if _HOST_NAME.fullmatch(host) is None:
        raise Wrong(f"{host!r} is no name of a host", "write api.example.com:443")
    return text


def _secret(text: str) -> str:
    kind, _, rest = text.partition(":")
    if kind not in {"env", "file", "keyring", "command"}:
        raise Wrong(
            "a secret is a reference, never a value, and this is neither env: file: keyring: nor command:",
            "write keyring:NAME, file:PATH, file:PATH#NAME, env:NAME or command:PROGRAM ARGUMENT…",
        )
    if not rest or (kind == "env" and _VARIABLE.fullmatch(rest) is None):
        raise Wrong(f"{kind}: is not followed by {'the name of a variable' if kind == 'env' else 'anything'}")
    if kind == "keyring" and _KEPT_NAME.fullmatch(rest) is None:
        raise Wrong("keyring: is followed by a name of letters, digits, '.', '_' and '-'", "write keyring:acme-token")
    if kind == "keyring" and rest.startswith("login."):
        raise Wrong("names that begin with login. are for tokens of `hatchlock login`", "give the secret another name")
    if kind == "command":
        _command_words(rest)
    return _no_nul(text)


def _command_words(text: str) -> None:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise Wrong("the words of command: cannot be told apart: a quotation is not closed") from error
    if not words or not words[0]:
        raise Wrong("command: is not followed by a program")


def _secret_argument(value: object) -> object:
    if isinstance(value, dict) and "secret" in value:
        raise Wrong(
            "an argument is no place for a secret: everyone on this machine can read arguments",
            'give it as a variable, env.NAME = { secret = … }, or as a file: as = "file"',
        )
    return value


def _format(text: str) -> str:
    if text.count("{}") != 1 or text.count("{") != 1 or text.count("}") != 1:
        raise Wrong("a format has exactly one {}, where the secret goes", 'write format = "Bearer {}"')
    return text


def _duration(text: str) -> str:
    try:
        seconds(text)
    except ValueError as error:
        raise Wrong(f"{text!r} is no duration", "write 30s, 10m, 12h, 7d or 2w") from error
    return text


def _date_as_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, (dt.date, dt.datetime)) else value


def _moment(text: str) -> str:
    try:
        moment(text, dt.datetime.now(dt.UTC))
    except ValueError as error:
        raise Wrong(
            f"{text!r} is neither a duration nor a date nor a time with its offset",
            "write 7d, 2026-01-31 or 2026-01-31T12:00:00Z",
        ) from error
    return text


def _registry(text: str) -> str:
    if _REGISTRY.fullmatch(text) is None:
        raise Wrong(f"{text!r} is no registry", 'write host[:port], quoted: [registries."127.0.0.1:5000"]')
    return text


def _mirror(text: str) -> str:
    if "@" in text:
        raise Wrong("the mirror holds credentials, and a manifest holds none", "log in with `docker login`")
    if _MIRROR.fullmatch(text) is None:
        raise Wrong(f"{text!r} is no registry", "write host[:port], or host[:port]/path, without https://")
    return text


Text = Annotated[str, AfterValidator(_no_nul)]
Name = Annotated[str, *_word(_name, pattern=f"^{NAME_PATTERN}$", maxLength=NAME_LENGTH)]
ClientName = Annotated[str, *_word(_client, enum=sorted(CLIENTS))]
Platform = Annotated[str, *_word(_platform, enum=list(PLATFORMS))]
Capability = Annotated[str, *_word(_capability, examples=["NET_BIND_SERVICE"])]
VariableName = Annotated[
    str,
    *_word(
        _pattern(_VARIABLE.pattern, lambda text: Wrong(f"{text!r} is no name of an environment variable")),
        pattern=f"^{_VARIABLE.pattern}$",
    ),
]
PythonVersion = Annotated[
    str,
    *_word(
        _pattern(
            r"(managed:)?3\.\d{1,2}(\.\d{1,3})?",
            lambda text: Wrong(
                f"{text!r} is no Python version", "write 3.11, 3.11.9, or managed:3.11 for uv's own builds"
            ),
        ),
        pattern=r"^(managed:)?3\.\d{1,2}(\.\d{1,3})?$",
    ),
]
NodeVersion = Annotated[
    str,
    *_word(
        _pattern(r"\d{1,3}(\.\d{1,3}){0,2}", lambda text: Wrong(f"{text!r} is no Node version", "write 22 or 22.4")),
        pattern=r"^\d{1,3}(\.\d{1,3}){0,2}$",
    ),
]
VersionNumber = Annotated[
    str,
    *_word(
        _pattern(r"\d{1,3}\.\d{1,3}", lambda text: Wrong(f"{text!r} is no version", "write two numbers: 2.28")),
        pattern=r"^\d{1,3}\.\d{1,3}$",
    ),
]
SnapshotId = Annotated[
    str,
    *_word(
        _pattern(
            r"\d{8}T\d{6}Z",
            lambda text: Wrong(f"{text!r} is no id of a snapshot", "write the moment in UTC, such as 20260701T000000Z"),
        ),
        pattern=r"^\d{8}T\d{6}Z$",
    ),
]
SourceText = Annotated[str, *_word(check_source, pattern=f"^({'|'.join(Kind)}):.+$")]
Base = Annotated[str, *_word(check_base, pattern="^oci:.+$")]
Specifier = Annotated[str, *_word(_specifier)]
Size = Annotated[str, *_word(_size, pattern="^[0-9]+[kmg]?$")]
User = Annotated[str, *_word(_user, pattern="^[0-9]+(:[0-9]+)?$")]
Seccomp = Annotated[str, *_word(_seccomp, minLength=1)]
AppArmor = Annotated[
    str,
    *_word(
        _pattern(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*", lambda text: Wrong(f"{text!r} is no name of an AppArmor profile")),
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./+-]*$",
    ),
]
SELinux = Annotated[str, *_word(_selinux, pattern="^[A-Za-z][A-Za-z0-9_]*$")]
AbsolutePath = Annotated[str, *_word(_absolute, pattern="^/.+$")]
HostPort = Annotated[str, *_word(_host_port, pattern="^.+:[0-9]+$")]
Argument = Annotated[Text, BeforeValidator(_secret_argument)]
Secret = Annotated[str, *_word(_secret, pattern="^(env|file|keyring|command):.+$")]
Format = Annotated[str, *_word(_format, pattern=r"^[^{}]*\{\}[^{}]*$")]
Url = Annotated[str, *_word(check_url, pattern="^https?://.+$")]
Duration = Annotated[str, *_word(_duration, pattern="^[0-9]{1,6}[smhdw]$")]
Moment = Annotated[str, *_word(_moment), BeforeValidator(_date_as_text)]
RegistryHost = Annotated[str, *_word(_registry)]
RegistryMirror = Annotated[str, *_word(_mirror)]
ServerAddress = Annotated[
    str,
    *_word(
        _pattern(rf"server:{NAME_PATTERN}", lambda text: Wrong(f"{text!r} is no server", "write server:NAME")),
        pattern=f"^server:{NAME_PATTERN}$",
    ),
]
OwnedAddress = Annotated[
    str,
    *_word(
        _pattern(
            rf"server:{NAME_PATTERN}|{_ENTRY_OR_VOLUME}",
            lambda text: Wrong(
                f"{text!r} is none of our addresses", "write server:NAME, client:APPLICATION/NAME or volume:NAME/PATH"
            ),
        ),
        pattern="^(server|client|volume):.+$",
    ),
]
AdoptedAddress = Annotated[
    str,
    *_word(
        _pattern(
            rf"{_ENTRY_OR_VOLUME}|(?:container|network):.+",
            lambda text: Wrong(
                f"{text!r} is nothing that can be adopted", "write client:APPLICATION/NAME or volume:NAME/PATH"
            ),
        ),
        pattern="^(client|volume|container|network):.+$",
    ),
]
