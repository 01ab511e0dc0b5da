"""What programs say when a sandbox stops them, and the lines of the manifest that would permit it.

The lines were said by real programs under the sandbox: Python 3.11, Node 20, Rust, Go, curl, git, dash, coreutils.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatchlock.launch import LaunchRecord, Mount, Sandbox
from hatchlock.manifest.load import load_bytes
from hatchlock.security.complaints import ProfileFacts, denials_in, place_in
from hatchlock.security.denials import Denial, DenialKind, advice, changes, changes_of, permit, sentence
from hatchlock.serve.denials import Denials, explanation
from hatchlock.state.denials import read_denials

MOUNTS = (
    Mount(source="/work/project/notes", target="/notes"),
    Mount(source="/work/shared", target="/shared", mode="rw"),
)
ABSENT = frozenset({"/home/ann/reports"})
NAMED = frozenset({"/data/time.db"})


def record(**fields: object) -> LaunchRecord:
    sandbox = Sandbox(**{"mounts": MOUNTS, "reason": "", **fields})  # type: ignore[arg-type]
    return LaunchRecord(
        project="p",
        server="time",
        runtime="container",
        argv=("/usr/bin/python3", "/app/server.py", "--db", "/data/time.db"),
        cwd="/app",
        key="0" * 64,
        sandbox=sandbox,
        directory="/work/project",
    )


def facts(**fields: object) -> ProfileFacts:
    return ProfileFacts(sandbox=record(**fields).sandbox, runtime="container", cwd="/app", absent=ABSENT, named=NAMED)


def one(line: str, **fields: object) -> tuple[str, str] | None:
    found = denials_in(line, facts(**fields))
    assert len(found) <= 1
    return (found[0].kind, found[0].what) if found else None


SAID: list[tuple[str, DenialKind, str]] = [
    ("OSError: [Errno 30] Read-only file system: '/data/x'", "write", "/data/x"),
    ("OSError: [Errno 30] Read-only file system: '/data/a' -> '/data/b'", "write", "/data/a"),
    ("OSError: [Errno 30] Read-only file system: 'cache.db'", "write", "/app/cache.db"),
    ("OSError: [Errno 30] Read-only file system: '/notes/x'", "write", "/notes/x"),
    ("Error: EROFS: read-only file system, open '/data/x'", "write", "/data/x"),
    ("Error: EROFS: read-only file system, open '/tmp/store/env/x'", "write", "/tmp/store/env/x"),
    ("Error: EROFS: read-only file system, mkdir '/data/x'", "write", "/data/x/"),
    ("Error: EROFS: read-only file system, rename '/data/a' -> '/data/b'", "write", "/data/a"),
    ("2026/11/27 21:03:55 open /var/lib/foo/state: read-only file system", "write", "/var/lib/foo/state"),
    ("mkdir /data: read-only file system", "write", "/data/"),
    ("/bin/sh: 1: cannot create /data/x: Read-only file system", "write", "/data/x"),
    ("mkdir: cannot create directory '/data/x': Read-only file system", "write", "/data/x/"),
    ("mkdir: cannot create directory \u2018/data/x\u2019: Read-only file system", "write", "/data/x/"),
    ("touch: cannot touch '/data/y': Read-only file system", "write", "/data/y"),
    ("ln: failed to create symbolic link '/data/b': Read-only file system", "write", "/data/b"),
    ('Os { code: 30, kind: ReadOnlyFilesystem, message: "Read-only file system" }', "write", ""),
    ("sqlite3.OperationalError: attempt to write a readonly database", "write", ""),
    ("OSError: [Errno 30] Read-only file system: '/home/ann'", "mount", "/home/ann/reports"),
    ("FileNotFoundError: [Errno 2] No such file or directory: '/home/ann/reports/q3.csv'", "mount", "/home/ann/reports"),
    ("Error: ENOENT: no such file or directory, open '/home/ann/reports'", "mount", "/home/ann/reports"),
    ("ENOENT: no such file or directory, open '/data/time.db.4d0d0387cd3695a0.tmp'", "write", "/data/time.db"),
    ("Error: ENOENT: no such file or directory, mkdir '/data/time.db'", "write", "/data/time.db/"),
    ("PermissionError: [Errno 13] Permission denied: '/notes/private'", "ownership", "/notes/private"),
    ("Error: EACCES: permission denied, mkdir '/data/x'", "write", "/data/x/"),
    ("Error: EACCES: permission denied, open '/shared/x'", "ownership", "/shared/x"),
    ("OSError: [Errno 28] No space left on device", "space", "64m"),
    ("Error: ENOSPC: no space left on device, write", "space", "64m"),
    ("dd: error writing '/home/hatchlock/x': No space left on device", "space", "64m"),
    ("OSError: [Errno 24] Too many open files: '/usr/bin/env'", "files", "1024"),
    ("Error: EMFILE: too many open files, open '/usr/bin/env'", "files", "1024"),
    ("RuntimeError: can't start new thread", "processes", "128"),
    ("/bin/sh: 0: Cannot fork", "processes", "128"),
    ("bash: fork: retry: Resource temporarily unavailable", "processes", "128"),
    ("Error: spawn /bin/sleep EAGAIN", "processes", "128"),
    ('failed to spawn thread: Os { code: 11, kind: WouldBlock, message: "…" }', "processes", "128"),
    ("MemoryError", "memory", "512m"),
    ("numpy.core._exceptions._ArrayMemoryError: Unable to allocate 7.45 GiB for an array", "memory", "512m"),
    ("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", "memory", "512m"),
    ("  what():  std::bad_alloc", "memory", "512m"),
    ("RangeError: Array buffer allocation failed", "memory", "512m"),
    ("fatal error: runtime: out of memory", "memory", "512m"),
    ("memory allocation of 4294967296 bytes failed", "memory", "512m"),
    ("socket.gaierror: [Errno -3] Temporary failure in name resolution", "network", ""),
    ("urllib.error.URLError: <urlopen error [Errno -2] Name or service not known>", "network", ""),
    ("    [cause]: Error: getaddrinfo EAI_AGAIN api.example.com", "network", "api.example.com"),
    ("Error: getaddrinfo ENOTFOUND API.example.com", "network", "api.example.com"),
    ("(Caused by NameResolutionError(\"HTTPSConnection(host='api.example.com', port=8443): Failed to resolve 'api.example.com' ([Errno -3] Temporary failure in name resolution)\"))", "network", "api.example.com"),
    ("HTTPSConnectionPool(host='api.example.com', port=8443): Max retries exceeded with url: / (Caused by … Failed to resolve 'api.example.com')", "network", "api.example.com:8443"),
    ("aiohttp: Cannot connect to host api.example.com:443 ssl:default [Temporary failure in name resolution]", "network", "api.example.com:443"),
    ('Get "https://api.example.com/v1": dial tcp: lookup api.example.com on 10.0.0.2:53: dial udp 10.0.0.2:53: connect: network is unreachable', "network", "api.example.com:443"),
    ("dial tcp: lookup api.example.com: no such host", "network", "api.example.com"),
    ("error sending request for url (http://api.example.com/): dns error: failed to lookup address information", "network", "api.example.com:80"),
    ("curl: (6) Could not resolve host: api.example.com", "network", "api.example.com"),
    ("fatal: unable to access 'https://git.example.com/a/b/': Could not resolve host: git.example.com", "network", "git.example.com:443"),
    ("ssh: Could not resolve hostname git.example.com: Temporary failure in name resolution", "network", "git.example.com"),
    ("  [cause]: Error: connect ENETUNREACH 192.0.2.1:80 - Local (0.0.0.0:0)", "network", "192.0.2.1:80"),
    ("dial tcp 192.0.2.1:443: connect: network is unreachable", "network", "192.0.2.1:443"),
    ("OSError: [Errno 101] Network is unreachable", "network", ""),
    ("Error: connect ECONNREFUSED 127.0.0.1:5432", "network", "localhost:5432"),
    ('connection to server at "localhost" (127.0.0.1), port 5432 failed: Connection refused', "network", "localhost:5432"),
    ("fatal: detected dubious ownership in repository at '/notes'", "ownership", "/notes"),
    ("SHA is empty, possible dubious ownership in the repository at /shared/a.", "ownership", "/shared/a"),
    ("Failed to fetch http://localhost:8098/a: ConnectError('All connection attempts failed')", "network", "localhost:8098"),
    ("Cannot connect to host localhost:8098 ssl:default [Connect call failed ('127.0.0.1', 8098)]", "network", "localhost:8098"),
    ("HTTPConnectionPool(host='localhost', port=8098): Max retries exceeded (Caused by … Connection refused)", "network", "localhost:8098"),
    ("Error: listen EACCES: permission denied 0.0.0.0:80", "system-call", "listen on port 80"),
    ("Error: EPERM: operation not permitted, chown '/data'", "system-call", "change the owner of /data"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "kind", "what"), SAID, ids=[line[:60] for line, _, _ in SAID])
def test_what_programs_say_names_what_was_stopped(line: str, kind: DenialKind, what: str) -> None:
    assert one(line) == (kind, what)


@pytest.mark.parametrize(
    "line",
    [
        "INFO listening; permission denied errors are retried",
        "a MemoryError was handled",
        "cache: read-only mode",
        "OSError: [Errno 30] Read-only file system: '/shared/x'",
        "OSError: [Errno 28] No space left on device: '/shared/y'",
        "OSError: [Errno 28] No space left on device: '/shared/x'",
        "Error: ENOSPC: System limit for number of file watchers reached, watch '/notes'",
        "OSError: [Errno 23] Too many open files in system: '/x'",
        "FileNotFoundError: [Errno 2] No such file or directory: '/etc/nothing'",
        "PermissionError: [Errno 13] Permission denied: '/root/.config'",
        "Error: connect ECONNREFUSED 192.0.2.1:5432",
        "fatal: detected dubious ownership in repository at '/data/x'",
        "Failed to fetch http://api.example.com/: ConnectError('All connection attempts failed')",
        "Error: listen EACCES: permission denied /run/x.sock",
        "PermissionError: [Errno 1] Operation not permitted",
        "GET https://api.example.com/v1 200",
        "BlockingIOError: [Errno 11] Resource temporarily unavailable",
        "Error: ENOENT: no such file or directory, open '/data/time.db'",
        "Error: ENOENT: no such file or directory, open '/data/other.db.tmp'",
        "x" * 10_000 + " MemoryError",
    ],
)
def test_what_the_sandbox_does_not_explain_is_no_denial(line: str) -> None:
    assert one(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "Error: getaddrinfo ENOTFOUND api.example.com",
        "socket.gaierror: [Errno -3] Temporary failure in name resolution",
        "dial tcp 192.0.2.1:443: connect: network is unreachable",
        "Error: connect ECONNREFUSED 127.0.0.1:5432",
    ],
)
@pytest.mark.parametrize("network", ["internet", "host"])
def test_an_open_network_stops_nothing(line: str, network: str) -> None:
    assert one(line, network=(network,)) is None


def test_what_a_list_permits_is_not_stopped_by_it() -> None:
    line = "Error: connect ECONNREFUSED 127.0.0.1:5432"
    assert one(line, network=("localhost:5432",)) is None
    assert one(line, network=("localhost:5433",)) == ("network", "localhost:5432")


def test_a_traceback_about_directories_says_that_its_last_line_is_about_one() -> None:
    line = "OSError: [Errno 30] Read-only file system: '/opt/tool/cache'"
    assert denials_in(line, facts(), directory=True)[0].what == "/opt/tool/cache/"
    assert place_in('  File "/app/server.py", line 12, in main') == "/app/server.py:12"
    assert place_in('  File "<frozen os>", line 225, in makedirs') == ""


@given(st.text())
def test_no_line_is_too_odd(line: str) -> None:
    assert len(denials_in(line, facts())) <= 1


PERMITS: list[tuple[DenialKind, str, str]] = [
    ("network", "api.example.com:8443", 'network = ["api.example.com:8443"]'),
    ("network", "api.example.com", 'network = ["api.example.com:443"]'),
    ("write", "/data/x", 'writable = ["/data"]'),
    ("write", "/data/", 'writable = ["/data"]'),
    ("write", "/var/lib/foo/state.db", 'writable = ["/var/lib/foo"]'),
    ("write", "/app/cache/", 'writable = ["/app/cache"]'),
    (
        "write",
        "/notes/x",
        'mounts = [{ source = "./notes", target = "/notes", mode = "rw" }, { source = "/work/shared", target = "/shared", mode = "rw" }]',
    ),
    ("memory", "512m", 'memory = "1g"'),
    ("space", "64m", 'tmp = "128m"'),
    ("processes", "128", "pids = 256"),
    ("files", "1024", "files = 2048"),
    (
        "mount",
        "/home/ann/reports",
        'mounts = [{ source = "./notes", target = "/notes" }, { source = "/work/shared", target = "/shared", mode = "rw" }, { source = "/home/ann/reports", target = "/home/ann/reports" }]',
    ),
    ("ownership", "/notes/private", 'run-as = "host"'),
]


def manifest_with(lines: str) -> Sandbox:
    text = (
        f'[project]\nname = "p"\nplatforms = ["linux/amd64"]\n\n[servers.time]\ncommand = "/usr/bin/true"\n\n{lines}\n'
    )
    loaded = load_bytes(Path("/work/project/hatchlock.toml"), text.encode(), b"")
    return loaded.manifest.servers["time"].sandbox


@pytest.mark.parametrize(("kind", "what", "line"), PERMITS, ids=[f"{kind} {what}" for kind, what, _ in PERMITS])
def test_the_lines_that_permit_it_are_a_manifest(kind: DenialKind, what: str, line: str) -> None:
    found = permit(Denial(kind=kind, what=what), record())
    assert found == f'[servers.time.sandbox]\n{line}\nreason = "…"'
    sandbox = manifest_with(found)
    for name, value in changes(Denial(kind=kind, what=what), record()).items():
        if name != "mounts":
            assert getattr(sandbox, name) == value
        else:
            assert [mount.target for mount in sandbox.mounts] == [mount.target for mount in value]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("network", ""),
        ("network", "192.0.2.1:80"),
        ("write", ""),
        ("write", "/usr/lib/python3/x"),
        ("write", "/etc/thing.conf"),
        ("write", "/x.db"),
        ("write", "/app/time.db"),
        ("write", "/var/lib/"),
        ("write", "/shared/x"),
        ("system-call", "listen on port 80"),
    ],
)
def test_where_no_line_permits_it_none_is_shown(kind: DenialKind, what: str) -> None:
    assert permit(Denial(kind=kind, what=what), record()) == ""


@pytest.mark.parametrize("what", ["", "192.0.2.1:80"])
def test_where_no_line_permits_it_there_is_advice(what: str) -> None:
    assert advice(Denial(kind="network", what=what), "time")


def test_what_the_profile_has_stays_in_the_lines() -> None:
    have = record(network=("b.example.com:443",), writable=("/data/cache", "/state"), reason="why")
    network = permit(Denial(kind="network", what="a.example.com:443"), have)
    assert network == '[servers.time.sandbox]\nnetwork = ["b.example.com:443", "a.example.com:443"]'
    write = permit(Denial(kind="write", what="/data/x"), have)
    assert write == '[servers.time.sandbox]\nwritable = ["/state", "/data"]'
    both = changes_of(
        (Denial(kind="network", what="a.example.com:1"), Denial(kind="network", what="a.example.com:2")), record()
    )
    assert both == {"network": ("a.example.com:1", "a.example.com:2")}


def test_several_things_are_permitted_together() -> None:
    """Pasted one below the other their lines would be no manifest."""
    hosts = [Denial(kind="network", what="a.example.com:1"), Denial(kind="network", what="b.example.com")]
    said = explanation([*hosts, Denial(kind="write", what="/usr/x")], record())
    assert said.splitlines() == [
        "time was not allowed to reach a.example.com:1",
        "time was not allowed to reach b.example.com",
        "time was not allowed to write to /usr/x",
        (
            "to permit what can be permitted (it did not say the port: 443 is a guess; or look for an option or a variable "
            "by which it writes somewhere else, to its home for example):"
        ),
        "    [servers.time.sandbox]",
        '    network = ["a.example.com:1", "b.example.com:443"]',
        '    reason = "…"',
    ]
    assert explanation(hosts, record()).splitlines()[2].startswith("to permit all of it (it did not say the port")


@given(st.sampled_from([kind for kind, _, _ in PERMITS]), st.text(min_size=1))
def test_whatever_a_stranger_says_the_lines_are_toml_and_printable(kind: DenialKind, what: str) -> None:
    denial = Denial(kind=kind, what=f"/{what}")
    lines = permit(denial, record())
    tomllib.loads(lines)
    assert all(character.isprintable() or character == "\n" for character in lines)
    assert sentence(denial, "time").isprintable()
    assert re.match(r"time (was|needed|wanted|has|looked)", sentence(denial, "time"))


def test_a_session_tells_each_thing_once_and_never_without_end(tmp_path: Path) -> None:
    said: list[str] = []
    session = Denials(
        record(), say=said.append, clean=lambda text: text.replace("hunter2", "***"), file=tmp_path / "x" / "f"
    )
    for line in (
        "Error: getaddrinfo ENOTFOUND a.example.com",
        "Error: getaddrinfo ENOTFOUND a.example.com",
        "socket.gaierror: [Errno -3] Temporary failure in name resolution",
        "OSError: [Errno 30] Read-only file system: '/hunter2/x'",
        '  File "/app/server.py", line 12, in main',
        "MemoryError",
        *(f"OSError: [Errno 30] Read-only file system: '/data/{number}.tmp'" for number in range(9)),
    ):
        session.heard(line)
    kept = [(item.kind, item.what) for item in read_denials(tmp_path / "x" / "f", record().digest)]
    assert kept == [
        *(("network", "a.example.com"), ("write", "/***/x"), ("memory", "512m")),
        *(("write", f"/data/{number}.tmp") for number in range(3)),
    ]
    assert len(said) == len(kept)
    for number in range(500):
        session.report(Denial(kind="network", what=f"{number}.example.com:1"))
    assert len(said) == 100


def test_a_host_whose_port_was_learnt_later_is_kept_once(tmp_path: Path) -> None:
    session = Denials(record(), say=lambda _: None, clean=str, file=tmp_path / "f")
    for what in ("a.example.com", "b.example.com:80", "a.example.com:80", "a.example.com"):
        session.report(Denial(kind="network", what=what))
    kept = [item.what for item in read_denials(tmp_path / "f", record().digest)]
    assert kept == ["b.example.com:80", "a.example.com:80"]


def test_a_write_without_a_path_says_where_in_the_code_it_was() -> None:
    said: list[str] = []
    session = Denials(record(), say=said.append, clean=str, file=None)
    session.heard('  File "/app/server.py", line 12, in main')
    session.heard("    db.execute(statement)")
    session.heard("sqlite3.OperationalError: attempt to write a readonly database")
    assert said == [
        (
            "time was not allowed to write to a file (it does not say which) (/app/server.py:12); "
            "`hatchlock probe time --learn` says where it writes"
        )
    ]
