"""How an entry's server is started: what is fixed, what is asked, and what never becomes text. The ten traps by number."""

from __future__ import annotations

from typing import Any

import pytest

from hatchlock.launch import SecretReference
from hatchlock.sources.mcp_registry.answers import told
from hatchlock.sources.mcp_registry.choose import Runtime, choose
from hatchlock.sources.mcp_registry.entry import entry_of
from hatchlock.sources.mcp_registry.launch import EntryLaunch, launch
from hatchlock.sources.mcp_registry.render import (
    Answer,
    MissingVariables,
    SecretArgument,
    SecretAsText,
    UnknownVariable,
    WrongAnswer,
    option_for,
    render,
)
from support.mcp_registry import published

TOKEN = SecretReference(secret="env:TOKEN")
GITHUB = "ghcr.io/github/github-mcp-server"


def launched(kind: str, *, runtime: Runtime = "container", **package: Any) -> EntryLaunch:
    identifier = {"oci": f"{GITHUB}:1.0", "npm": "@acme/thing", "pypi": "acme-thing"}[kind]
    version = {} if kind == "oci" else {"version": "1.0.0"}
    whole = {"registryType": kind, "identifier": identifier, **version, **package}
    entry = entry_of(published(packages=[whole]), what="a test")
    return launch(entry, choose(entry, platforms=["linux/amd64"], runtime=runtime))


def remote(url: str = "https://mcp.example.com/mcp", **other: Any) -> EntryLaunch:
    entry = entry_of(published(remotes=[{"type": "streamable-http", "url": url, **other}]), what="a test")
    return launch(entry, choose(entry, platforms=["linux/amd64"], runtime="container"))


def word(value: str = "", **other: Any) -> dict[str, Any]:
    return {"type": "positional", **({"value": value} if value else {}), **other}


def option(name: str, value: str = "", **other: Any) -> dict[str, Any]:
    return {"type": "named", "name": name, **({"value": value} if value else {}), **other}


def variable(name: str, **other: Any) -> dict[str, Any]:
    return {"name": name, **other}


def asked(found: EntryLaunch) -> dict[str, tuple[bool, bool]]:
    """Name -> whether it is required, and secret."""
    return {item.name: (item.required, item.secret) for item in found.variables}


# Arguments


def test_fixed_and_defaulted_arguments_come_in_order() -> None:
    found = launched(
        "npm",
        packageArguments=[
            word("mcp"),
            option("--mode", default="local", choices=["local", "proxy"]),
            option("--port=", "8080"),
            word(default="start", isRequired=True),
        ],
        environmentVariables=[variable("LEVEL", default="info"), variable("FIXED", value="yes", isRequired=True)],
    )
    assert found.args == ("mcp", "--mode", "local", "--port=8080", "start")
    assert found.env == {"FIXED": "yes", "LEVEL": "info"}
    assert found.variables == ()
    assert render(found, {}) == {}


def test_trap_1_a_flag_whose_value_is_true_stands_alone() -> None:
    found = launched(
        "npm",
        packageArguments=[
            option("--quiet", "true", format="boolean"),
            option("--loud", "false", format="boolean"),
            option("--read-only", "true"),
            option("--colour", default="true", format="boolean"),
            option("--strict", "false"),
            option("--fast", format="boolean"),
        ],
    )
    assert found.args == ("--quiet", "--read-only", "--colour", "--strict", "false")
    assert asked(found) == {"fast": (False, False)}
    assert render(found, {"fast": "true"}) == {"args": ["--fast"]}
    assert render(found, {"fast": "false"}) == {}


GITHUB_RUN = [
    word("run", isRequired=True),
    option("-i", "true", format="boolean", isRequired=True),
    option("--rm", "true", format="boolean"),
    option("-e", "GITHUB_TOKEN={token}", isRequired=True, variables={"token": {"isRequired": True, "isSecret": True}}),
    word(GITHUB, valueHint="image_name", isRequired=True),
]


def test_trap_2_what_starts_the_image_and_the_image_itself_are_no_arguments_of_it() -> None:
    assert launched("oci", runtimeArguments=GITHUB_RUN).args == ()
    again = [word("docker"), *GITHUB_RUN, word("stdio"), option("--toolsets", "all")]
    assert launched("oci", runtimeArguments=again).args == ("stdio", "--toolsets", "all")
    hint = [word("run"), word(valueHint="image_name")]
    assert launched("oci", runtimeArguments=hint, packageArguments=[word("stdio")]).args == ("stdio",)


def test_trap_2_a_package_that_is_named_twice_is_started_once() -> None:
    uvx = [word("uvx"), word("acme_thing==1.0.0"), word("serve")]
    assert launched("pypi", runtimeArguments=uvx).args == ("serve",)
    npx = [option("-y"), word("@acme/thing@1.0.0"), word("serve")]
    assert launched("npm", runtimeArguments=npx).args == ("serve",)
    assert launched("npm", runtimeArguments=[word("-y"), word("--stdio")]).args == ("--stdio",)


def test_trap_3_names_are_filled_in_both_spellings() -> None:
    found = launched(
        "pypi",
        packageArguments=[
            option("--storage-path", "${STORAGE}"),
            option("--log", "{STORAGE}/log"),
            option("--json", '{"a": {}}'),
            option("--data", "${DATA}"),
        ],
        environmentVariables=[variable("STORAGE", default="/papers"), variable("DATA", isRequired=True)],
    )
    assert found.args == ("--storage-path", "/papers", "--log", "/papers/log", "--json", '{"a": {}}')
    assert asked(found) == {"DATA": (True, False)}
    assert render(found, {"DATA": "/d"}) == {"env": {"DATA": "/d"}, "args": ["--data", "/d"]}


def test_trap_3_what_a_name_stands_for_is_asked_if_the_entry_does_not_say() -> None:
    found = launched("pypi", packageArguments=[option("--root", "${workspaceFolder}")])
    assert asked(found) == {"workspaceFolder": (True, False)}
    default = launched("pypi", environmentVariables=[variable("DIR", default="${HOME}/papers")])
    assert (default.env, asked(default)) == ({}, {"DIR": (False, False)})
    assert default.variables[0].default == "${HOME}/papers"


@pytest.mark.parametrize("hint", ["", "uvx", "pipx", "docker", "nonsense"])
def test_trap_4_the_kind_decides_whatever_the_hint_says(hint: str) -> None:
    found = launched("pypi", runtimeHint=hint, runtimeArguments=[option("-p", "3.13"), word("acme-thing")])
    assert (found.args, found.python, found.command) == ((), "3.13", ())


def test_trap_4_python_with_a_module_is_a_command() -> None:
    found = launched("pypi", runtimeHint="python", runtimeArguments=[option("-m", "acme.server"), option("--stdio")])
    assert (found.command, found.args) == (("python", "-m", "acme.server"), ())
    assert asked(found) == {"stdio": (False, False)}
    split = launched("pypi", runtimeHint="python3", runtimeArguments=[word("-m"), word("acme"), word("--stdio")])
    assert (split.command, split.args) == (("python", "-m", "acme"), ("--stdio",))


def test_trap_5_the_servers_arguments_among_those_of_uvx_are_its_own() -> None:
    serena = launched(
        "pypi",
        identifier="serena-agent",
        runtimeHint="uvx",
        runtimeArguments=[
            option("-p", "3.13"),
            word("start-mcp-server"),
            word("--project-from-cwd", isRequired=False),
            option("--context", isRequired=False, default="desktop-app"),
        ],
        packageArguments=[word("last")],
    )
    assert serena.args == ("start-mcp-server", "--project-from-cwd", "--context", "desktop-app", "last")
    assert (serena.python, serena.command) == ("3.13", ())


def test_trap_5_from_names_the_package_and_what_follows_the_command() -> None:
    found = launched(
        "pypi",
        runtimeArguments=[
            option("--from", "acme-thing[all]==1.0.0"),
            option("--with", "other>=2, more"),
            option("--index-url", "https://pypi.example.com/simple"),
            word("serve-it"),
            word("--now"),
        ],
    )
    assert (found.command, found.args, found.with_) == (("serve-it",), ("--now",), ("pypi:other>=2", "pypi:more"))
    (note,) = found.notes
    assert note.startswith(
        "its publisher starts it with --index-url https://pypi.example.com/simple, which is left out"
    )
    assert note.endswith("write [indexes.pypi] into the manifest")


def test_trap_5_package_does_for_npx_what_from_does_for_uvx() -> None:
    arguments = [
        word("npm"),
        word("exec"),
        option("-y"),
        option("--registry", "https://npm.example.com/"),
        option("--package", "@acme/thing@1.0.0"),
        word("serve-it"),
        word("--now"),
    ]
    found = launched("npm", runtimeArguments=arguments)
    assert (found.command, found.args) == (("serve-it",), ("--now",))
    (note,) = found.notes
    assert note.startswith("its publisher starts it with --registry https://npm.example.com/, which is left out")
    assert note.endswith("write [indexes.npm] into the manifest")
    assert launched("npm", runtimeArguments=arguments[:4] + arguments[5:]).args == ("serve-it", "--now")


@pytest.mark.parametrize(
    "wanted",
    [
        "other @ https://evil.example.com/other-1-py3-none-any.whl",
        "other@file:///etc/other-1-py3-none-any.whl",
        "git+https://evil.example.com/other",
        "./other",
    ],
)
def test_what_comes_with_an_entry_is_of_an_index_and_of_no_address(wanted: str) -> None:
    found = launched("pypi", runtimeArguments=[option("--with", f"more, {wanted}")])
    assert found.with_ == ("pypi:more",)
    assert found.notes == (
        f"its publisher starts it with --with more, {wanted}, which is left out; if it is needed, write with into the manifest",
    )


@pytest.mark.parametrize("program", ["/bin/sh", "../../bin/sh", "-c"])
def test_what_an_entry_starts_is_a_command_of_its_package_and_no_program_of_the_machine(program: str) -> None:
    uvx = launched("pypi", runtimeArguments=[option("--from", "acme-thing"), {"type": "positional", "value": program}])
    npx = launched(
        "npm", runtimeArguments=[option("--package", "@acme/thing"), {"type": "positional", "value": program}]
    )
    for found in (uvx, npx):
        assert found.command == ()


def test_trap_6_a_secret_in_an_option_becomes_a_variable_that_is_a_reference() -> None:
    found = launched("oci", runtimeArguments=GITHUB_RUN)
    assert asked(found) == {"token": (True, True)}
    assert (found.env, found.needs) == ({}, ("GITHUB_TOKEN",))
    assert render(found, {"token": TOKEN}) == {"env": {"GITHUB_TOKEN": {"secret": "env:TOKEN"}}}
    with pytest.raises(SecretAsText) as caught:
        render(found, {"token": "ghp_abc"})
    assert "ghp_abc" not in str(caught.value) + caught.value.hint
    assert "--secret token=env:TOKEN" in caught.value.hint


def test_trap_6_an_option_that_names_a_variable_only_means_the_one_of_the_list() -> None:
    listed = [variable("API_KEY", description="The key", isRequired=True, isSecret=True)]
    found = launched("oci", runtimeArguments=[option("-e", "API_KEY")], environmentVariables=listed)
    assert asked(found) == {"API_KEY": (True, True)}
    alone = launched("oci", runtimeArguments=[option("-e", "REGION", isRequired=True), option("--env", "A=b")])
    assert (asked(alone), alone.env) == ({"REGION": (True, False)}, {"A": "b"})


def test_what_a_container_would_be_given_beside_is_left_out_and_told() -> None:
    mount = option("--mount", "type=bind,src={dir},dst=/project", variables={"dir": {"isRequired": True}})
    found = launched("oci", runtimeArguments=[option("--network", "host"), mount, option("--gpus", "all")])
    assert (found.args, found.variables) == ((), ())
    assert [note.partition(", which")[0] for note in found.notes] == [
        "its publisher starts it with --network host",
        "its publisher starts it with --mount type=bind,src={dir},dst=/project",
        "its publisher starts it with --gpus all",
    ]
    assert "write sandbox.mounts into the manifest" in found.notes[1]


def test_an_answer_that_stands_before_fixed_words_takes_them_along() -> None:
    found = launched(
        "npm",
        packageArguments=[
            word("serve"),
            word(valueHint="directory", isRequired=True, isRepeated=True),
            word("now"),
            option("--level", "3"),
            option("--host", isRequired=True),
        ],
    )
    assert found.args == ("serve", "--level", "3")
    answers: dict[str, Answer] = {"directory": ("/a", "/b"), "host": "h"}
    assert render(found, answers) == {"args": ["/a", "/b", "now", "--host", "h"]}


def test_a_repeated_option_is_there_once_for_each_answer() -> None:
    found = launched("npm", packageArguments=[option("--allow", isRepeated=True), option("--name=")])
    assert render(found, {"allow": ("a", "b"), "name": "n"}) == {"args": ["--allow", "a", "--allow", "b", "--name=n"]}
    assert render(found, {"allow": "a"}) == {"args": ["--allow", "a"]}


# Variables and secrets


def test_what_is_missing_is_listed_as_a_whole_with_what_would_do() -> None:
    found = launched(
        "npm",
        environmentVariables=[
            variable("REGION", description="Where\nit is", isRequired=True, choices=["eu", "us"]),
            variable("KEY", isRequired=True, isSecret=True),
            variable("OPTIONAL"),
        ],
        packageArguments=[word(valueHint="allowed dir", isRequired=True, placeholder="/data")],
    )
    with pytest.raises(MissingVariables) as caught:
        render(found, {}, source="mcp:io.github.acme/thing@1.0.0")
    assert str(caught.value).splitlines() == [
        "mcp:io.github.acme/thing@1.0.0 needs what it was not told:",
        "  REGION       Where it is (one of eu, us)",
        "  KEY          (a secret)",
        "  allowed-dir  (such as /data)",
    ]
    assert caught.value.hint == (
        "hatchlock add mcp:io.github.acme/thing@1.0.0 --env REGION=eu --secret KEY=env:KEY --arg allowed-dir=/data"
    )


def test_a_secret_keeps_what_its_publisher_puts_around_it() -> None:
    found = remote(
        headers=[
            variable(
                "Authorization", value="Bearer {token}", variables={"token": {"isRequired": True, "isSecret": True}}
            ),
            variable("X-Region", default="eu"),
            variable("X-API-Key", isRequired=True),
        ]
    )
    assert found.headers == {"X-Region": "eu"}
    assert asked(found) == {"token": (True, True), "X-API-Key": (True, True)}
    key = SecretReference(secret="file:key", format="key={}")
    assert render(found, {"token": TOKEN, "X-API-Key": key})["headers"] == {
        "Authorization": {"secret": "env:TOKEN", "format": "Bearer {}"},
        "X-API-Key": {"secret": "file:key", "format": "key={}"},
    }


@pytest.mark.parametrize("value", ["{user}:{password}", '{"key": "{password}"}'])
def test_where_one_reference_is_not_enough_the_whole_value_is_the_secret(value: str) -> None:
    inner = {"user": {"isSecret": True}, "password": {"isSecret": True}}
    found = launched("npm", environmentVariables=[variable("LOGIN", value=value, variables=inner)])
    assert asked(found) == {"LOGIN": (True, True)}
    assert value in found.variables[0].description
    assert render(found, {"LOGIN": TOKEN}) == {"env": {"LOGIN": {"secret": "env:TOKEN"}}}


def test_a_secret_that_its_publisher_wrote_down_is_not_taken_over() -> None:
    found = launched(
        "npm",
        environmentVariables=[
            variable("KEY", value="sk-abcdefghijklmnopqrst", isSecret=True, isRequired=True),
            variable("TOKEN", default="hunter2-hunter2", isSecret=True),
            variable("FORGOTTEN_TOKEN"),
            variable("SORT_KEY", default="name"),
        ],
    )
    assert asked(found) == {"KEY": (True, True), "TOKEN": (False, True), "FORGOTTEN_TOKEN": (False, True)}
    assert found.env == {"SORT_KEY": "name"}
    assert "sk-abc" not in repr(found)
    assert "hunter2" not in repr(found)
    assert found.notes == ("the entry holds a value for the secret KEY; it is not used",)


def test_a_secret_among_arguments_is_refused_and_an_optional_one_left_out() -> None:
    optional = launched("npm", packageArguments=[option("--key", isSecret=True), word("go")])
    assert render(optional, {}) == {}
    assert optional.args == ("go",)
    with pytest.raises(SecretArgument, match="the secret key as an argument"):
        render(optional, {"key": TOKEN})
    required = launched("npm", packageArguments=[option("--key={key}", isSecret=True, isRequired=True)])
    with pytest.raises(SecretArgument):
        render(required, {}, source="mcp:x/y")
    plain = launched("npm", packageArguments=[option("--key")])
    with pytest.raises(SecretArgument):
        render(plain, {"key": TOKEN})


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ({"choices": ["a", "b"]}, "c"),
        ({"format": "number"}, "many"),
        ({"format": "boolean"}, "perhaps"),
    ],
)
def test_an_answer_has_to_be_what_is_asked_for(given: dict[str, Any], answer: str) -> None:
    found = launched("npm", environmentVariables=[variable("X", **given)])
    with pytest.raises(WrongAnswer, match=f"X cannot be '{answer}'"):
        render(found, {"X": answer})
    with pytest.raises(UnknownVariable) as caught:
        render(found, {"Y": answer}, source="mcp:x/y")
    assert caught.value.hint == "it asks for X"


def test_one_name_with_two_meanings_is_asked_twice_and_with_one_meaning_once() -> None:
    def of(text: str) -> dict[str, Any]:
        return {"host": {"description": text, "isRequired": True}}

    found = launched(
        "npm",
        environmentVariables=[
            variable("A", value="http://{host}", variables=of("the API")),
            variable("B", value="pg://{host}", variables=of("the database")),
            variable("C", value="{host}/c", variables=of("the API")),
        ],
    )
    assert list(asked(found)) == ["host", "host-2"]
    assert render(found, {"host": "a", "host-2": "b"}) == {"env": {"A": "http://a", "B": "pg://b", "C": "a/c"}}


def test_variables_of_an_address_are_asked_and_filled_in() -> None:
    found = remote(
        "https://{tenant}.example.com/{path}", variables={"tenant": {"isRequired": True}, "path": {"default": "mcp"}}
    )
    assert (found.url, asked(found)) == ("https://{tenant}.example.com/mcp", {"tenant": (True, False)})
    assert render(found, {"tenant": "acme"}) == {"url": "https://acme.example.com/mcp"}
    with pytest.raises(WrongAnswer):
        render(found, {"tenant": TOKEN})


def test_a_package_that_does_not_speak_stdio_says_so() -> None:
    found = launched(
        "npm",
        transport={"type": "streamable-http", "url": "http://localhost:{port}/mcp"},
        packageArguments=[option("--port", default="8080")],
    )
    assert (found.transport, found.url) == ("streamable-http", "http://localhost:8080/mcp")
    assert found.notes == ("it speaks streamable-http at http://localhost:8080/mcp, not stdio",)
    assert launched("npm").notes == ()


def test_a_variable_with_an_impossible_name_is_left_out_and_told() -> None:
    found = launched("npm", environmentVariables=[variable("NOT A NAME", isRequired=True)])
    assert (found.env, found.variables) == ({}, ())
    assert found.notes == ("'NOT A NAME' is no name of an environment variable, and is left out",)


def test_options_for_the_command_line_propose_and_never_hold_a_secret() -> None:
    listed = [variable("PORT", placeholder="80"), variable("my.token", isSecret=True, placeholder="ghp_abc")]
    found = remote(headers=listed)
    assert [option_for(item) for item in found.variables] == [
        ("--arg", "PORT=80"),
        ("--secret", "my.token=env:MY_TOKEN"),
    ]


def test_a_whole_variable_can_be_said_instead_of_what_the_entry_asks_for_it() -> None:
    found = launched("oci", runtimeArguments=GITHUB_RUN, environmentVariables=[variable("LEVEL", default="info")])
    said = told(found, env={"LEVEL": "debug", "NEW": "x"}, secrets={"GITHUB_TOKEN": TOKEN}, arguments={})
    assert (said.answers, asked(said.launch)) == ({}, {})
    assert said.env == {"LEVEL": "debug", "NEW": "x", "GITHUB_TOKEN": TOKEN}
    assert render(said.launch, said.answers) == {}
    by_name = told(found, env={}, secrets={"token": TOKEN}, arguments={})
    assert (by_name.answers, by_name.env) == ({"token": TOKEN}, {})
    with pytest.raises(SecretAsText):
        told(found, env={"GITHUB_TOKEN": "ghp_abc"}, secrets={}, arguments={})


def test_one_value_or_several_are_told_apart() -> None:
    found = launched("npm", packageArguments=[option("--allow", isRepeated=True)])
    assert told(found, env={}, secrets={}, arguments={"allow": ("a", "b")}).answers == {"allow": ("a", "b")}
    assert told(found, env={}, secrets={}, arguments={"allow": ("a",)}).answers == {"allow": "a"}
