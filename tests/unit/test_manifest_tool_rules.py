"""Which tools of a server may be used: what can be written, and what comes of it."""

from __future__ import annotations

import pytest

from hatchlock.errors import ManyErrors
from hatchlock.manifest.load import loads
from hatchlock.surface import SurfaceRules

HEAD = '[project]\nname = "p"\nplatforms = ["linux/amd64"]\n'
SERVER = '[servers.x]\nsource = "pypi:x==1"\n'


def rules(text: str) -> SurfaceRules:
    return loads(HEAD + text, shown="m").manifest.servers["x"].tools


@pytest.mark.parametrize(
    ("tools", "what"),
    [
        ("allow = []", "m:7: servers.x.tools.allow: an empty list says nothing"),
        ('allow = ["a", ""]', "m:7: servers.x.tools.allow[1]: no tool has an empty name"),
        ('deny = [""]', "m:7: servers.x.tools.deny[0]: no tool has an empty name"),
        ('allow = ["a*"]\ndeny = ["b", "a*"]', "m:8: servers.x.tools.deny[1]: 'a*' is allowed and denied"),
    ],
)
def test_what_means_nothing_is_refused(tools: str, what: str) -> None:
    with pytest.raises(ManyErrors) as caught:
        loads(f"{HEAD}{SERVER}[servers.x.tools]\n{tools}\n", shown="m")
    assert [f"{error.place}: {error}" for error in caught.value.errors] == [what]


def test_what_a_probed_tool_gets_needs_a_tool() -> None:
    text = "probe = { args = { a = 1 } }\n"
    with pytest.raises(ManyErrors) as caught:
        loads(f"{HEAD}{SERVER}{text}", shown="m")
    (error,) = caught.value.errors
    assert f"{error.place}: {error}" == "m:6: servers.x.probe.args: 'args' is what a tool gets, and none is called"
    loads(f'{HEAD}[defaults]\nprobe = {{ call = "t" }}\n{SERVER}{text}', shown="m")


def test_nothing_is_said_of_what_may_stand_side_by_side() -> None:
    found = rules(f'{SERVER}tools = {{ allow = ["get_*", "a", "a"], deny = ["get_secret"], changed = "filter" }}')
    assert found == SurfaceRules(allow=("a", "get_*"), deny=("get_secret",), changed="filter")


def test_a_server_keeps_what_the_defaults_say_and_it_does_not() -> None:
    text = f'[defaults]\ntools = {{ deny = ["rm*"], changed = "warn" }}\n{SERVER}tools = {{ changed = "refuse" }}\n'
    assert rules(text) == SurfaceRules(deny=("rm*",), changed="refuse")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEAD}audit = true\n{SERVER}", 'it must be "calls", not true'),
        (f'{HEAD}audit = "all"\n{SERVER}', "it must be \"calls\", not 'all'"),
        (f"{HEAD}{SERVER}probe = 3\n", "it must be true, false or a table, not a whole number"),
        (f"{HEAD}{SERVER}runtime = true\n", "true is none of process, container"),
        (f"{HEAD}{SERVER}sandbox.read-only = 3\n", "it must be true or false, not a whole number"),
    ],
)
def test_what_a_key_can_be_is_said_as_it_is_written(text: str, said: str) -> None:
    with pytest.raises(ManyErrors) as caught:
        loads(text, shown="m")
    assert [str(error).partition(": ")[2] for error in caught.value.errors] == [said]
