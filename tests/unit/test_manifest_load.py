from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.address import Kind, Source
from hatchlock.errors import ManyErrors
from hatchlock.launch import Mount, Sandbox, SecretReference
from hatchlock.manifest.load import LoadedManifest, load, loads
from hatchlock.manifest.model import EnvironmentSpec, IndexSpec, RegistrySpec
from hatchlock.manifest.problem import ManifestProblem, NotYet

FIXTURES = Path(__file__).parents[2] / "fixtures" / "manifests"
PROJECT = '[project]\nname = "p"\nplatforms = ["linux/amd64"]\n'


def problems(text: str) -> list[str]:
    with pytest.raises(ManyErrors) as caught:
        loads(text, shown="hatchlock.toml")
    return [f"{error.place}: {error}" for error in caught.value.errors]


def manifest(text: str) -> LoadedManifest:
    return loads(PROJECT + text, shown="hatchlock.toml")


def test_every_supported_key_is_read_into_its_value() -> None:
    loaded = load(FIXTURES / "supported.toml")

    assert loaded.warnings == ()
    project = loaded.manifest.project
    assert project.name == "acme-agents"
    assert project.platforms == ("darwin/arm64", "linux/amd64", "linux/arm64")
    assert (project.exclude_newer, project.min_glibc, project.min_macos) == ("7d", "2.28", "12.0")
    research = loaded.manifest.environments["research"]
    assert research.python == "3.11"
    assert research.base is not None
    assert research.base.kind is Kind.OCI
    assert [str(source) for source in research.dependencies] == ["pypi:pandas>=2,<3", "pypi:mcp[cli]~=1.2"]
    assert loaded.manifest.indexes["pypi"] == (
        IndexSpec(
            name="pypi",
            url="https://pypi.example.com/simple",
            mirrors=("https://mirror.example.com/simple",),
            ttl=600,
        ),
    )
    assert loaded.manifest.registries == {"127.0.0.1:5000": RegistrySpec(host="127.0.0.1:5000", plain_http=True)}
    assert loaded.manifest.client("cursor").scope == "project"
    assert loaded.manifest.client("claude-code").scope == "user"


def test_a_server_says_everything_about_itself() -> None:
    notes = load(FIXTURES / "supported.toml").manifest.servers["notes"]

    assert notes.source == Source(kind=Kind.PYPI, spec="acme-notes~=2.0")
    assert notes.environment == "research"
    assert notes.command == ("acme-notes", "serve")
    assert notes.args == ("--format", "text")
    assert notes.runtime == "container"
    assert notes.isolation == "best-effort"
    assert notes.startup_timeout == 2.5
    assert notes.clients == ("cursor",)
    assert notes.env_literals == {"LANG": "C.UTF-8", "LOG_LEVEL": "info"}
    assert notes.secrets == {
        "API_KEY": SecretReference(secret="env:NOTES_API_KEY", format="Bearer {}", required=False),
        "CERTIFICATE": SecretReference(secret="file:~/.config/acme/notes.pem"),
    }
    assert notes.sandbox == Sandbox(
        network=("internet",),
        user="2000:3000",
        read_only=False,
        memory="1g",
        swap="64m",
        cpus=2.0,
        pids=256,
        files=2048,
        tmp="128m",
        log_size="20m",
        mounts=(Mount(source="./data", target="/data"), Mount(source="~/notes", target="/notes", mode="rw")),
        capabilities=("NET_BIND_SERVICE",),
        stop_signal="SIGINT",
        stop_grace=1.5,
        reason="talks to the vendor's API and keeps notes",
    )


def test_a_private_environment_is_what_the_server_says_about_it() -> None:
    servers = load(FIXTURES / "supported.toml").manifest.servers

    assert servers["time"].private == EnvironmentSpec(
        name="time",
        python="3.11.9",
        dependencies=(Source(kind=Kind.PYPI, spec="tzdata==2025.2"),),
        constraints=(Source(kind=Kind.PYPI, spec="anyio<5"),),
        overrides=(Source(kind=Kind.PYPI, spec="pydantic<3"),),
    )
    assert servers["notes"].private == EnvironmentSpec(name="notes", trust="internal")


def test_what_can_run_in_one_way_only_ignores_the_default_runtime() -> None:
    servers = load(FIXTURES / "supported.toml").manifest.servers

    assert servers["time"].runtime == "process"
    assert servers["github"].runtime == "container"
    assert servers["local"].runtime == "process"
    assert servers["local"].source is None
    assert servers["local"].command == ("python3", "-m", "acme.local")


def test_a_server_that_says_nothing_gets_the_defaults_of_hatchlock() -> None:
    server = manifest('[servers.time]\nsource = "pypi:mcp-server-time==1"\n').manifest.servers["time"]

    assert server.runtime == "container"
    assert server.isolation == "required"
    assert server.sandbox == Sandbox()
    assert server.clients == ()
    assert server.startup_timeout == 30.0
    assert server.environment is None


def test_what_is_done_about_drift_is_said_by_a_server_or_by_the_defaults() -> None:
    servers = manifest(
        """
[defaults]
drift = "warn"
[servers.a]
source = "pypi:a==1"
[servers.b]
source = "pypi:b==1"
drift = "ignore"
"""
    ).manifest.servers
    assert (servers["a"].drift, servers["b"].drift) == ("warn", "ignore")
    assert manifest('[servers.a]\nsource = "pypi:a==1"\n').manifest.servers["a"].drift == "correct"


def test_another_word_for_drift_is_a_mistake_that_names_the_right_ones() -> None:
    with pytest.raises(ManyErrors) as caught:
        manifest('[servers.a]\nsource = "pypi:a==1"\ndrift = "fix"\n')
    (error,) = caught.value.errors
    assert all(word in f"{error} {error.hint}" for word in ("correct", "warn", "ignore"))


def test_defaults_are_merged_under_each_server_at_every_depth() -> None:
    loaded = manifest(
        """
[defaults.env]
A = "default"
B = "default"
[defaults.sandbox]
pids = 10
memory = "100m"
[servers.x]
source = "pypi:x==1"
env.B = "own"
sandbox.memory = "200m"
"""
    )
    server = loaded.manifest.servers["x"]

    assert server.env_literals == {"A": "default", "B": "own"}
    assert server.sandbox == replace(Sandbox(), pids=10, memory="200m")


def test_a_default_for_private_environments_does_not_reach_a_server_that_shares_one() -> None:
    servers = manifest(
        """
[defaults]
python = "3.12"
[environments.shared]
[servers.a]
source = "pypi:a==1"
environment = "shared"
[servers.b]
source = "pypi:b==1"
"""
    ).manifest.servers

    assert servers["a"].private.python == ""
    assert servers["b"].private.python == "3.12"


def test_everything_that_is_not_yet_supported_is_named_with_its_line() -> None:
    path = FIXTURES / "later.toml"
    with pytest.raises(ManyErrors) as caught:
        load(path)
    errors = caught.value.errors

    assert {type(error) for error in errors} == {NotYet}
    assert all("not yet supported" in str(error) for error in errors)
    assert [error.key for error in errors if isinstance(error, NotYet)] == [
        *("environments.tools.constraints[0]", "environments.tools.overrides[0]"),
        "servers.time.files",
        *("indexes.debian.mirrors", "indexes.debian.packages", "indexes.conda.packages"),
        "indexes.mcp.packages",
        *("policy", "targets", "adopt[0].address"),
    ]
    lines = path.read_text().splitlines()
    for error in errors:
        assert isinstance(error, NotYet)
        assert error.place is not None
        key = error.key.rpartition(".")[2].partition("[")[0]
        assert key in lines[error.place.line - 1]


def test_every_mistake_is_reported_at_once_in_the_order_of_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FIXTURES)
    with pytest.raises(ManyErrors) as caught:
        load(FIXTURES / "mistakes.toml")
    shown = "".join(f"{error.place}: {error}\n    {error.hint}\n" for error in caught.value.errors)

    assert shown == (FIXTURES / "mistakes.txt").read_text()


def test_no_message_repeats_a_value_that_may_be_a_secret() -> None:
    with pytest.raises(ManyErrors) as caught:
        load(FIXTURES / "mistakes.toml")
    shown = "".join(f"{error}{error.hint}" for error in caught.value.errors)

    assert "hunter2" not in shown
    assert "user:password" not in shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nb\n", "m:2: it is not valid TOML: expected '=' after a key in a key/value pair"),
        ("[project]\nname = 'x'\n\nname = 'y'\n", "m:4: it is not valid TOML: cannot overwrite a value"),
        ("[project]\n\n[project]\n", "m:3: it is not valid TOML: project stands there twice"),
        ("[project]\n<<<<<<< HEAD\nname = 'x'\n=======\nname = 'y'\n>>>>>>> b\n", "m:2: it has git conflict markers"),
        ("a = [\n'x',\n<<<<<<< HEAD\n'y',\n=======\n>>>>>>> b\n]\n", "m:3: it has git conflict markers"),
        ("[project]\nname = 'x'\n=======\n", "m:3: it has git conflict markers"),
        ("[project]\nname = ['x',\n", "m:2: it is not valid TOML: invalid value"),
        ("a = " + "[" * 20_000, "m:1: it is nested too deeply"),
    ],
)
def test_what_is_no_toml_is_reported_with_its_line(text: str, expected: str) -> None:
    with pytest.raises(ManyErrors) as caught:
        loads(text, shown="m")

    assert [f"{error.place}: {error}" for error in caught.value.errors] == [expected]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[servers.'a b']\n[servers.'a b']\n", "put what both say into one table, or give one of them another name"),
        ("[project]\nname = typo\n", 'text stands in quotes: name = "value"'),
        ("a = [1", "a list has commas between its items, and ends with ]"),
        ("a = [1 2]", "a list has commas between its items, and ends with ]"),
        ("a = {b=1", "a table in a line has commas between its keys, and ends with }"),
        ("a = 1.2.3", "one key with its value a line; text, also a date or a version, stands in quotes"),
        ('a = "C:\\dir"', r"write '...' around a text with backslashes, or \\ for each of them"),
        ('a = "C:\\Users"', r"write '...' around a text with backslashes, or \\ for each of them"),
        ('a = "b\nc = 1', "end the text with the quotes that it begins with, on its line"),
        (
            "a = {b = 1,}",
            "a table in { } is one line without a comma at its end; other signs than A-Z a-z 0-9 - _ in a key need quotes",
        ),
        (PROJECT + '[servers.a]\nargs = "--zone UTC"\ncommand = ["x"]\n', 'write args = ["--zone", "UTC"]'),
    ],
)
def test_what_is_usually_written_wrong_has_a_hint(text: str, hint: str) -> None:
    with pytest.raises(ManyErrors) as caught:
        loads(text, shown="m")

    assert [error.hint for error in caught.value.errors] == [hint]
    assert "(" not in str(caught.value.errors[0])


@pytest.mark.parametrize(
    ("data", "line", "what"),
    [
        (b'[project]\nname = "p"\n# caf\xe9\n', 3, "byte 27 is 0xe9; WINDOWS-1252"),
        ('[project]\nname = "p"\n'.encode("utf-16"), 1, "byte 1 is 0xff; UTF-16"),
    ],
)
def test_bytes_that_are_no_utf8_are_reported_with_their_line_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, line: int, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hatchlock.toml").write_bytes(data)
    with pytest.raises(ManyErrors) as caught:
        load(Path("hatchlock.toml"))

    (wrong,), (byte, encoding) = caught.value.errors, what.split("; ")
    assert str(wrong.place) == f"hatchlock.toml:{line}"
    assert str(wrong) == f"it is not UTF-8, as TOML has to be: {byte}"
    assert wrong.hint == (
        "save it as UTF-8 in an editor, or look at what this prints and put it there: "
        f"iconv -f {encoding} -t UTF-8 hatchlock.toml"
    )


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "hatchlock.toml"
    path.write_bytes(b"\xef\xbb\xbf" + PROJECT.encode())

    assert load(path).manifest.project.name == "p"


def test_a_missing_manifest_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ManifestProblem, match="there is no manifest") as caught:
        load(tmp_path / "hatchlock.toml")

    assert str(caught.value.place) == "hatchlock.toml"
    assert "hatchlock init" in caught.value.hint


def test_a_directory_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestProblem, match="it is a directory"):
        load(tmp_path)


def test_an_empty_file_lacks_its_project() -> None:
    assert problems("") == ["hatchlock.toml:1: [project] is missing"]


def test_a_date_of_toml_is_taken_as_text() -> None:
    loaded = loads('[project]\nname = "p"\nexclude-newer = 2026-01-31\n', shown="m")

    assert loaded.manifest.project.exclude_newer == "2026-01-31"


def test_a_local_time_of_toml_is_refused_because_it_names_no_moment() -> None:
    found = problems('[project]\nname = "p"\nexclude-newer = 2026-01-31T12:00:00\n')

    assert len(found) == 1
    assert found[0].startswith("hatchlock.toml:3: project.exclude-newer: ")


@pytest.mark.parametrize(
    ("setting", "relaxes"),
    [
        ('network = "internet"', True),
        ('network = "host"', True),
        ('network = ["api.example.com:443"]', True),
        ('network = "none"', False),
        ("network = []", False),
        ('run-as = "host"', True),
        ("read-only = false", True),
        ('memory = "513m"', True),
        ('memory = "64m"', False),
        ('swap = "1m"', True),
        ("cpus = 1.5", True),
        ("cpus = 0.5", False),
        ("pids = 129", True),
        ("files = 1025", True),
        ('tmp = "65m"', True),
        ('log-size = "11m"', True),
        ('mounts = [{ source = ".", target = "/x" }]', True),
        ('capabilities = ["CHOWN"]', True),
        ("stop-grace = 60", False),
        ('user = "1000:1000"', False),
    ],
)
def test_a_relaxed_default_needs_a_reason(setting: str, relaxes: bool) -> None:
    text = f'{PROJECT}[servers.x]\nsource = "pypi:x==1"\n[servers.x.sandbox]\n{setting}\n'

    if relaxes:
        assert len(problems(text)) == 1
        assert "without a reason" in problems(text)[0]
    else:
        assert loads(text, shown="m").warnings == ()
    assert loads(text + 'reason = "because"\n', shown="m").manifest.servers["x"].sandbox.reason == "because"


def test_a_network_list_is_sorted_and_in_lower_case() -> None:
    text = f'{PROJECT}[servers.x]\nsource = "pypi:x==1"\n[servers.x.sandbox]\nreason = "r"\n'
    found = loads(f'{text}network = ["localhost:80", "API.example.com:443", "localhost:80"]\n', shown="m")
    assert found.manifest.servers["x"].sandbox.network == ("api.example.com:443", "localhost:80")
    assert loads(f"{text}network = []\n", shown="m").manifest.servers["x"].sandbox.network == ("none",)


@pytest.mark.parametrize(
    ("item", "what"),
    [
        ("10.0.0.1:443", "is an address, and a server reaches hosts by their names only"),
        ("[fd00::1]:443", "is an address"),
        ("127.0.0.1:80", "is an address, and a server reaches hosts by their names only"),
        ("*.example.com:443", "is a pattern"),
        ("a..b:443", "is no name of a host"),
        ("-a.example.com:443", "is no name of a host"),
        ("api.example.com", "is not host:port"),
        ("api.example.com:0", "is not host:port"),
    ],
)
def test_a_network_list_has_names_only(item: str, what: str) -> None:
    text = f'{PROJECT}[servers.x]\nsource = "pypi:x==1"\n[servers.x.sandbox]\nreason = "r"\n'
    [problem] = problems(f'{text}network = ["{item}"]\n')
    assert what in problem


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ('network = "api.example.com:443"', 'write ["api.example.com:443"]'),
        ('network = "internt"', "did you mean 'internet'?"),
        ("memory = 512", 'write "512m" for 512 MiB'),
        ("privileged = true", "there is no privileged mode: name the `capabilities` that it needs"),
        ("memroy = 5", "did you mean 'memory'?"),
    ],
)
def test_what_other_tools_write_is_led_to_what_is_meant(setting: str, hint: str) -> None:
    with pytest.raises(ManyErrors) as caught:
        loads(f'{PROJECT}[servers.x]\nsource = "pypi:x==1"\n[servers.x.sandbox]\n{setting}\n', shown="m")
    assert [error.hint for error in caught.value.errors] == [hint]


@pytest.mark.parametrize("setting", ['user = "0"', 'user = "0:5"', 'user = "5:0"', 'user = "root"'])
def test_no_reason_makes_a_server_root(setting: str) -> None:
    found = problems(f'{PROJECT}[servers.x]\nsource = "pypi:x==1"\n[servers.x.sandbox]\n{setting}\nreason = "r"\n')

    assert len(found) == 1
    assert "root" in found[0]


@pytest.mark.parametrize(
    "setting", ['memory = "0"', 'memory = "5m"', 'tmp = "0"', "cpus = 0", "pids = -1", "files = 0"]
)
def test_no_limit_can_be_turned_off(setting: str) -> None:
    found = problems(f'{PROJECT}[servers.x]\nsource = "pypi:x==1"\n[servers.x.sandbox]\n{setting}\nreason = "r"\n')

    assert len(found) == 1


def test_a_server_and_an_environment_that_would_share_a_name_are_refused() -> None:
    found = problems(f'{PROJECT}[environments.x]\n[servers.x]\nsource = "pypi:x==1"\n')

    assert found == ["hatchlock.toml:4: environments.x: server 'x' has a private environment of the same name"]


def test_a_server_may_share_the_environment_of_its_own_name() -> None:
    text = '[environments.x]\n[servers.x]\nsource = "pypi:x==1"\nenvironment = "x"\n'

    assert manifest(text).manifest.servers["x"].environment == "x"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'source = "pypi:x"',
            "servers.s.source: x has no upper bound, so `lock --upgrade` may bring any later version",
        ),
        (
            'source = "pypi:x>=1"',
            "servers.s.source: x has no upper bound, so `lock --upgrade` may bring any later version",
        ),
        (
            'source = "npm:@a/x"',
            "servers.s.source: @a/x has no upper bound, so `lock --upgrade` may bring any later version",
        ),
        *(
            (
                f'source = "npm:x@{bound}"',
                "servers.s.source: x has no upper bound, so `lock --upgrade` may bring any later version",
            )
            for bound in ("latest", "next", "*", "x", ">=1", ">= 1.2", "1 || >2", ">1.2.3 >=2", "")
        ),
        ('source = "oci:a/b"', "servers.s.source: the tag `latest` names another image with every release"),
        ('source = "oci:a/b:latest"', "servers.s.source: the tag `latest` names another image with every release"),
        (
            'source = "oci:a/b:1"',
            "servers.s.source: the tag '1' is a mutable reference; the lock pins the digest that it has now",
        ),
        (
            'source = "pypi:x==1"\nwith = ["pypi:y>1"]',
            "servers.s.with[0]: y has no upper bound, so `lock --upgrade` may bring any later version",
        ),
        (
            'source = "pypi:x==1"\nenv.SORT_KEY = "created"',
            "servers.s.env.SORT_KEY: the value looks like a secret, and a manifest is no place for one",
        ),
        (
            'source = "pypi:x==1"\nargs = ["--token", "sword-fish"]',
            "servers.s.args[1]: the argument looks like a secret, and everyone on this machine can read arguments",
        ),
    ],
)
def test_what_may_surprise_is_a_warning_with_its_line(text: str, expected: str) -> None:
    warnings = manifest(f"[servers.s]\n{text}\n").warnings

    assert [str(warning) for warning in warnings] == [expected]
    assert warnings[0].place.line == 4 + len(text.splitlines())


@pytest.mark.parametrize("source", ["pypi:x", "npm:@a/x"])
def test_the_bounds_of_a_warning_are_an_example_and_no_advice(source: str) -> None:
    (warning,) = manifest(f'[servers.s]\nsource = "{source}"\n').warnings
    assert warning.hint.startswith(f"bound it, with numbers of its own as in {source}")


@pytest.mark.parametrize("bound", ["<2", "<=2", "==1.*", "===1", "~=1.2", ">=1,<2"])
def test_a_bounded_range_is_no_surprise(bound: str) -> None:
    assert manifest(f'[servers.s]\nsource = "pypi:x{bound}"\n').warnings == ()


@pytest.mark.parametrize(
    "bound", ["1", "v1.2", "1.x", "=1.2.3", "^1", "~1.2", "<2", ">=1 <2", "> 1 <= 2", "1.2 - 2", "^1 || ^2"]
)
def test_a_bounded_range_of_npm_is_no_surprise(bound: str) -> None:
    assert manifest(f'[servers.s]\nsource = "npm:@a/x@{bound}"\n').warnings == ()


def test_absent_platforms_are_a_warning() -> None:
    loaded = loads('[project]\nname = "p"\n', shown="m")

    assert loaded.manifest.project.platforms == ()
    assert [str(warning.place) for warning in loaded.warnings] == ["m:1"]


def test_a_place_can_be_asked_for_after_loading() -> None:
    loaded = manifest('[servers.s]\nsource = "pypi:x==1"\n')

    assert str(loaded.place("servers", "s")) == "hatchlock.toml:4"
    assert str(loaded.place("servers", "s", "source")) == "hatchlock.toml:5"
    assert str(loaded.place("servers", "s", "args")) == "hatchlock.toml:4"
