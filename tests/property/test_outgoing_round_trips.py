"""What leaves comes back: `import` reads of a file that `export` wrote the server that went into it, as far as the file can hold it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hatchlock.launch import Mount, Sandbox, SecretReference, size_in_bytes
from hatchlock.migrate.formats import FORMATS
from hatchlock.migrate.model import Proposed
from hatchlock.migrate.outgoing.clients import entry_of
from hatchlock.migrate.outgoing.commands import docker_run
from hatchlock.migrate.outgoing.compose import compose_file
from hatchlock.migrate.outgoing.docker_mcp import docker_profile
from hatchlock.migrate.outgoing.model import Addressed, Contained, Rendered, Served, Started
from hatchlock.migrate.outgoing.references import secret_names
from hatchlock.migrate.outgoing.setting import Setting
from hatchlock.migrate.outgoing.toolhive import toolhive_files
from hatchlock.migrate.translate import translated

SETTING = Setting(project="acme", directory=Path("/srv/acme"), user_home=Path("/home/ada"), beside=Path("/srv/acme"))
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,6}", fullmatch=True)
VARIABLE = st.from_regex(r"[A-Z][A-Z_]{0,6}", fullmatch=True)
TEXT = st.sampled_from(
    ["info", "a b", "$x", "a$$b", "${y}", 'say "hi"', "# no", "ä\tö", "", "yes", "0o7", "- x", "a: b"]
)
PLAIN = st.sampled_from(["info", "a b", 'say "hi"', "# no", "ä", "yes", "0o7", "- x", "a: b", "--zone", "UTC"])
PLACES = st.sampled_from(["/data", "/work/in", "/srv/x y"])
SECRETS = st.dictionaries(
    VARIABLE.map("S_{}".format),
    st.builds(SecretReference, secret=VARIABLE.map("env:T_{}".format), format=st.sampled_from(["{}", "Bearer {}"])),
    max_size=3,
)
MOUNTS = st.dictionaries(PLACES, st.sampled_from([("./data", "ro"), ("/opt/in", "rw")]), max_size=2)
SANDBOXES = st.builds(
    Sandbox,
    memory=st.sampled_from(["512m", "1g", "64m"]),
    cpus=st.sampled_from([0.5, 1.0, 2.0]),
    pids=st.integers(1, 500),
    files=st.sampled_from([64, 1024]),
    tmp=st.sampled_from(["64m", "8m"]),
    user=st.sampled_from(["10001:10001", "1000:1000"]),
    capabilities=st.sampled_from([(), ("NET_BIND_SERVICE",), ("CHOWN", "KILL")]),
    mounts=MOUNTS.map(
        lambda found: tuple(
            Mount(source=source, target=target, mode="rw" if mode == "rw" else "ro")
            for target, (source, mode) in found.items()
        )
    ),
    stop_signal=st.sampled_from(["SIGTERM", "SIGINT"]),
    stop_grace=st.sampled_from([5.0, 0.5]),
)


def contained(text: st.SearchStrategy[str]) -> st.SearchStrategy[Contained]:
    return st.builds(
        lambda own, args, **fields: Contained(argv=(*own, *args), after_own=tuple(args), **fields),
        own=st.sampled_from([("/shop",), ("python", "-m", "shop")]),
        args=st.lists(text, max_size=3),
        name=NAMES,
        image=st.just(f"ghcr.io/acme/shop@sha256:{'a' * 64}"),
        env=st.dictionaries(VARIABLE.map("E_{}".format), text, max_size=3),
        secrets=SECRETS,
        sandbox=SANDBOXES,
        cwd=st.sampled_from(["", "/work"]),
    )


ADDRESSED = st.builds(
    Addressed,
    name=NAMES,
    url=st.just("https://mcp.example.com/mcp"),
    transport=st.sampled_from(["http", "sse"]),
    headers=st.dictionaries(st.just("X-Team"), st.sampled_from(["a", "b c"]), max_size=1),
    secrets=st.dictionaries(
        st.just("Authorization"),
        st.builds(SecretReference, secret=st.just("env:T"), format=st.just("Bearer {}")),
        max_size=1,
    ),
)


def back(made: Rendered) -> Proposed:
    """Read the one server of the one file that was written, as `import` does."""
    ((name, text),) = made.files.items()
    file, data = Path(name), text.encode()
    form = next(item for item in FORMATS if item.matches(file, data))
    reading = form.read(file, data)
    (found,) = reading.servers
    return found


def sandbox(found: Proposed) -> Any:
    return found.fields.get("sandbox", {})


def mounts(found: Proposed) -> set[tuple[str, str, str]]:
    return {(item["source"], item["target"], item.get("mode", "ro")) for item in sandbox(found).get("mounts", ())}


def references(found: Proposed) -> dict[str, tuple[str, str]]:
    """Return variable -> place and format, of those that look like secrets and of those that only are references."""
    plain = {key: value for key, value in found.fields.get("env", {}).items() if isinstance(value, dict)}
    return {
        **{item.key: (item.reference, item.format or "{}") for item in found.secrets},
        **{key: (value["secret"], value.get("format", "{}")) for key, value in plain.items()},
    }


def literals(found: Proposed) -> dict[str, str]:
    return {key: value for key, value in found.fields.get("env", {}).items() if isinstance(value, str)}


@given(contained(TEXT))
def test_a_compose_file_keeps_a_server_and_its_sandbox(server: Contained) -> None:
    found = back(compose_file([server], SETTING))
    own = server.sandbox
    assert found.name == server.name
    assert found.fields["source"] == f"oci:{server.image}"
    assert tuple(found.fields["command"]) == server.argv
    assert literals(found) == server.env
    assert found.fields.get("cwd", "") == server.cwd
    assert references(found) == {key: (item.secret, item.format) for key, item in server.secrets.items()}
    kept = sandbox(found)
    assert [size_in_bytes(kept[name]) for name in ("memory", "tmp")] == [
        size_in_bytes(own.memory),
        size_in_bytes(own.tmp),
    ]
    assert [kept[name] for name in ("cpus", "pids", "files", "user", "stop-signal", "stop-grace")] == [
        *(own.cpus, own.pids, own.files, own.user, own.stop_signal, own.stop_grace)
    ]
    assert tuple(kept.get("capabilities", ())) == own.capabilities
    assert {(Path(source).name, *rest) for source, *rest in mounts(found)} == {
        (Path(item.source).name, item.target, item.mode) for item in own.mounts
    }


@given(contained(PLAIN), st.sampled_from([("none",), ("internet",), ("api.example.com:443", "api.example.com:8443")]))
def test_a_run_configuration_keeps_a_server_its_network_and_its_mounts(
    server: Contained, network: tuple[str, ...]
) -> None:
    server = changed(server, network)
    found = back(toolhive_files([server], SETTING, ports={server.name: 20_000}))
    assert (found.name, found.fields["source"]) == (server.name, f"oci:{server.image}")
    assert tuple(found.fields.get("args", ())) == server.after_own
    assert literals(found) == server.env
    assert {item.key for item in found.secrets} == server.secrets.keys()
    assert mounts(found) == {(SETTING.absolute(item.source), item.target, item.mode) for item in server.sandbox.mounts}
    said = sandbox(found).get("network", "none")
    assert (tuple(said) if isinstance(said, list) else (said,)) == network


@given(contained(PLAIN), st.sampled_from([("none",), ("api.example.com:443",)]))
def test_a_profile_keeps_a_server_its_network_and_its_mounts(server: Contained, network: tuple[str, ...]) -> None:
    server = changed(server, network)
    found = back(docker_profile([server], SETTING))
    assert (found.name, found.fields["source"]) == (server.name, f"oci:{server.image}")
    assert tuple(found.fields.get("args", ())) == server.after_own
    assert literals(found) == server.env
    assert {item.key for item in found.secrets} == server.secrets.keys()
    assert mounts(found) == {(SETTING.absolute(item.source), item.target, item.mode) for item in server.sandbox.mounts}
    said = sandbox(found).get("network", "none")
    assert (tuple(said) if isinstance(said, list) else (said,)) == network


@given(contained(PLAIN), st.booleans())
def test_a_command_line_of_docker_keeps_a_server_and_its_sandbox(server: Contained, is_own: bool) -> None:
    server = server if is_own else replace(server, after_own=None)
    started = docker_run(server, SETTING)
    assert isinstance(started, Started)
    entry = entry_of(started, secret_names([started]), "claude-code")
    found = translated(entry, name=server.name)
    assert isinstance(found, Proposed), found
    own = server.sandbox
    assert (found.name, found.fields["source"]) == (server.name, f"oci:{server.image}")
    said = (*found.fields.get("command", ()), *found.fields.get("args", ()))
    assert said == (server.after_own if server.after_own is not None else server.argv)
    assert literals(found) == server.env
    assert references(found) == {key: (item.secret, item.format) for key, item in server.secrets.items()}
    assert mounts(found) == {(SETTING.absolute(item.source), item.target, item.mode) for item in own.mounts}
    kept = sandbox(found)
    assert [kept[name] for name in ("memory", "cpus", "pids", "user", "stop-signal")] == [
        *(own.memory, own.cpus, own.pids, own.user, own.stop_signal)
    ]
    assert tuple(kept.get("capabilities", ())) == own.capabilities


@given(ADDRESSED, st.sampled_from(["toolhive", "docker-mcp"]))
def test_a_remote_server_comes_back_with_its_headers(server: Addressed, form: str) -> None:
    servers: list[Served] = [server]
    is_docker = form == "docker-mcp"
    found = back(
        docker_profile(servers, SETTING) if is_docker else toolhive_files(servers, SETTING, ports={server.name: 20_000})
    )
    assert (found.name, found.fields["url"]) == (server.name, server.url)
    assert found.fields.get("transport", "http") == server.transport
    assert found.fields.get("headers", {}) == server.headers
    assert {item.key for item in found.secrets} == server.secrets.keys()


def changed(server: Contained, network: tuple[str, ...]) -> Contained:
    return replace(server, cwd="", sandbox=replace(server.sandbox, network=network, capabilities=()))
