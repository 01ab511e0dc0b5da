"""What nobody has done in hatchlock's way: damaged state, a lying journal, a full disk, a store that cannot be written to, a
clock that was set back. The next apply puts it right by itself, or says what is in its way and leaves no half-made thing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from hatchlock.engines.process import host_platform
from support.crash_world import APPLY, CONSENT, CrashProject
from support.index import Index, serving
from support.project import server_release
from support.small_disk import small_disk

MANIFEST = """\
[project]
name = "trial"
platforms = ["{platform}"]

[servers.first]
source = "pypi:tiny-server"
runtime = "process"
clients = ["claude-code", "cursor"]
sandbox.writable = ["/data"]
sandbox.reason = "keeps something"

[servers.second]
command = "/bin/cat"
runtime = "process"

[indexes.pypi]
url = "{index}"
"""
DOCUMENTS = ("applied.json", "binding.json", "active.json", "entries.json", "volumes.json", "held.json")
DAMAGE = {
    "empty": b"",
    "cut off": b'{"format_version":1,"serv',
    "no text": b"\xff\xfe\x00",
    "a list": b"[]",
    "of no version": b"{}",
    "without content": b'{"format_version":1}',
    "with other content": b'{"format_version":1,"directory":1,"servers":[],"files":{},"engine":null,"begun":"","generation":"",'
    b'"keys":{},"images":{}}',
}
FUTURE = 4_000_000_000


def _some(cases: Mapping[str, bytes], *usual: str) -> list[ParameterSet]:
    """All cases of a kind, of which some are tried in every run."""
    marks = {name: () if name in usual else (pytest.mark.full,) for name in cases}
    return [pytest.param(case, marks=marks[name], id=name) for name, case in cases.items()]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with serving(server_release(tmp_path_factory.mktemp("wheels"))) as served:
        yield served


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, index: Index) -> CrashProject:
    """A locked project."""
    found = CrashProject(tmp_path_factory.mktemp("broken"))
    found.keep("one", MANIFEST.format(platform=host_platform(), index=index.url))
    return found


@pytest.fixture
def project(made: CrashProject) -> CrashProject:
    """The same, applied from nothing."""
    made.declare("one")
    made.start_over()
    made.ok(*APPLY)
    return made


def state_of(project: CrashProject) -> Path:
    return project.store / "projects" / project.name


def is_put_right(project: CrashProject, expected: dict[str, object]) -> None:
    """Apply again, and look whether the world is what it was; that this has left another generation is right."""
    project.ok(*APPLY)
    found = project.world()
    found["generations"] = expected["generations"]
    assert found == {**expected, "held": found["held"]}
    assert project.plan()["notes"] == []


@pytest.mark.parametrize("content", _some(DAMAGE, "cut off", "with other content"))
def test_damaged_state_is_told_and_the_next_apply_goes_on_without_it(project: CrashProject, content: bytes) -> None:
    expected = project.world()
    for name in DOCUMENTS:
        (state_of(project) / name).write_bytes(content)
    notes = [note["what"] for note in project.plan()["notes"]]
    assert [name for name in sorted(DOCUMENTS) if any(f"/{name} cannot be read" in note for note in notes)] == sorted(
        DOCUMENTS
    )
    assert "`hatchlock apply` puts it aside" in notes[0]
    assert project.run("status").status == 0
    assert "hatchlock apply" in project.fails("run", "first").err
    assert "hatchlock apply" in project.fails("gc", "--yes").err
    assert project.environments() == expected["environments"]
    is_put_right(project, expected)
    assert sorted(path.name for path in state_of(project).glob("*.damaged")) == sorted(
        f"{name}.damaged" for name in DOCUMENTS
    )
    assert json.loads((state_of(project) / "binding.json").read_bytes())["directory"] == str(project.directory)


def test_one_damaged_file_without_anything_to_do_is_put_right_too(project: CrashProject) -> None:
    expected = project.world()
    (state_of(project) / "binding.json").write_bytes(b"{")
    assert project.steps() == []
    is_put_right(project, expected)
    assert (state_of(project) / "binding.json").exists()


@pytest.mark.parametrize("addresses", [["nothing"], ["", "env:first"]])
def test_what_was_applied_is_named_by_every_command_where_it_is_damaged_alone(
    project: CrashProject, addresses: list[str]
) -> None:
    """Nothing else tells of it: no step, and no drift."""
    path = state_of(project) / "applied.json"
    left = path.read_bytes()
    damaged = json.dumps({**json.loads(path.read_bytes()), "keys": dict.fromkeys(addresses, "0")})
    path.write_text(damaged)
    expected = f"{path} cannot be read: its 'keys' is missing, or something else than it should be"
    for command in (("plan",), ("status",)):
        told = project.ok(*command)
        assert f"! state  {expected}; `hatchlock apply` puts it aside" in told.out + told.err
    told = project.ok(*APPLY)
    assert f"! state  {expected}; `hatchlock apply` puts it aside" not in project.ok("plan").out
    assert f"{expected}; it was put aside as {path.name}.damaged" in told.err
    assert path.with_name("applied.json.damaged").read_text() == damaged
    assert path.read_bytes() == left


def test_a_way_back_overwrites_nothing_that_is_damaged_either(project: CrashProject) -> None:
    project.edit('command = "/bin/cat"', 'command = ["/bin/cat", "-u"]')
    project.ok("lock")
    project.ok(*APPLY)
    for name in ("applied.json", "active.json"):
        (state_of(project) / name).write_bytes(DAMAGE["cut off"])
    told = project.ok("rollback", *CONSENT)
    for name in ("applied.json", "active.json"):
        assert f"{name} cannot be read: " in told.err
        assert (state_of(project) / f"{name}.damaged").read_bytes() == DAMAGE["cut off"]
    project.ok("rollback", "2", *CONSENT)
    project.ok(*APPLY)
    assert project.plan()["notes"] == []


def test_damage_of_our_own_files_is_nobodys_drift_that_could_be_left(project: CrashProject) -> None:
    project.edit('command = "/bin/cat"', 'command = "/bin/cat"\ndrift = "warn"')
    project.ok("lock")
    project.ok(*APPLY)
    active = project.active()
    (state_of(project) / "active.json").write_bytes(b"")
    assert "create server:second" in project.steps()
    project.ok(*APPLY)
    assert project.active() == active


def test_state_of_a_newer_version_is_left_alone(project: CrashProject) -> None:
    path = state_of(project) / "active.json"
    newer = json.dumps({**json.loads(path.read_bytes()), "format_version": 2})
    path.write_text(newer)
    for words in (("plan",), APPLY, ("status",)):
        assert "has format 2" in project.fails(*words).err
    assert path.read_text() == newer


@pytest.mark.parametrize("content", [None, b'{"format_version":1}'])
def test_launch_records_that_are_gone_or_damaged_are_written_again(
    project: CrashProject, content: bytes | None
) -> None:
    expected = project.world()
    for path in state_of(project).glob("launch/*.json"):
        path.unlink() if content is None else path.write_bytes(content)
    assert "hatchlock apply" in project.fails("run", "first").err
    is_put_right(project, expected)


def test_pointers_to_nothing_are_put_right_or_taken_away(project: CrashProject) -> None:
    expected = project.world()
    path = state_of(project) / "active.json"
    path.write_text(
        json.dumps({"format_version": 1, "servers": {"first": "0" * 64, "ghost": "1" * 64, "other": "../../x"}})
    )
    is_put_right(project, expected)


JOURNALS = {
    "empty": b"",
    "cut off": b'{"at":"2026-01-01T00:00:00Z","event":"begin"}\n{"event":"start","st',
    "no text": b"\xff\x00\n\xfe",
    "no events": b'[]\n"x"\n1\nnull\n{"event":1,"step":[],"at":{}}\n',
    "of another version": b'{"format_version":9,"kind":"begin"}\n',
    "says that all is done": b'{"event":"done","step":"env:%s","after":"%s","at":"2099-01-01T00:00:00Z"}\n'
    b'{"event":"done","step":"server:first","after":"%s"}\n',
    "says that strange things were begun": b'{"event":"start","step":"server:never"}\n{"event":"start","step":"no address"}\n'
    b'{"event":"done","step":"volume:first/data@process","after":"/etc 0"}\n',
}


@pytest.mark.parametrize("journal", _some(JOURNALS, "cut off", "no events", "says that all is done"))
def test_whatever_a_journal_says_apply_looks_at_the_world(project: CrashProject, journal: bytes) -> None:
    expected = project.world()
    (key,) = project.environments()
    journal = journal.replace(b"%s", key.encode())
    for damaged in (False, True):
        if damaged:
            shutil.rmtree(project.store / "envs" / key)
            (state_of(project) / "active.json").unlink()
            (project.user_home / ".claude.json").unlink()
        (state_of(project) / "journal.ndjson").write_bytes(journal)
        assert "did not finish" in project.ok("plan").err
        is_put_right(project, expected)


def test_a_command_that_was_killed_at_its_very_end_is_not_done_twice(project: CrashProject) -> None:
    journal = state_of(project) / "journal.ndjson"
    for number in (2, 3):
        project.edit(
            'command = "/bin/cat"', f'args = ["-{number}"]\ncommand = "/bin/cat"'
        ) if number == 2 else project.edit("-2", "-3")
        project.ok("lock")
        project.ok(*APPLY)
    journal.write_text('{"event":"begin","command":"apply"}\n')
    project.ok(*APPLY)
    generations = state_of(project) / "generations"
    assert sorted(path.name for path in generations.iterdir()) == ["1", "2", "3"]
    project.ok("rollback", "--yes")
    there = project.active()
    journal.write_text('{"event":"begin","command":"rollback 2"}\n')
    project.ok("rollback", "--yes")
    assert project.active() == there
    assert not journal.exists()
    project.ok("rollback", "--yes")
    assert project.active() != there


@pytest.mark.parametrize("content", _some(DAMAGE, "cut off", "without content"))
def test_a_generation_that_cannot_be_read_is_no_way_back_and_hinders_no_apply(
    project: CrashProject, content: bytes
) -> None:
    facts = state_of(project) / "generations" / "1" / "generation.json"
    facts.write_bytes(content)
    (state_of(project) / "journal.ndjson").write_text('{"event":"begin","command":"apply"}\n')
    project.ok(*APPLY)
    assert project.plan()["steps"] == []
    told = project.ok("history")
    assert f"note: generation 1 is left out: {facts} cannot be read" in told.err
    assert "move the directory that it is in away" in told.err
    assert "* 2" in " ".join(told.out.split())
    assert [item["number"] for item in project.ok("history", "--json").document["unreadable"]] == [1]
    assert f"{facts} cannot be read" in project.fails("history", "1").err
    project.ok("gc", "--yes")  # the apply has left one of the same files, so this one is no way back
    assert "* 2" in " ".join(project.ok("history").out.split())
    assert not facts.exists()


@pytest.mark.parametrize("content", _some(DAMAGE, "cut off", "without content"))
def test_what_was_given_up_is_not_taken_away_when_nobody_can_say_what_it_was(
    project: CrashProject, content: bytes
) -> None:
    expected = project.world()
    given_up = state_of(project) / "forgotten.json"
    given_up.write_bytes(content)
    for command in (("plan",), APPLY, ("destroy", *CONSENT[:2])):
        done = project.run(*command)
        assert done.status == 1
        assert f"{given_up} cannot be read" in done.err
        assert "say again with [[forget]]" in done.err
    given_up.rename(project.root / f"given-up-{len(content)}")
    assert project.world() == expected


def test_trees_without_receipts_and_receipts_without_trees_are_built_again(project: CrashProject) -> None:
    expected = project.world()
    (key,) = project.environments()
    tree = project.store / "envs" / key
    receipt = tree / ".hatchlock-receipt.json"
    kept = receipt.read_bytes()
    receipt.unlink()
    assert project.steps() == [f"create env:{project.plan()['steps'][0]['address'].partition(':')[2]}"]
    is_put_right(project, expected)
    shutil.rmtree(tree)
    tree.mkdir()
    receipt.write_bytes(kept)
    is_put_right(project, expected)
    assert project.tools("first")


def test_a_corrupt_blob_stops_before_it_is_used_and_is_fetched_anew(project: CrashProject) -> None:
    expected = project.world()
    (blob,) = (project.store / "blobs").glob("*/??/*")
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    (key,) = project.environments()
    for offline in (True, False):
        blob.write_bytes(data)
        shutil.rmtree(project.store / "envs" / key)
        if offline:
            assert "run it once without --offline" in project.fails(*APPLY, "--offline").err
            assert project.environments() == project.half_done() == []
        is_put_right(project, expected)
        assert project.ok("exec", "first", "--", "true").status == 0


def test_a_full_disk_is_named_and_with_space_again_apply_goes_on(
    made: CrashProject, index: Index, tmp_path: Path
) -> None:
    project = CrashProject(tmp_path)
    project.write(made.manifest.read_text())
    shutil.copy(made.root / "one" / "hatch.lock", project.lock)
    (project.user_home / ".cursor").mkdir()
    project.store.mkdir(mode=0o700)
    with small_disk(project.store, "8m") as disk:
        filler = project.store / "filler"
        for left in (0, 4096, 16384, 32768):
            facts = os.statvfs(project.store)
            filler.write_bytes(bytes(max(0, facts.f_bavail * facts.f_frsize - left)))
            said = project.fails(*APPLY).err
            assert "No space left on device" in said or "disk is full" in said, said
            filler.unlink()
            assert [name for name in project.half_done() if not name.endswith("journal.ndjson")] == []
        project.ok("fetch")
        project.ok(*APPLY)
        expected = project.world()
        assert expected["plan"] == expected["left over"] == []

        # what is left to do is a pointer, and the journal has no place
        project.edit('command = "/bin/cat"', 'command = "/bin/cat"\nargs = ["-u"]')
        project.ok("lock")
        facts = os.statvfs(project.store)
        filler.write_bytes(bytes(facts.f_bavail * facts.f_frsize))
        before = project.active()
        assert project.run("plan").status == 0
        project.fails(*APPLY)
        assert project.active() == before
        filler.unlink()
        project.ok(*APPLY)
        assert project.active() != before
        assert project.half_done() == []
        disk.resize("8m")


def test_a_store_that_cannot_be_written_to_serves_and_says_why_it_does_not_change(
    made: CrashProject, tmp_path: Path
) -> None:
    project = CrashProject(tmp_path)
    project.write(made.manifest.read_text())
    shutil.copy(made.root / "one" / "hatch.lock", project.lock)
    project.store.mkdir(mode=0o700)
    with small_disk(project.store, "64m"):
        project.ok(*APPLY)
        tools = project.tools("first")
        subprocess.run(["mount", "-o", "remount,ro", "none", str(project.store)], check=True)
        for command in ("plan", "status", "history", "apply --yes"):
            project.ok(*command.split())
        assert project.tools("first") == tools
        probed = project.ok("probe", "first")
        assert "answered in" in probed.out
        assert "note: `status` will not know of this probe of first: " in probed.err
        assert "the file system is read-only" in probed.err
        (project.user_home / ".claude.json").unlink()
        assert project.steps() == ["create client:claude-code/first"]
        refused = project.fails(*APPLY).err
        assert "the file system is read-only" in refused
        assert "hint: mount it so that it can be written to" in refused
        assert "chown" not in refused
        assert not (project.user_home / ".claude.json").exists()
        subprocess.run(["mount", "-o", "remount,rw", "none", str(project.store)], check=True)
        project.ok(*APPLY)
        assert project.steps() == []


def test_a_clock_that_was_set_back_changes_nothing(project: CrashProject, index: Index, tmp_path: Path) -> None:
    expected = project.world()
    for path in [*project.store.rglob("*"), *project.directory.rglob("*")]:
        os.utime(path, (FUTURE, FUTURE), follow_symlinks=False)
    (state_of(project) / "journal.ndjson").write_text('{"event":"begin","at":"2096-01-01T00:00:00.000+00:00"}\n')
    (state_of(project) / "lease.holder.json").write_text(
        '{"pid":1,"host":"here","since":"2096-01-01T00:00:00+00:00","purpose":"apply"}'
    )
    assert project.steps() == []
    is_put_right(project, expected)
    project.ok("gc", "--yes")
    project.ok("cache", "gc")
    for path in (project.store / "cache").rglob("*"):  # pages, by the time that stands in them
        if path.is_file() and b'"fetched": ' in (data := path.read_bytes()):
            path.write_bytes(re.sub(rb'"fetched": [0-9.]+', b'"fetched": %d' % FUTURE, data, count=1))
    index.releases.append(server_release(tmp_path, version="2.0"))
    try:
        project.ok("lock", "--upgrade")
    finally:
        index.releases.pop()
    assert 'version = "2.0"' in project.lock.read_text()
