"""What entries of ours stand for in applications' files: replaced, kept without its secrets, and put back byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.edits import EntryNotKept, StandsIn
from hatchlock.errors import HatchlockError
from hatchlock.resources.base import Action
from hatchlock.security.secrets.programs import Keyring
from hatchlock.security.secrets.store import SecretStore
from hatchlock.state.originals import original_path
from support.client_desk import Desk, plan

TEXT = """{
  // servers of mine
  "theme": "dark",
  "mcpServers": {
    "other": {"command": "x"}, // somebody's
    "GitHub": {
        "command": "npx",   "args": ["-y", "gh@latest"], // odd blanks
        "env": {"GITHUB_TOKEN": "ghp_0123456789abcdef0123"}
    },
    "last": {"command": "y"},
  },
}
"""
SECRETS = {"github-token": "ghp_0123456789abcdef0123"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, TEXT)


def test_an_imported_entry_is_replaced_where_it_stands_and_put_back_byte_for_byte(desk: Desk) -> None:
    desk.keep_secrets(SECRETS)
    records = (desk.imported("GitHub", "github", "github-token"),)
    made = desk.apply("github", imported=records)
    (step,) = made.steps
    assert (str(step.address), step.action, step.loss) == ("client:cursor/github", Action.UPDATE, "")
    assert step.cause == "replaces the entry 'GitHub' that was imported"
    assert desk.names() == ["other", "github", "last"]
    assert SECRETS["github-token"] not in desk.path.read_text() + desk.kept
    assert "github-token" in desk.kept
    (gone,) = desk.apply(imported=records).steps
    assert gone.details == {"puts back": "GitHub"}
    assert desk.path.read_bytes() == TEXT.encode()
    assert (desk.kept, desk.told) == ("", [])


def test_what_changed_in_between_does_not_matter(desk: Desk) -> None:
    desk.keep_secrets(SECRETS)
    records = (desk.imported("GitHub", "github", "github-token"),)
    desk.apply("github", imported=records)
    desk.apply("github", imported=records, more={"env": {"A": "b"}})
    desk.apply("gh", moved={"github": "gh"})
    text = desk.path.read_text().replace('"dark"', '"light"').replace('"last"', '"new": {"command": "z"},\n "last"')
    desk.path.write_text("// on top\n" + text)
    desk.apply()
    changed = TEXT.replace('"dark"', '"light"').replace('"last"', '"new": {"command": "z"},\n "last"')
    assert desk.path.read_text() == "// on top\n" + changed
    assert desk.told == []


def test_where_the_file_was_laid_out_anew_the_value_is_put_back_and_that_is_said(desk: Desk) -> None:
    desk.keep_secrets(SECRETS)
    before = CLIENTS["cursor"].dialect.read(TEXT.encode())
    desk.apply("github", imported=(desk.imported("GitHub", "github", "github-token"),))
    values = {name: item.value for name, item in CLIENTS["cursor"].dialect.read(desk.path.read_bytes()).items()}
    desk.path.write_text(json.dumps({"mcpServers": values}, indent=7))
    desk.apply()
    after = CLIENTS["cursor"].dialect.read(desk.path.read_bytes())
    assert {name: item.value for name, item in after.items()} == {name: item.value for name, item in before.items()}
    assert desk.told == [f"the entry 'GitHub' is back in {desk.path}, written anew: the file has changed around it"]


def test_an_entry_of_its_name_that_came_since_is_not_touched(desk: Desk) -> None:
    desk.keep_secrets(SECRETS)
    desk.apply("github", imported=(desk.imported("GitHub", "github", "github-token"),))
    desk.path.write_text(desk.path.read_text().replace('"last"', '"GitHub": {"command": "mine"},\n "last"'))
    desk.apply()
    assert desk.names() == ["other", "GitHub", "last"]
    assert '"GitHub": {"command": "mine"}' in desk.path.read_text()
    assert len(desk.told) == 1


def test_several_entries_of_one_server_become_one_and_come_back(tmp_path: Path) -> None:
    text = '{"mcpServers": {"one": {"command": "a"},\n\t"b": {"command": "b"},  "two": {"command": "a" }, "c": {}}}'
    desk = Desk(tmp_path, text)
    records = (desk.imported("one", "tool"), desk.imported("two", "tool"))
    made = desk.apply("tool", imported=records)
    assert {(str(step.address), step.action.value, step.cause) for step in made.steps} == {
        ("client:cursor/tool", "update", "replaces the entry 'one' that was imported"),
        ("client:cursor@user/two", "delete", "imported: tool stands for it"),
    }
    assert desk.names() == ["tool", "b", "c"]
    (gone,) = desk.apply().steps
    assert gone.details == {"puts back": "one, two"}
    assert desk.path.read_text() == text


def test_with_an_option_of_run_an_entry_is_still_ours_and_edited_and_gives_back_what_it_replaced(
    tmp_path: Path,
) -> None:
    text = '{"mcpServers": {"b": {"command": "b"},  "x": {"command": "a" }, "c": {}}}'
    desk = Desk(tmp_path, text)
    desk.apply("tool", imported=(desk.imported("x", "tool"),))
    desk.path.write_text(desk.path.read_text().replace('"run"', '"run", "--verbose"'))
    (fixed,) = plan(desk.resource("tool")).steps
    assert fixed.loss == f"the entry 'tool' in {desk.path} was edited by hand"
    (gone,) = desk.apply().steps
    assert (gone.loss, gone.details) == (fixed.loss, {"puts back": "x"})
    assert desk.path.read_text() == text


def test_one_that_was_read_later_goes_as_well(tmp_path: Path) -> None:
    text = '{"mcpServers": {"b": {"command": "b"}, "two": {"command": "a"}, "c": {}}}'
    desk = Desk(tmp_path, text)
    desk.apply("tool")
    assert desk.names() == ["b", "two", "c", "tool"]
    desk.apply("tool", imported=(desk.imported("two", "tool"),))
    assert desk.names() == ["b", "c", "tool"]
    desk.apply()
    assert desk.path.read_text() == text


def test_an_entry_that_went_from_project_to_project_gives_back_what_the_first_one_found(tmp_path: Path) -> None:
    text = '{"mcpServers": {"b": {"command": "b"}, "tool": {"command": "a"  }}}'
    desk = Desk(tmp_path, text)
    desk.apply("tool", adopted=("client:cursor/tool",))
    desk.apply("tool", adopted=("client:cursor/tool",), project="other")
    desk.apply()
    assert desk.names() == ["b", "tool"]
    desk.apply(project="other")
    assert desk.path.read_text() == text


def test_an_entry_that_changed_since_it_was_read_is_a_conflict(desk: Desk) -> None:
    records = (desk.imported("GitHub", "github"),)
    text = TEXT.replace("gh@latest", "gh@2")
    desk.path.write_text(text)
    made = plan(desk.resource("github", "new", imported=records))
    assert [str(step.address) for step in made.steps] == ["client:cursor/new"]
    (problem,) = made.problems
    assert (problem.code, str(problem.address)) == ("changed-since-import", "client:cursor/github")
    assert f"the entry 'GitHub' in {desk.path} has changed since `import` read it" in problem.what
    assert problem.hint.startswith(
        "`hatchlock remove github`, and `hatchlock import` again"
    )  # which adds no server twice
    assert "hatchlock import" in problem.hint
    assert desk.path.read_text() == text


@pytest.mark.parametrize("other", ["z", "a"])
def test_an_entry_whose_new_name_another_one_has_waits_until_that_one_is_called_otherwise(
    tmp_path: Path, other: str
) -> None:
    text = '{"mcpServers": {"x": {"command": "x"  }, "y": { "command": "y"}, "c": {}}}'
    desk = Desk(tmp_path, text)
    records = (desk.imported("x", "y"), desk.imported("y", other))
    resource = desk.resource("y", other, imported=records)
    made = plan(resource)
    assert [str(step.address) for step in made.steps] == [f"client:cursor/{other}"]
    (problem,) = made.problems
    assert (problem.code, str(problem.address)) == ("name-stands", "client:cursor/y")
    assert problem.what == f"the entry 'x' in {desk.path} cannot become 'y': another one is called so"
    resource.apply(made.steps[0])
    desk.apply("y", other, imported=records)
    assert desk.names() == ["y", other, "c"]
    desk.apply()
    assert sorted(desk.names()) == ["c", "x", "y"]
    if other == "z":
        assert desk.path.read_text() == text


def test_two_entries_that_shall_have_each_others_names_are_left_alone(desk: Desk) -> None:
    records = (desk.imported("GitHub", "last"), desk.imported("last", "GitHub"))
    made = plan(desk.resource("GitHub", "last", imported=records))
    assert made.steps == ()
    assert [problem.code for problem in made.problems] == ["name-stands", "name-stands"]
    assert desk.path.read_text() == TEXT


def test_what_was_read_and_is_not_wanted_here_stays(desk: Desk) -> None:
    records = (desk.imported("GitHub", "github"),)
    assert plan(desk.resource("other-server", imported=records)).problems == ()
    assert [str(step.address) for step in plan(desk.resource("x", imported=records)).steps] == ["client:cursor/x"]


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_secret_that_nothing_keeps_is_a_loss(desk: Desk, is_kept: bool) -> None:
    records = (desk.imported("GitHub", "github", "github-token", is_kept=is_kept),)
    if not is_kept:
        desk.keep_secrets(SECRETS)
    (step,) = plan(desk.resource("github", imported=records)).steps
    assert "'GitHub'" in step.loss
    assert SECRETS["github-token"] not in str(step)


def test_a_secret_that_the_store_has_with_another_value_stops_the_edit(desk: Desk) -> None:
    desk.keep_secrets({"github-token": "another one"})
    resource = desk.resource("github", imported=(desk.imported("GitHub", "github", "github-token"),))
    (step,) = plan(resource).steps
    with pytest.raises(EntryNotKept, match="GitHub"):
        resource.apply(step)
    assert (desk.path.read_text(), desk.kept) == (TEXT, "")


def test_what_somebody_agreed_to_lose_is_not_kept(desk: Desk) -> None:
    resource = desk.resource("GitHub", adopted=("client:cursor/GitHub",))
    (step,) = plan(resource).steps
    assert step.loss
    resource.apply(step)
    assert desk.kept == ""
    desk.apply()
    assert desk.names() == ["other", "last"]


def test_an_adopted_entry_without_secrets_comes_back(desk: Desk) -> None:
    desk.apply("last", adopted=("client:cursor/last",))
    assert desk.names() == ["other", "GitHub", "last"]
    desk.apply()
    assert desk.path.read_text() == TEXT


def test_without_its_secret_what_was_put_aside_is_not_thrown_away(desk: Desk) -> None:
    desk.keep_secrets(SECRETS)
    desk.apply("github", imported=(desk.imported("GitHub", "github", "github-token"),))
    ours, resource = desk.path.read_bytes(), desk.resource()
    (step,) = plan(resource).steps
    assert step.loss == ""
    SecretStore(desk.home.root).forget("github-token", Keyring({"PATH": ""}))
    with pytest.raises(StandsIn, match="github-token"):
        resource.apply(step)
    assert desk.path.read_bytes() == ours
    (step,) = plan(desk.resource()).steps
    assert "'GitHub'" in step.loss  # which needs a consent of its own
    desk.keep_secrets(SECRETS)
    desk.apply()
    assert desk.path.read_text() == TEXT


@pytest.mark.parametrize("text", [None, "", "{}", '{\n  "theme": "dark"\n}\n', '\ufeff{"a": [1, 2]}\r\n', "  \n"])
def test_the_last_entry_takes_its_place_with_it(tmp_path: Path, text: str | None) -> None:
    desk = Desk(tmp_path, text)
    desk.apply("a")
    desk.apply("a", "b", more={"env": {"X": "y"}})
    desk.apply("c", project="q")
    desk.apply("b")
    desk.apply()
    assert desk.names() == ["c"]  # the other project's
    desk.apply(project="q")
    assert (desk.path.read_bytes() if desk.path.exists() else None) == (None if text is None else text.encode())
    assert desk.path.parent.exists() == (text is not None)
    assert desk.kept == ""


def test_a_file_of_ours_that_somebody_uses_stays(tmp_path: Path) -> None:
    desk = Desk(tmp_path, None)
    desk.apply("a")
    text = desk.path.read_text().replace('"mcpServers"', '"theme": "dark",\n  "mcpServers"')
    desk.path.write_text(text)
    desk.apply()
    assert json.loads(desk.path.read_text()) == {"theme": "dark", "mcpServers": {}}


def test_directories_with_something_else_stay(tmp_path: Path) -> None:
    desk = Desk(tmp_path, None)
    desk.apply("a")
    (desk.path.parent / "else").write_text("x")
    desk.apply()
    assert [path.name for path in desk.path.parent.iterdir()] == ["else"]


def test_a_symlink_to_a_file_of_ours_stays_when_that_goes(tmp_path: Path) -> None:
    desk = Desk(tmp_path, None)
    desk.path.parent.mkdir()
    desk.path.symlink_to(tmp_path / "dots" / "real.json")
    desk.apply("a")
    assert (tmp_path / "dots" / "real.json").is_file()
    desk.apply()
    assert desk.path.is_symlink()
    assert not (tmp_path / "dots").exists()


@pytest.mark.parametrize("damage", [b"{", b'{"format_version": 1, "place": 3, "firsts": {}, "taken": []}'])
def test_a_damaged_record_is_told_of_and_lived_with(desk: Desk, damage: bytes) -> None:
    desk.keep_secrets(SECRETS)
    desk.apply("github", imported=(desk.imported("GitHub", "github", "github-token"),))
    path = original_path(desk.home.root, desk.path)
    path.write_bytes(damage)
    resource = desk.resource()
    (step,) = plan(resource).steps
    resource.apply(step)
    assert desk.names() == ["other", "last"]
    assert f"what stood in {desk.path} before is not known any more" in desk.told[0]
    assert path.with_name(path.name + ".damaged").read_bytes() == damage


def test_what_an_apply_wrote_can_be_taken_back(tmp_path: Path) -> None:
    text = '{"mcpServers": {"one": {"command": "a"},\n\t"b": {"command": "b"},  "two": {"command": "a" }}} // end'
    desk = Desk(tmp_path, text)
    records = (desk.imported("one", "tool"), desk.imported("two", "tool"))
    resource = desk.resource("tool", "new", imported=records)
    steps = plan(resource).steps
    for step in steps:
        resource.apply(step)
    assert desk.names() == ["tool", "b", "new"]
    assert all(resource.take_back(step) for step in reversed(steps))
    assert (desk.path.read_text(), desk.kept) == (text, "")
    assert not any(resource.can_take_back(step) for step in steps)  # there is nothing more to undo


def test_what_the_application_wrote_meanwhile_is_not_taken_back(tmp_path: Path) -> None:
    text = '{"mcpServers": {"one": {"command": "a"}}}'
    desk = Desk(tmp_path, text)
    records = (desk.imported("one", "tool"),)
    resource = desk.resource("tool", "new", imported=records)
    steps = plan(resource).steps
    for step in steps:
        resource.apply(step)
    desk.path.write_text(desk.path.read_text() + "\n// the application was here")
    assert all(resource.take_back(step) for step in reversed(steps))
    assert desk.path.read_text() == text + "\n// the application was here"


def test_an_error_says_what_to_do() -> None:
    errors: list[HatchlockError] = [
        EntryNotKept(path="/p", name="n"),
        StandsIn(path="/p", name="n", secrets=("s",)),
    ]
    assert all(error.hint for error in errors)


def test_an_entry_that_is_tied_to_others_is_a_problem_of_the_plan_where_ours_should_replace_it(tmp_path: Path) -> None:
    text = "extensions:\n  a: &a\n    type: stdio\n    cmd: x\n    args: []\n  b: *a\n  c:\n    cmd: y\n"
    desk = Desk(tmp_path, text, "goose")
    records = (desk.imported("a", "tool"), desk.imported("c", "clock"), desk.imported("b", "b"))
    made = plan(desk.resource("tool", "clock", imported=records))
    assert [str(step.address) for step in made.steps] == ["client:goose/clock"]
    (problem,) = made.problems
    assert (problem.code, str(problem.address)) == ("unparsable-client-file", "client:goose/tool")
    why = "an anchor, alias or merge key here ties the entry to others"
    assert problem.what == f"{desk.path}:2:6: the file is left as it is, because {why}"
    desk.apply("clock", imported=records)
    desk.apply()
    assert desk.path.read_text() == text


def test_an_entry_of_ours_with_an_anchor_is_none_while_it_needs_no_step(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "extensions: {}\n", "goose")
    desk.apply("tool")
    desk.path.write_text(desk.path.read_text().replace("tool:", "tool: &t"))
    assert plan(desk.resource("tool")).problems == ()
    assert [str(item.address) for item in plan(desk.resource("tool", more={"timeout": 9})).problems] == [
        "client:goose/tool"
    ]
    (problem,) = plan(desk.resource()).problems
    assert str(problem.address) == "client:goose/tool"
    assert "an anchor, alias or merge key here ties the entry to others" in problem.what
    desk.path.write_text(desk.path.read_text().replace("tool: &t", "tool:"))
    desk.apply()
    assert desk.path.read_text() == "extensions: {}\n"


def test_a_file_with_another_name_parts_from_it_and_that_is_said(tmp_path: Path) -> None:
    desk = Desk(tmp_path, '{"theme": 1}\n')
    copy = tmp_path / "backup.json"
    copy.hardlink_to(desk.path)
    resource = desk.resource("tool")
    made = plan(resource)
    addresses = {step.address for step in made.steps}
    said = (
        f"{desk.path} has another name (a hard link), which keeps what stands there now: what is written is a new file"
    )
    assert [(str(item.address), item.what) for item in resource.parted(addresses)] == [
        ("client:cursor", f"{said}; a symlink would follow it")
    ]
    assert not list(resource.parted(set()))
    desk.apply("tool", "other")
    assert [text for text in desk.told if "hard link" in text] == [f"{said}; a symlink would follow it"]
    assert copy.read_text() == '{"theme": 1}\n'
    copy.unlink()
    assert not list(desk.resource("tool").parted(addresses))


def test_a_file_that_has_moved_behind_a_link_since_gets_everything_back(desk: Desk) -> None:
    desk.keep_secrets(SECRETS)
    records = (desk.imported("GitHub", "github", "github-token"),)
    desk.apply("github", imported=records)
    there = desk.path.with_name("dotfiles.json")
    desk.path.rename(there)
    desk.path.symlink_to(there)
    desk.apply(imported=records)
    assert there.read_bytes() == TEXT.encode()
    assert desk.path.is_symlink()
    assert (desk.kept, desk.told) == ("", [])


def test_a_link_that_its_application_has_replaced_by_a_file_gets_everything_back(desk: Desk) -> None:
    desk.keep_secrets(SECRETS)
    there = desk.path.with_name("dotfiles.json")
    desk.path.rename(there)
    desk.path.symlink_to(there)
    records = (desk.imported("GitHub", "github", "github-token"),)
    desk.apply("github", imported=records)
    text = desk.path.read_bytes()
    desk.path.unlink()
    desk.path.write_bytes(text)
    desk.apply(imported=records)
    assert desk.path.read_bytes() == TEXT.encode()
    assert (desk.kept, desk.told) == ("", [])


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), SystemExit()])
def test_an_entry_that_could_not_be_replaced_is_not_called_edited(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    desk.keep_secrets(SECRETS)
    records = (desk.imported("GitHub", "GitHub", "github-token"),)

    def fails(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr("hatchlock.clients.writer.swap", fails)
        resource = desk.resource("GitHub", imported=records)
        (step,) = plan(resource).steps
        with pytest.raises(type(error)):
            resource.apply(step)
    assert (desk.kept == "") is isinstance(error, OSError)  # after a kill nobody can put that right
    resource = desk.resource("GitHub", imported=records)
    list(resource.observe())
    assert resource.unmarked() == ()
    desk.apply("GitHub", imported=records)
    desk.apply(imported=records)
    assert (desk.path.read_bytes(), desk.kept) == (TEXT.encode(), "")
