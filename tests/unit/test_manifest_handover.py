"""`[[moved]]`, `[[forget]]`, `[[adopt]]`: what fits together, and what they mean."""

from __future__ import annotations

import pytest

from hatchlock.address import Address
from hatchlock.errors import ManyErrors
from hatchlock.manifest.handover import Handover, covers
from hatchlock.manifest.load import loads

HEAD = """\
[project]
name = "p"
platforms = ["linux/amd64"]
[servers.new]
command = "/bin/sh"
clients = ["cursor"]
sandbox.writable = ["/data"]
sandbox.reason = "keeps it"
"""


def moved(*pairs: tuple[str, str]) -> str:
    return "".join(f'[[moved]]\nfrom = "server:{old}"\nto = "server:{new}"\n' for old, new in pairs)


def adopt(address: str, more: str = "") -> str:
    return f'[[adopt]]\naddress = "{address}"\n{more}'


def handover(text: str) -> Handover:
    return loads(HEAD + text, shown="m").manifest.handover


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            moved(("new", "b")),
            ["m:10: moved[0].from: server 'new' is declared", "m:11: moved[0].to: there is no server"],
        ),
        (moved(("a", "nwe")), ["m:11: moved[0].to: there is no server 'nwe'"]),
        (moved(("a", "new"), ("a", "b")), ["m:13: moved[1].from: server 'a' moves twice", "moved[1].to: there is no"]),
        (moved(("a", "new"), ("b", "new")), ["m:14: moved[1].to: two servers move to 'new'"]),
        (moved(("a", "b"), ("b", "a")), ["moved[0]: this move goes round", "moved[1]: this move goes round"]),
        (moved(("a", "a")), ["moved[0]: this move goes round in a circle"]),
        ('[[moved]]\nfrom = "volume:a/b"\nto = "server:new"\n', ["moved[0].from: 'volume:a/b' is no server"]),
        ('[[forget]]\naddress = "server:new"\n', ["m:10: forget[0].address: server:new is declared"]),
        ('[[forget]]\naddress = "client:cursor/new"\n', ["client:cursor/new is declared"]),
        ('[[forget]]\naddress = "volume:new/data@process"\n', ["volume:new/data@process is declared"]),
        ('[[forget]]\naddress = "env:new"\n', ["'env:new' is none of our addresses"]),
        (adopt("client:claude-code/new"), ["client:claude-code/new is not declared"]),
        (adopt("client:cursor/new", 'name = "x"\n'), ["adopt[0].name: a client entry is adopted by its address"]),
        (adopt("volume:new/other", 'name = "x"\n'), ["volume:new/other is not declared"]),
        (adopt("volume:new/data"), ["adopt[0]: it does not say what it becomes a copy of"]),
        (adopt("client:cursor/new") * 2, ["m:12: adopt[1].address: client:cursor/new is adopted twice"]),
        (adopt("server:new"), ["'server:new' is nothing that can be adopted"]),
        (adopt("container:x"), ["'container:x' is not yet supported"]),
    ],
)
def test_what_does_not_fit_is_said_with_its_line(text: str, expected: list[str]) -> None:
    with pytest.raises(ManyErrors) as caught:
        handover(text)
    said = [f"{error.place}: {error}" for error in caught.value.errors]
    assert [any(part in line for line in said) for part in expected] == [True] * len(expected), said
    assert len(said) == len(expected), said


@pytest.mark.parametrize("name", ["moved", "forget", "adopt"])
def test_one_bracket_too_few_is_said(name: str) -> None:
    with pytest.raises(ManyErrors) as caught:
        handover(f'[{name}]\naddress = "server:old"\n')
    (error,) = caught.value.errors
    assert (str(error), error.hint) == (f"{name}: it must be a list, not a table", f"write [[{name}]]")


def test_moves_follow_each_other_in_whatever_order_they_are_written() -> None:
    found = handover(moved(("b", "c"), ("c", "new"), ("a", "b")))
    assert (found.name_now("a"), found.name_now("new"), found.name_now("x")) == ("new", "new", "x")
    assert (found.names_before("new"), found.names_before("b"), found.names_before("x")) == (
        ("c", "b", "a"),
        ("a",),
        (),
    )


def test_a_server_is_forgotten_with_what_is_its_own() -> None:
    found = handover('[[forget]]\naddress = "server:gone"\n[[forget]]\naddress = "volume:kept/a"\n')
    given_up = [
        "server:gone",
        "client:cursor/gone",
        "client:cursor@user/gone",
        "volume:gone/a/b",
        "volume:gone/a@process",
    ]
    given_up += ["volume:kept/a", "volume:kept/a@process"]
    others = ["server:gone2", "client:cursor/gone2", "volume:gone2/a", "volume:kept/ab", "env:gone", "server:kept"]
    covered = [item for item in given_up + others if any(covers(word, Address.parse(item)) for word in found.forgotten)]
    assert covered == given_up


def test_what_is_adopted_in_either_runtime() -> None:
    found = handover(adopt("volume:new/data@process", 'name = "./old"\n') + adopt("client:cursor/new"))
    said = [found.adopted_from(Address.parse(f"{item}")) for item in ("volume:new/data", "volume:new/data@process")]
    assert said == ["./old", "./old"]
    assert found.adopted_from(Address.parse("client:cursor/new")) == ""
    assert found.adopted_from(Address.parse("client:cursor/x")) is None


def test_it_goes_through_json() -> None:
    found = handover(moved(("a", "new")) + adopt("client:cursor/new") + '[[forget]]\naddress = "server:gone"\n')
    assert Handover.from_dict(found.to_dict()) == found
