"""What an import decides, from values to the text of a manifest: equal servers, names, secrets, what is there already."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import pytest

from hatchlock.errors import UsageError
from hatchlock.manifest.load import loads
from hatchlock.migrate import deciding
from hatchlock.migrate.deciding import Decision, Wishes, decide
from hatchlock.migrate.merging import Found, Merged, Origin, free_name, merged
from hatchlock.migrate.model import Left, Proposed, Secret
from hatchlock.migrate.relative import relative_to
from hatchlock.migrate.secret_names import named_secrets
from hatchlock.state.imported import Imported

MANIFEST = """\
# ours
[project]
name = "trial"
platforms = ["linux/amd64"]   # one
"""
TOKEN = Secret(table="env", key="GITHUB_TOKEN", value="one")
OTHER = Secret(table="env", key="GITHUB_TOKEN", value="two")


def found(
    name: str, source: str = "pypi:a", *, client: str = "cursor", secrets: tuple[Secret, ...] = (), **more: Any
) -> Found:
    fields = {"source": source, **more.pop("fields", {})}
    server = Proposed(name=name, found_as=name, line=3, fields=fields, secrets=secrets, **more)
    file = f"/{client}.json"
    return Found(
        server=server,
        origin=Origin(file=file, line=3, entry=name, client=client, record=f"{client}/user{file}", digest=f"d-{name}"),
    )


def decided(*items: Found, text: str = MANIFEST, imported: tuple[Imported, ...] = (), **wishes: Any) -> Decision:
    return decide(
        text,
        merged(items),
        environments=wishes.pop("environments", {}),
        imported=imported,
        scopes=wishes.pop("scopes", {}),
        wishes=Wishes(**wishes),
        is_free=lambda _name, _value: True,
    )


def states(decision: Decision) -> dict[str, str]:
    return {item.name: item.state for item in decision.outcomes}


def servers(decision: Decision) -> dict[str, Any]:
    return dict(tomllib.loads(decision.text).get("servers", {}))


def test_equal_servers_are_one_and_have_the_name_that_most_give_it() -> None:
    (one,) = merged([found("gh"), found("github", client="zed"), found("github", client="vscode")])
    assert (one.name, one.clients) == ("github", ("cursor", "vscode", "zed"))
    assert [origin.entry for origin in one.origins] == ["gh", "github", "github"]


@pytest.mark.parametrize(
    "other",
    [
        found("a", "pypi:b", client="zed"),
        found("a", client="zed", fields={"args": ["x"]}),
        found("a", client="zed", secrets=(OTHER,)),
        found("a", client="zed"),
    ],
)
def test_different_servers_of_one_name_get_that_of_their_application(other: Found) -> None:
    first, second = merged([found("a", secrets=(TOKEN,)), other])
    assert (first.name, second.name) == ("a", "a-zed")


def test_fields_of_applications_make_no_other_server() -> None:
    (one,) = merged(
        [
            found("a", client="cline", client_fields={"timeout": 60}),
            found("a", client="kiro", client_fields={"disabled": True}),
            found("b", client="cline", client_fields={"timeout": 90}),
        ]
    )
    assert one.client_fields == {"cline": {"timeout": 60}, "kiro": {"disabled": True}}
    assert [left.what for _, left in one.left] == [
        "b: another entry of cline has this server with other fields, which count"
    ]


def test_what_is_asked_for_under_different_names_makes_different_servers() -> None:
    work, home = (Secret(table="env", key="GITHUB_TOKEN", asked=name) for name in ("work", "home"))
    first, second = merged([found("a", secrets=(work,)), found("b", secrets=(home,))])
    assert (first.name, second.name) == ("a", "b")


def test_a_free_name_is_never_too_long() -> None:
    long = "x" * 64
    assert free_name(long, [long].__contains__, hint="cursor") == f"{'x' * 57}-cursor"
    assert free_name("a", ["a", "a-cursor"].__contains__, hint="cursor") == "a-2"
    assert free_name("a", ["a", "a-2"].__contains__) == "a-3"


def names(*items: Merged, taken: tuple[str, ...] = ()) -> dict[str, str]:
    given = named_secrets(items, is_free=lambda name, _: name not in taken)
    return {f"{server}.{secret.key}": name for (server, secret), name in given.items()}


def server(name: str, *secrets: Secret) -> Merged:
    (one,) = merged([found(name, secrets=secrets)])
    return one


def test_what_an_application_asks_for_once_is_one_secret_and_called_as_it_calls_it() -> None:
    env, again, header = (
        Secret(table="env", key="GITHUB_TOKEN", asked="gh key"),
        Secret(table="env", key="GH_TOKEN", asked="gh key"),
        Secret(table="headers", key="Authorization", format="Bearer {}", asked="gh key"),
    )
    (elsewhere,) = merged([found("d", client="vscode", secrets=(env,))])
    other = Secret(table="env", key="GITHUB_TOKEN", asked="key")
    assert names(server("a", env, again), server("b", header), elsewhere, server("c", other)) == {
        "a.GITHUB_TOKEN": "gh-key",
        "a.GH_TOKEN": "gh-key",
        "b.Authorization": "gh-key",
        "d.GITHUB_TOKEN": "d-gh-key",
        "c.GITHUB_TOKEN": "c-key",
    }


def test_what_is_asked_for_once_keeps_the_name_that_an_earlier_import_gave_it() -> None:
    asked = Secret(table="env", key="KEY", asked="gh")
    first = decided(found("a", secrets=(asked,))).text.replace("keyring:gh", "keyring:mine")
    both = servers(decided(found("a", secrets=(asked,)), found("b", "pypi:b", secrets=(asked,)), text=first))
    assert {name: item["env"]["KEY"]["secret"] for name, item in both.items()} == {
        "a": "keyring:mine",
        "b": "keyring:mine",
    }


def test_secrets_are_called_like_their_variables_and_equal_values_share_a_name() -> None:
    assert names(server("a", TOKEN), server("b", TOKEN), server("c", OTHER)) == {
        "a.GITHUB_TOKEN": "github-token",
        "b.GITHUB_TOKEN": "github-token",
        "c.GITHUB_TOKEN": "c-github-token",
    }


def test_a_variable_that_says_nothing_has_its_server_before_it() -> None:
    key = Secret(table="env", key="API_KEY", value="v")
    header = Secret(table="headers", key="Authorization", value="w", format="Bearer {}")
    assert names(server("a.b", key, header)) == {"a.b.API_KEY": "a-b-api-key", "a.b.Authorization": "a-b-authorization"}


def test_a_value_of_several_servers_is_called_by_a_variable_alone() -> None:
    token = Secret(table="env", key="TOKEN", value="v")
    header = Secret(table="headers", key="Authorization", value="v", format="Bearer {}")
    shared = {"time.TOKEN": "token", "linear.Authorization": "token"}
    assert names(server("time", token), server("linear", header)) == shared
    assert set(names(server("time", token), server("linear", header), taken=("token",)).values()) == {"authorization"}
    telling = Secret(table="env", key="LINEAR_TOKEN", value="v")
    assert set(names(server("time", token), server("linear", telling)).values()) == {"linear-token"}


def test_a_secret_without_a_value_shares_its_name_with_none() -> None:
    asked = Secret(table="env", key="GITHUB_TOKEN")
    assert names(server("a", asked), server("b", asked)) == {
        "a.GITHUB_TOKEN": "github-token",
        "b.GITHUB_TOKEN": "b-github-token",
    }
    assert names(server("a", asked), taken=("github-token", "a-github-token")) == {"a.GITHUB_TOKEN": "a-github-token-2"}
    assert names(server("a", Secret(table="env", key="GITHUB_TOKEN", reference="env:X"))) == {}


def test_a_name_that_another_server_refers_to_by_itself_is_taken() -> None:
    theirs = Secret(table="env", key="TOKEN", reference="keyring:github-token")
    assert names(server("a", TOKEN), server("b", theirs)) == {"a.GITHUB_TOKEN": "a-github-token"}


def test_a_manifest_gets_the_servers_and_keeps_everything_else() -> None:
    decision = decided(
        found("a", secrets=(TOKEN,), client_fields={"envFile": ".x"}), found("b", "pypi:b", client="zed")
    )
    assert decision.text.startswith(MANIFEST)
    assert servers(decision) == {
        "a": {
            "source": "pypi:a",
            "clients": ["cursor"],
            "env": {"GITHUB_TOKEN": {"secret": "keyring:github-token"}},
            "client": {"cursor": {"envFile": ".x"}},
        },
        "b": {"source": "pypi:b", "clients": ["zed"]},
    }
    loads(decision.text, shown="hatchlock.toml")


def test_the_same_again_is_there_already() -> None:
    items = (found("a", secrets=(TOKEN,)), found("b", "pypi:b", client="zed"))
    first = decided(*items, runtime="process")
    again = decided(*items, text=first.text)
    assert states(again) == {"a": "there", "b": "there"}
    assert again.text == first.text
    assert [item.kept_under for item in again.outcomes] == [{TOKEN: "github-token"}, {}]


def test_what_was_edited_since_it_was_imported_is_there_already() -> None:
    first = decided(found("a"))
    edited = first.text.replace("pypi:a", "pypi:a>=2")
    assert states(decided(found("a"), text=edited)) == {"a": "conflict"}
    record = Imported(file="cursor/user/cursor.json", entry="a", digest="d-a", server="a")
    changed = decided(found("a"), text=edited, imported=(replace(record, digest="d"),))
    assert [(item.state, "has changed since" in item.why) for item in changed.outcomes] == [("conflict", True)]
    assert states(decided(found("a"), text=edited, imported=(record,))) == {"a": "there"}


def test_another_server_of_the_name_is_a_conflict_that_a_new_name_solves() -> None:
    text = MANIFEST + '\n[servers.a]\nsource = "pypi:other"\n'
    decision = decided(found("a"), found("b", "pypi:b"), text=text)
    assert states(decision) == {"a": "conflict", "b": "added"}
    assert servers(decision)["a"] == {"source": "pypi:other"}
    renamed = decided(found("a"), text=text, renames={"a": "a-new"})
    assert states(renamed) == {"a-new": "added"}


def test_no_server_gets_the_name_of_another_entry_beside_its_own() -> None:
    both = (found("a"), found("b", "pypi:b"))
    decision = decided(*both, renames={"a": "b"})
    assert [(item.name, item.state) for item in decision.outcomes] == [("b", "conflict"), ("b", "added")]
    swapped = decided(*both, renames={"a": "b", "b": "a"})
    assert [(item.name, item.state) for item in swapped.outcomes] == [("b", "conflict"), ("a", "conflict")]
    assert swapped.outcomes[0].why == (
        "/cursor.json has another entry 'b', and no two can have one name there: choose another with --rename a=NAME"
    )
    apart = decided(found("a"), found("b", "pypi:b", client="zed"), renames={"a": "b"})
    assert states(apart) == {"b": "added", "b-2": "added"}
    same = decided(found("a"), found("b"), renames={"a": "b"})
    assert states(same) == {"b": "added"}


def test_a_name_made_up_is_none_of_another_entry_either() -> None:
    items = (found("a"), found("b", "pypi:b", client="zed"), found("b-2", "pypi:c", client="zed"))
    assert states(decided(*items, renames={"a": "b"})) == {"b": "added", "b-3": "added", "b-2": "added"}


def test_a_rename_is_about_the_server_of_that_name_alone() -> None:
    both = (found("gh"), found("gh", "pypi:b", client="vscode"))
    assert set(servers(decided(*both, renames={"gh": "hub"}))) == {"hub", "gh-vscode"}
    assert set(servers(decided(*both, renames={"gh-vscode": "hub", "gh": "a"}))) == {"a", "hub"}
    with pytest.raises(UsageError) as caught:
        decided(*both, renames={"hg": "x"})
    assert "nothing that was read is called 'hg'" in str(caught.value)
    assert caught.value.hint == "did you mean 'gh'?"


def test_a_server_that_is_there_says_which_applications_do_not_list_it() -> None:
    text = MANIFEST + '\n[servers.mine]\nsource = "pypi:a"\nclients = ["zed"]\n'
    (outcome,) = decided(found("a"), text=text).outcomes
    assert (outcome.name, outcome.state, outcome.clients, outcome.unlisted) == ("mine", "there", ("zed",), ("cursor",))


def test_what_no_manifest_may_have_is_refused_and_stops_nothing_else() -> None:
    bad = found("bad", "pypi:bad", fields={"sandbox": {"network": "internet"}})
    decision = decided(found("a"), bad, found("c", "pypi:c"))
    assert states(decision) == {"a": "added", "bad": "refused", "c": "added"}
    (refused,) = [item for item in decision.outcomes if item.state == "refused"]
    assert "reason" in refused.why
    assert sorted(servers(decision)) == ["a", "c"]


def test_a_manifest_that_many_are_added_to_is_read_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def counted(text: str, *, shown: str) -> Any:
        reads.append(text)
        return loads(text, shown=shown)

    monkeypatch.setattr(deciding, "loads", counted)
    many = [found(f"s{number}", f"pypi:s{number}") for number in range(64)]
    assert set(states(decided(*many)).values()) == {"added"}
    assert len(reads) == 2
    reads.clear()
    bad = found("bad", "pypi:bad", fields={"sandbox": {"network": "internet"}})
    decision = decided(*many[:20], bad, *many[20:])
    assert [name for name, state in states(decision).items() if state == "refused"] == ["bad"]
    assert len(reads) < 20
    reads.clear()
    port = {"transport": "http", "port": 80, "host-port": 8001}
    both = [found(name, f"pypi:{name}", fields=port) for name in ("one", "two", "three")]
    decision = decided(*both[:1], *many[:20], *both[1:2], *many[20:], *both[2:])
    assert [name for name, state in states(decision).items() if state == "refused"] == ["two", "three"]
    assert len(reads) < 40


def test_only_environments_and_scopes_that_are_used_are_written() -> None:
    environments = {"shared": {"python": "3.11"}, "unused": {"python": "3.12"}}
    decision = decided(
        found("a", fields={"environment": "shared"}),
        environments=environments,
        scopes={"cursor": "project", "zed": "project"},
    )
    document = tomllib.loads(decision.text)
    assert document["environments"] == {"shared": {"python": "3.11"}}
    assert document["clients"] == {"cursor": {"scope": "project"}}


def test_wishes_say_who_lists_them_and_where_they_run() -> None:
    image = found("image", "oci:ghcr.io/acme/a:1")
    decision = decided(found("a", client=""), image, clients=("zed",), runtime="process")
    assert servers(decision)["a"] == {"source": "pypi:a", "runtime": "process", "clients": ["zed"]}
    assert "runtime" not in servers(decision)["image"]


def test_what_is_left_says_whose_it_is() -> None:
    (one,) = merged([found("a", left=(Left(line=7, what="`x`: nothing"),))])
    assert [(file, left.line, left.what) for file, left in one.left] == [("/cursor.json", 7, "a: `x`: nothing")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("path:/home/a/project/tool", "path:./tool"),
        ("path:/home/a/project", "path:."),
        ("path:/home/a/project/tool#as=files", "path:./tool#as=files"),
        ("path:/home/a/projects", "path:/home/a/projects"),
        ("path:./tool", "path:./tool"),
        ("pypi:a", "pypi:a"),
    ],
)
def test_paths_below_the_project_are_relative(before: str, after: str) -> None:
    mounts = [{"source": "/home/a/project/data", "target": "/data"}, {"source": "/srv", "target": "/srv"}]
    server = found("a", before, fields={"sandbox": {"mounts": mounts}}).server
    fields = relative_to(server, PurePath("/home/a/project")).fields
    assert fields["source"] == after
    assert [mount["source"] for mount in fields["sandbox"]["mounts"]] == ["./data", "/srv"]


def test_what_is_below_the_home_begins_with_it() -> None:
    mounts = [{"source": f"/home/a{path}", "target": "/x"} for path in ("/notes", "", "/project/data", "b/notes")]
    key = Secret(table="env", key="KEY", reference="file:/home/a/.key")
    fields = {"env": {"A": {"secret": "file:/home/a/k"}, "B": "/home/a/b"}, "sandbox": {"mounts": mounts}}
    item = found("a", "path:/home/a/src", secrets=(key,), fields=fields).server
    server = relative_to(item, PurePath("/home/a/project"), home=PurePath("/home/a"))
    shown = [mount["source"] for mount in server.fields["sandbox"]["mounts"]]
    assert shown == ["~/notes", "/home/a", "./data", "/home/ab/notes"]
    assert server.fields["env"] == {"A": {"secret": "file:~/k"}, "B": "/home/a/b"}
    assert (server.fields["source"], server.secrets[0].reference) == ("path:~/src", "file:~/.key")
