from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import Address
from hatchlock.clients.catalogue import CLIENTS, Scope
from hatchlock.clients.owners import start_for
from hatchlock.clients.writer import EntryChanged, entry_digest
from hatchlock.manifest.handover import Handover
from hatchlock.paths import Home
from hatchlock.reconcile.diff import diff
from hatchlock.reconcile.plan import Plan
from hatchlock.resources.base import Action
from hatchlock.resources.client import ClientFile, ClientResource, EntrySpec
from hatchlock.state.project import ProjectState


class Files:
    """A project's client files below one directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = Home(root=root / "store", is_default=False)
        self.state = ProjectState(self.home.project("p"))
        self.user = ClientFile(client="cursor", scope="user", path=str(root / "user.json"))
        self.project = ClientFile(client="cursor", scope="project", path=str(root / "project.json"))

    def value(self, server: str, scope: Scope = "user", project: str = "p") -> dict[str, Any]:
        start = start_for(
            scope=scope,
            launcher=str(self.home.bin / "hatchlock"),
            home=self.home,
            project=project,
            server=server,
        )
        return CLIENTS["cursor"].shape.written(start)

    def resource(
        self,
        *servers: str,
        file: ClientFile | None = None,
        adopted: Sequence[str] = (),
        moved: Mapping[str, str] | None = None,
        left: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> ClientResource:
        chosen = file or self.user
        specs = [EntrySpec(file=chosen, server=name, value=self.value(name, chosen.scope)) for name in servers]
        return ClientResource(
            specs,
            state=self.state,
            home=self.home,
            project="p",
            usual=[self.user, self.project],
            applied={Address.parse(address): entry_digest(value) for address, value in (left or {}).items()},
            handover=Handover(moved=moved or {}, adopted={Address.parse(address): "" for address in adopted}),
        )

    def write(self, file: ClientFile, **entries: Any) -> None:
        Path(file.path).write_text(json.dumps({"mcpServers": entries}))

    def read(self, file: ClientFile) -> Any:
        return json.loads(Path(file.path).read_text())["mcpServers"]


def plan(found: ClientResource) -> Plan:
    observed = list(found.observe())
    return diff(found.desired(), observed, found.problems)


def steps(found: ClientResource) -> list[str]:
    return [f"{step.action} {step.address}" for step in plan(found).steps]


def apply(found: ClientResource) -> None:
    for step in plan(found).steps:
        found.apply(step)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_an_entry_is_made_once(files: Files) -> None:
    found = files.resource("a", "b")
    assert steps(found) == ["create client:cursor/a", "create client:cursor/b"]
    apply(found)
    assert files.read(files.user) == {"a": files.value("a"), "b": files.value("b")}
    assert steps(found) == []


def test_asking_writes_nothing(files: Files) -> None:
    steps(files.resource("a"))
    assert list(files.root.iterdir()) == []


def test_entries_that_are_not_ours_are_not_seen(files: Files) -> None:
    files.write(files.user, mine={"command": "x"}, theirs=files.value("theirs", project="other"))
    assert steps(files.resource()) == []


def test_our_own_entry_that_is_not_declared_any_more_goes(files: Files) -> None:
    files.write(files.user, mine={"command": "x"}, a=files.value("a"))
    found = files.resource("b")
    assert steps(found) == ["delete client:cursor/a", "create client:cursor/b"]
    apply(found)
    assert files.read(files.user) == {"mine": {"command": "x"}, "b": files.value("b")}


def test_an_entry_that_runs_another_name_than_its_own_is_not_ours(files: Files) -> None:
    files.write(files.user, alias=files.value("a"))
    assert steps(files.resource()) == []


@pytest.mark.parametrize(
    ("theirs", "owner"),
    [
        ({"command": "mine"}, "was not written by hatchlock"),
        ("other", "belongs to the project 'other' of the store"),
        ({"command": "/home/ada/bin/hatchlock", "args": ["run", "--project", "x", "a"]}, "belongs to the project 'x'"),
        ({"command": "hatchlock", "args": ["serve"]}, "was not written by hatchlock"),
        # the project is of this name, and the store is another one
        (
            {"command": "/home/ada/bin/hatchlock", "args": ["run", "--project", "p", "a"]},
            "belongs to the project 'p' of the store ~/.local/share/hatchlock,",
        ),
        (
            {"command": "/home/ada/bin/hatchlock", "args": ["run", "--home", "/srv/s", "--project", "p", "a"]},
            "belongs to the project 'p' of the store /srv/s",
        ),
    ],
)
def test_a_foreign_entry_in_the_way_is_left_alone_and_its_owner_is_named(
    files: Files, theirs: str | dict[str, Any], owner: str
) -> None:
    files.write(files.user, a=files.value("a", project=theirs) if isinstance(theirs, str) else theirs)
    before = Path(files.user.path).read_bytes()
    found = files.resource("a", "b")
    planned = plan(found)
    assert [str(step.address) for step in planned.steps] == ["client:cursor/b"]
    (problem,) = planned.problems
    assert (problem.code, str(problem.address)) == ("entry-taken", "client:cursor/a")
    assert f"the entry 'a' in {files.user.path} {owner}" in problem.what
    assert "rename the server, remove that entry, or take it over" in problem.hint
    assert ("`hatchlock import`" in problem.hint) == ("written" in owner)
    assert ("destroy the other project" in problem.hint) == ("project" in owner)
    assert planned.existing == 0  # it is not ours to count
    assert Path(files.user.path).read_bytes() == before


def test_an_entry_in_the_way_that_starts_another_server_of_this_project_is_told_as_that(files: Files) -> None:
    files.write(files.user, a=files.value("b"))
    (problem,) = plan(files.resource("a")).problems
    assert f"the entry 'a' in {files.user.path} starts the server 'b' of this project" in problem.what
    assert "other project" not in problem.hint


def test_a_foreign_entry_that_is_adopted_is_replaced_once(files: Files) -> None:
    text = '{"mcpServers": {"z": {"command": "z"}, "a": {"command": "mine", "env": {"KEY": "s3cret"}}}} // kept'
    Path(files.user.path).write_text(text)
    found = files.resource("a", adopted=["client:cursor/a"])
    (step,) = plan(found).steps
    assert step.action is Action.UPDATE
    assert step.loss == (
        f"the entry 'a' in {files.user.path}: it holds what looks like a secret, and nothing keeps that"
    )
    assert step.cause == "adopted: replaces an entry that was not written by hatchlock"
    assert "s3cret" not in str(plan(found))
    apply(found)
    assert json.loads(Path(files.user.path).read_text().removesuffix(" // kept"))["mcpServers"] == {
        "z": {"command": "z"},
        "a": files.value("a"),
    }
    assert steps(files.resource("a", adopted=["client:cursor/a"])) == []


MOVED = """{
  // ours comes second
  "mcpServers": {
    "first": {"command": "x"},
    "old": OLD, // a note
    "last": {"command": "y"}
  }
}
"""


def moving(files: Files) -> ClientResource:
    return files.resource("new", moved={"older": "old", "old": "new"})


def test_an_entry_that_has_moved_is_renamed_where_it_stands(files: Files) -> None:
    Path(files.user.path).write_text(MOVED.replace("OLD", json.dumps(files.value("old"))))
    found = moving(files)
    (step,) = plan(found).steps
    assert (step.action, str(step.address), step.loss) == (Action.UPDATE, "client:cursor/new", "")
    assert step.cause == "moved from client:cursor/old"
    apply(found)
    assert Path(files.user.path).read_text() == MOVED.replace('"old": OLD', f'"new": {json.dumps(files.value("new"))}')
    seen = found.observe_one(step.address)
    assert seen
    assert seen.key == step.after
    assert steps(moving(files)) == []


def test_what_was_edited_by_hand_before_it_moved_is_a_loss(files: Files) -> None:
    files.write(files.user, old={**files.value("old"), "timeout": 5})
    (step,) = plan(moving(files)).steps
    assert "was edited by hand" in step.loss


def test_of_several_names_before_the_last_one_moves_and_the_others_go(files: Files) -> None:
    files.write(files.user, older=files.value("older"), old=files.value("old"))
    assert steps(moving(files)) == ["update client:cursor/new", "delete client:cursor/older"]
    apply(moving(files))
    assert files.read(files.user) == {"new": files.value("new")}


def test_a_move_to_a_name_that_is_there_takes_nothing_along(files: Files) -> None:
    files.write(files.user, old=files.value("old"), new=files.value("new"))
    assert steps(moving(files)) == ["delete client:cursor/old"]


def test_what_has_moved_stays_while_somebody_else_has_its_new_name(files: Files) -> None:
    files.write(files.user, old=files.value("old"), new=files.value("new", project="other"))
    planned = plan(moving(files))
    assert planned.steps == ()
    assert [(str(problem.address), problem.code) for problem in planned.problems] == [
        ("client:cursor/new", "entry-taken"),
        ("client:cursor/old", "stays-until"),
    ]
    # in whichever of the application's files that is
    files.write(files.user, old=files.value("old"))
    files.write(files.project, new={"command": "theirs"})
    found = files.resource("new", file=files.project, moved={"old": "new"})
    assert plan(found).steps == ()


def test_an_entry_of_ours_that_no_edit_can_rename_is_seen_by_the_name_that_it_has(files: Files) -> None:
    file, goose = ClientFile(client="goose", scope="user", path=str(files.root / "config.yaml")), CLIENTS["goose"]
    values = {
        name: goose.shape.written(
            start_for(scope="user", launcher="/bin/hatchlock", home=files.home, project="p", server=name)
        )
        for name in ("old", "new")
    }
    tied = goose.dialect.set(b"", "old", values["old"]).decode().replace("old:", "old: &tied") + "more: *tied\n"
    Path(file.path).write_text(tied)
    found = ClientResource(
        [EntrySpec(file=file, server="new", value=values["new"])],
        state=files.state,
        home=files.home,
        project="p",
        usual=[],
        handover=Handover(moved={"old": "new"}),
    )
    (seen,) = found.observe()
    assert (str(seen.address), str(seen.former)) == ("client:goose/new", "client:goose/old")
    assert [str(problem.address) for problem in plan(found).problems] == ["client:goose/new"]
    assert plan(found).steps == ()


def test_what_has_moved_goes_after_somebody_elses_entry_was_replaced(files: Files) -> None:
    files.write(files.user, old=files.value("old"), new={"command": "theirs"})
    found = files.resource("new", moved={"old": "new"}, adopted=["client:cursor/new"])
    assert [(str(step.address), [*map(str, step.depends_on)]) for step in plan(found).steps] == [
        ("client:cursor/new", []),
        ("client:cursor/old", ["client:cursor/new"]),
    ]
    apply(found)
    assert files.read(files.user) == {"new": files.value("new")}


def test_an_entry_whose_scope_changes_stays_while_it_cannot_stand_in_the_other_file(files: Files) -> None:
    files.write(files.user, a=files.value("a"))
    files.write(files.project, a={"command": "theirs"})
    planned = plan(files.resource("a", file=files.project))
    assert planned.steps == ()
    assert "client:cursor@user/a" in [str(problem.address) for problem in planned.problems]


def test_somebody_elses_entry_of_the_old_name_does_not_move(files: Files) -> None:
    files.write(files.user, old={"command": "mine"})
    assert steps(moving(files)) == ["create client:cursor/new"]


def test_an_entry_that_changed_before_it_was_renamed_is_left_alone(files: Files) -> None:
    files.write(files.user, old=files.value("old"))
    found = moving(files)
    (step,) = plan(found).steps
    files.write(files.user, old={"command": "theirs"})
    with pytest.raises(EntryChanged):
        found.apply(step)
    assert files.read(files.user) == {"old": {"command": "theirs"}}


def test_fields_that_an_apply_has_written_are_no_loss_unless_they_were_edited_since(files: Files) -> None:
    left = {**files.value("a"), "envFile": ".env"}
    files.write(files.user, a=left)
    for found in (files.resource("a", left={"client:cursor/a": left}), files.resource(left={"client:cursor/a": left})):
        (step,) = plan(found).steps
        assert step.loss == ""
    files.write(files.user, a={**left, "envFile": "mine.env"})
    (step,) = plan(files.resource("a", left={"client:cursor/a": left})).steps
    assert "was edited by hand" in step.loss


def test_an_entry_of_ours_that_was_edited_is_a_loss(files: Files) -> None:
    files.write(files.user, a={**files.value("a"), "env": {"X": "1"}})
    (step,) = plan(files.resource("a")).steps
    assert "was edited by hand" in step.loss
    (gone,) = plan(files.resource()).steps
    assert "was edited by hand" in gone.loss


def test_what_changed_after_the_plan_is_left_alone(files: Files) -> None:
    apply(files.resource("a"))
    found = files.resource()
    (step,) = plan(found).steps
    files.write(files.user, a={"command": "theirs"})
    with pytest.raises(EntryChanged):
        found.apply(step)
    assert files.read(files.user) == {"a": {"command": "theirs"}}


def test_an_entry_moves_with_its_scope(files: Files) -> None:
    apply(files.resource("a"))
    found = files.resource("a", file=files.project)
    assert steps(found) == ["create client:cursor/a", "delete client:cursor@user/a"]
    apply(found)
    assert not Path(files.user.path).exists()  # it was made for this entry
    assert files.read(files.project) == {"a": files.value("a", "project")}


def test_a_file_that_was_written_once_is_looked_at_ever_after(files: Files) -> None:
    other = ClientFile(client="cursor", scope="user", path=str(files.root / "other.json"))
    apply(files.resource("a", file=other))
    assert files.state.entry_files() == (str(other),)
    found = files.resource()
    assert steps(found) == ["delete client:cursor/a"]


def test_a_file_that_is_not_understood_is_a_problem_of_its_entries_alone(files: Files) -> None:
    Path(files.user.path).write_text("{,}")
    found = files.resource("a")
    assert plan(found).steps == ()
    assert [str(problem.address) for problem in found.problems] == ["client:cursor/a"]
    assert plan(files.resource("a", file=files.project)).problems == ()
    assert Path(files.user.path).read_text() == "{,}"


@pytest.mark.parametrize("scope", ["user", "project"])
def test_a_broken_file_with_an_entry_that_should_go_is_a_problem_of_its_own(files: Files, scope: Scope) -> None:
    file = ClientFile(client="cursor", scope=scope, path=str(files.root / "elsewhere.json"))
    apply(files.resource("a", file=file))
    whole = Path(file.path).read_text()
    Path(file.path).write_text(whole[:-3])
    assert [str(problem.address) for problem in plan(files.resource()).problems] == [f"client:cursor@{scope}"]
    Path(file.path).write_text('{"nothing": "of ours"')
    assert plan(files.resource()).problems == ()
    Path(file.path).write_text(whole)
    assert steps(files.resource()) == ["delete client:cursor/a"]


def test_one_entry_is_seen_as_it_is_now(files: Files) -> None:
    found = files.resource("a")
    address = Address.parse("client:cursor/a")
    assert found.observe_one(address) is None
    assert found.observe_one(Address.parse("client:cursor/nobody")) is None
    apply(found)
    seen = found.observe_one(address)
    assert seen is not None
    assert seen.facts["file"] == files.user.path
    assert found.artefacts(address) == ()


@pytest.mark.parametrize("text", ["cursor/user//a/b.json", "claude-code/project/c.json"])
def test_a_file_is_remembered_as_text(text: str) -> None:
    file = ClientFile.parse(text)
    assert file is not None
    assert str(file) == text


@pytest.mark.parametrize("text", ["", "cursor", "cursor/user", "cursor/user/", "emacs/user/f", "cursor/system/f"])
def test_a_file_of_a_client_that_this_version_does_not_know_is_none(text: str) -> None:
    assert ClientFile.parse(text) is None
