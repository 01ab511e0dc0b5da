"""What programs say when a sandbox stops them, and which of it the sandbox explains. Pure.

The texts are those of Python, Node, Go, Rust, the C library and the usual tools; tests collect them from real programs.
A text counts only when the profile is a reason for it: a full disk below a mount is the machine's affair.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from hatchlock.launch import Runtime, Sandbox, is_below
from hatchlock.security.denials import Denial
from hatchlock.security.sandbox import HOME_INSIDE

__all__ = ["ProfileFacts", "denials_in", "place_in"]

_TEMPORARY = ("/tmp", "/dev/shm", HOME_INSIDE)  # noqa: S108  inside the sandbox
_LONGEST = 4096
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_MEMORY = re.compile(
    r"^(?:\w+\.)*\w*MemoryError(?::|$)|JavaScript heap out of memory|std::bad_alloc|memory allocation of \d+ bytes failed"
    r"|runtime: (?:out of memory|cannot allocate memory)|Array buffer allocation failed|java\.lang\.OutOfMemoryError"
    r"|Fatal process out of memory|\bCannot allocate memory\b",
)
_PROCESSES = re.compile(
    r"can't start new thread|Cannot fork\b|\bfork: (?:retry: )?Resource temporarily unavailable|failed to spawn thread"
    r"|failed to create new OS thread|pthread_create.*(?:Resource temporarily unavailable|EAGAIN)|\bspawn \S+ EAGAIN"
    r"|unable to create (?:new )?native thread"
)
_FILES = re.compile(r"\bToo many open files(?! in system)|\bEMFILE\b|: too many open files")
_READ_ONLY = re.compile(r"read-only file ?system|\bEROFS\b|attempt to write a readonly database", re.IGNORECASE)
_FORBIDDEN = re.compile(r"permission denied|\bEACCES\b", re.IGNORECASE)
_NOT_PERMITTED = re.compile(r"operation not permitted|\bEPERM\b", re.IGNORECASE)
_FULL = re.compile(r"no space left on device|\bENOSPC\b", re.IGNORECASE)
_WATCHERS = re.compile(r"file watchers|inotify")
_MISSING = re.compile(r"no such file or directory|\bENOENT\b|cannot find module", re.IGNORECASE)
_UNRESOLVED = re.compile(
    r"temporary failure in name resolution|name or service not known|name does not resolve|failed to resolve"
    r"|could not resolve host|\bEAI_AGAIN\b|\bENOTFOUND\b|no such host|\bdns error\b|failed to lookup address information"
    r"|nodename nor servname provided|server misbehaving|lookup \S+ on \S+: .*(?:unreachable|refused)",
    re.IGNORECASE,
)
_UNREACHABLE = re.compile(r"network is unreachable|\bENETUNREACH\b|no route to host|\bEHOSTUNREACH\b", re.IGNORECASE)
_REFUSED = re.compile(
    r"connection refused|\bECONNREFUSED\b|all connection attempts failed|connect call failed", re.IGNORECASE
)

_DUBIOUS = re.compile(r"dubious ownership in (?:the )?repository at '?(?P<path>/[^\s']*[^\s'.])")

_AFTER = re.compile(r"""(?::|,)\s(?:[a-z]+\s)?(?:'(?P<single>[^']+)'|"(?P<double>[^"]+)")""")
_QUOTED = re.compile(r"""['"\u2018](?P<path>/[^'"\u2019]*)['"\u2019]""")
_BEFORE = re.compile(r"""(?P<path>/[^\s:'"\u2018\u2019]+):\s(?:[a-z ]*: )?$""")
_VERB = re.compile(r"\b(mkdir|open|rename|unlink|rmdir|symlink|link|copyfile|truncate|chown|fchown|lchown|chmod|mknod|cannot (?:create|touch|make))\b")  # fmt: skip
_DIRECTORY = re.compile(r"\bmkdir\b|\bcreate directory\b")
_MAKES = frozenset({"mkdir", "rename", "unlink", "rmdir", "symlink", "link", "copyfile", "truncate", "mknod"})
_LISTEN = re.compile(r"(?:listen|bind)\S*:? (?:EACCES: permission denied|.*permission denied)", re.IGNORECASE)
_PORT = re.compile(r":(\d{1,4})\b")
_LOWEST_PORT = 1024

_URL = re.compile(rf"\b(?P<scheme>https?|wss?)://(?:[^/\s@]*@)?(?P<host>{_NAME})(?::(?P<port>\d+))?")
_HOSTS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"HTTPS?ConnectionPool\(host='(?P<host>{_NAME})', port=(?P<port>\d+)\)",
        rf"Cannot connect to host (?P<host>{_NAME}):(?P<port>\d+)",
        rf"getaddrinfo (?:EAI_AGAIN|ENOTFOUND) (?P<host>{_NAME})(?::(?P<port>\d+))?",
        _URL.pattern,
        rf"Failed to resolve '(?P<host>{_NAME})'",
        rf"\blookup (?P<host>{_NAME})(?: on \S+)?: ",
        rf"[Cc]ould not resolve host(?:name)?:? \"?(?P<host>{_NAME})",
        rf"hostname: '(?P<host>{_NAME})'",
        rf"host name \"(?P<host>{_NAME})\"",
    )
)
_ADDRESS = re.compile(r"(?<![\d.])(?P<host>\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:]+\])(?:\)?, port |:)(?P<port>\d+)\b")
_PORTS = {"http": "80", "ws": "80", "https": "443", "wss": "443"}
_PLACE = re.compile(r"""^\s+File "(?P<path>/[^"]+)", line (?P<line>\d+)""")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileFacts:
    """What decides whether a sandbox explains a complaint.

    Attributes:
        sandbox: The profile.
        runtime: Where the server runs.
        cwd: Its working directory.
        absent: Absolute paths among its arguments and variables that this machine has and its sandbox has not.
        named: Those that neither has.
    """

    sandbox: Sandbox
    runtime: Runtime
    cwd: str = HOME_INSIDE
    absent: frozenset[str] = field(default_factory=frozenset)
    named: frozenset[str] = field(default_factory=frozenset)


def denials_in(line: str, facts: ProfileFacts, *, directory: bool = False) -> tuple[Denial, ...]:
    """Return what a line of a server's stderr says that its sandbox has stopped; usually nothing.

    Args:
        line: Without its end. What is longer than 4,096 characters is read so far.
        facts: The profile.
        directory: Whether the lines before it were about making a directory: a traceback's last line does not say.
    """
    line = line[:_LONGEST]
    for text, explain in _RULES:
        if text.search(line):
            made = directory or _DIRECTORY.search(line)
            return tuple(_slashed(denial) if made else denial for denial in explain(line, facts))
    return ()


def _slashed(denial: Denial) -> Denial:
    return replace(denial, what=f"{denial.what}/") if denial.kind == "write" and denial.what else denial


def place_in(line: str) -> str:
    """Return `PATH:LINE` where a line of a Python traceback names one, else ""."""
    match = _PLACE.match(line)
    return f"{match['path']}:{match['line']}" if match else ""


def _memory(_: str, facts: ProfileFacts) -> Iterator[Denial]:
    yield Denial(kind="memory", what=facts.sandbox.memory)


def _processes(_: str, facts: ProfileFacts) -> Iterator[Denial]:
    yield Denial(kind="processes", what=str(facts.sandbox.pids))


def _files(_: str, facts: ProfileFacts) -> Iterator[Denial]:
    yield Denial(kind="files", what=str(facts.sandbox.files))


def _read_only(line: str, facts: ProfileFacts) -> Iterator[Denial]:
    path = _path(line, facts)
    if path and (missing := _absent(path, facts, above=True)):
        yield Denial(kind="mount", what=missing)
    elif not path or not _is_kept(path, facts.sandbox):
        yield Denial(kind="write", what=path)


def _forbidden(line: str, facts: ProfileFacts) -> Iterator[Denial]:
    if _LISTEN.search(line) and (port := _low_port(line)):
        yield Denial(kind="system-call", what=f"listen on port {port}")
        return
    path = _path(line, facts)
    if not path or _is_temporary(path):
        return
    if any(is_below(path, mount.target) for mount in facts.sandbox.mounts):
        yield Denial(kind="ownership", what=path)
    elif not _is_kept(path, facts.sandbox) and _makes(line):
        yield Denial(kind="write", what=path)


def _dubious(line: str, facts: ProfileFacts) -> Iterator[Denial]:
    """Git works on nobody else's repository."""
    match = _DUBIOUS.search(line)
    if match and any(is_below(match["path"], mount.target) for mount in facts.sandbox.mounts):
        yield Denial(kind="ownership", what=match["path"])


def _not_permitted(line: str, facts: ProfileFacts) -> Iterator[Denial]:
    verb = _VERB.search(line)
    path = _path(line, facts)
    if path and ((verb and "chown" in verb[1]) or "changing ownership" in line):
        yield Denial(kind="system-call", what=f"change the owner of {path}")


def _full(line: str, facts: ProfileFacts) -> Iterator[Denial]:
    path = _path(line, facts)
    if not _WATCHERS.search(line) and (not path or _is_temporary(path)):
        yield Denial(kind="space", what=facts.sandbox.tmp)


def _missing(line: str, facts: ProfileFacts) -> Iterator[Denial]:
    path = _path(line, facts)
    if missing := path and _absent(path, facts):
        yield Denial(kind="mount", what=missing)
    elif path and (named := _made_for(path, line, facts)):
        yield Denial(kind="write", what=named)


def _made_for(path: str, line: str, facts: ProfileFacts) -> str:
    """Return which of the paths that it was told of it wanted to make: itself, or a temporary file beside it; "" for none."""
    return next((name for name in facts.named if path.startswith(f"{name}.") or (path == name and _makes(line))), "")


def _unresolved(line: str, facts: ProfileFacts) -> Iterator[Denial]:
    if _is_limited(facts.sandbox):
        host, port = _host(line)
        wanted = f"{host}:{port}" if port else host
        if wanted not in facts.sandbox.network and not _is_local(host):
            yield Denial(kind="network", what=wanted)


def _unreachable(line: str, facts: ProfileFacts) -> Iterator[Denial]:
    if not _is_limited(facts.sandbox):
        return
    address = _ADDRESS.search(line)
    if address:
        yield Denial(kind="network", what=f"{address['host']}:{address['port']}")
    else:
        yield from _unresolved(line, facts)


def _refused(line: str, facts: ProfileFacts) -> Iterator[Denial]:
    """A service of this machine on its loopback, of which a sandbox has its own."""
    match = _ADDRESS.search(line)
    host, port = (match["host"], match["port"]) if match else _host(line)
    if not (port and _is_limited(facts.sandbox) and _is_local(host)):
        return
    wanted = f"localhost:{port}"
    if wanted not in facts.sandbox.network:
        yield Denial(kind="network", what=wanted)


_Explain = Callable[[str, ProfileFacts], Iterator[Denial]]
_RULES: tuple[tuple[re.Pattern[str], _Explain], ...] = (
    (_MEMORY, _memory),
    (_PROCESSES, _processes),
    (_FILES, _files),
    (_READ_ONLY, _read_only),
    (_FULL, _full),
    (_UNRESOLVED, _unresolved),
    (_UNREACHABLE, _unreachable),
    (_REFUSED, _refused),
    (_DUBIOUS, _dubious),
    (_FORBIDDEN, _forbidden),
    (_NOT_PERMITTED, _not_permitted),
    (_MISSING, _missing),
)


def _is_limited(sandbox: Sandbox) -> bool:
    return sandbox.network not in {("internet",), ("host",)}


def _is_local(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "[::1]"


def _host(line: str) -> tuple[str, str]:
    for pattern in _HOSTS:
        if match := pattern.search(line):
            found = match.groupdict()
            return found["host"].lower(), found.get("port") or _PORTS.get(found.get("scheme") or "", "")
    return "", ""


def _low_port(line: str) -> str:
    return next((port for port in _PORT.findall(line) if 0 < int(port) < _LOWEST_PORT), "")


def _makes(line: str) -> bool:
    verb = _VERB.search(line)
    return verb is not None and (verb[1] in _MAKES or verb[1].startswith("cannot"))


def _path(line: str, facts: ProfileFacts) -> str:
    """Return the path that a complaint names, absolute; "" for none."""
    said = next((found for text in _ERRORS if (found := text.search(line))), None)
    if said is None:
        return ""
    before, after = line[: said.start()], line[said.end() :]
    if match := _AFTER.match(after):
        path = match["single"] or match["double"]
        return str(PurePosixPath(facts.cwd) / path)
    if match := _BEFORE.search(before):
        return match["path"]
    quoted = _QUOTED.findall(before) or _QUOTED.findall(after)
    return quoted[-1] if quoted else ""


_ERRORS = tuple(
    re.compile(text, re.IGNORECASE)
    for text in (
        *("read-only file ?system", "permission denied", "operation not permitted", "no space left on device"),
        *("too many open files", "no such file or directory", "cannot find module"),
    )
)


def _is_temporary(path: str) -> bool:
    return any(is_below(path, place) for place in _TEMPORARY)


def _is_kept(path: str, sandbox: Sandbox) -> bool:
    """Whether it may write there, and what it writes stays: then it is not the sandbox that says no."""
    around = [mount for mount in sandbox.mounts if is_below(path, mount.target)]
    if around:
        return max(around, key=lambda mount: len(mount.target)).mode == "rw"
    return any(is_below(path, place) for place in sandbox.writable)


def _absent(path: str, facts: ProfileFacts, *, above: bool = False) -> str:
    """Return which of the absent paths a path lies in, or (`above`) was to be made for."""
    found = [item for item in facts.absent if is_below(path, item) or (above and is_below(item, path))]
    return max(found, key=len, default="")
