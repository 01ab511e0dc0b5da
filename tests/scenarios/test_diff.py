"""`diff` in a repository of git, as a reviewer uses it; and merges as git makes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.address import Kind
from hatchlock.digest import sha256_bytes
from hatchlock.lock.artefact import artefact_of
from hatchlock.lock.model import Environment, File, Lock, Package, Server
from hatchlock.lock.store import dumps, loads, loads_sides
from hatchlock.lock.surfaces import surface_of
from hatchlock.resolve.consistent import inconsistencies
from support.cats import CAT, CatProject, tree
from support.merges import commit, git, repository

CHANGED = CAT.replace('"-u"', '"-u", "-v"')


@pytest.fixture
def project(tmp_path: Path) -> CatProject:
    """A project in a directory of a repository, its lock committed on `main`, and changed since."""
    made = CatProject(tmp_path, CAT, name="trial")
    repository(tmp_path)
    (tmp_path / ".gitignore").write_text("store\nuser\n")
    made.ok("lock")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "lock")
    made.write(CHANGED)
    made.ok("lock")
    return made


LINE = '  ~ server:cat command: ["/bin/cat", "-u"] -> ["/bin/cat", "-u", "-v"]'


@pytest.mark.parametrize(
    "words", [(), ("HEAD",), ("main",), ("main:project/hatch.lock",), ("HEAD:./hatch.lock", "hatch.lock")]
)
def test_the_lock_as_it_is_against_a_revision(project: CatProject, words: tuple[str, ...]) -> None:
    done = project.ok("diff", *words)
    assert done.out.splitlines() == [
        "Servers:",
        LINE,
        "",
        f"{words[0] if words else 'HEAD'} -> hatch.lock: servers: 1",
    ]
    assert done.err == ""


def test_two_files_need_no_project_and_two_revisions_no_file(project: CatProject, tmp_path: Path) -> None:
    elsewhere = tmp_path / "user"
    (elsewhere / "old.lock").write_text(git(tmp_path, "show", "HEAD:project/hatch.lock"))
    (elsewhere / "new.lock").write_bytes(project.lock.read_bytes())
    done = project.ok("-C", str(elsewhere), "diff", "old.lock", "new.lock")
    assert LINE in done.out
    commit(tmp_path, "project/hatch.lock", project.lock.read_bytes())
    project.lock.unlink()
    assert LINE in project.ok("diff", "HEAD~1", "HEAD").out
    assert "there is no hatch.lock" in project.fails("diff").err


def test_it_exits_2_only_if_asked_and_changes_nothing(project: CatProject, tmp_path: Path) -> None:
    before = tree(tmp_path, without=("store/cache", "store/audit"))
    assert project.run("diff", "--check").status == 2
    assert project.run("diff", "HEAD", "HEAD", "--check").status == 0
    assert tree(tmp_path, without=("store/cache", "store/audit")) == before


def test_json_and_markdown(project: CatProject) -> None:
    document = project.ok("diff", "--json").document
    assert (document["before"], document["after"]) == ("HEAD", "hatch.lock")
    assert [(item["section"], item["what"], item["field"]) for item in document["entries"]] == [
        ("servers", "server:cat", "command")
    ]
    lines = project.ok("diff", "main", "--markdown").out.splitlines()
    assert lines[0] == "**`hatch.lock` against `main`**: servers: 1"
    assert lines[-1] == '* changed `server:cat` `command` `["/bin/cat", "-u"]` → `["/bin/cat", "-u", "-v"]`'


def test_against_a_revision_without_a_lock_everything_is_new(project: CatProject, tmp_path: Path) -> None:
    git(tmp_path, "checkout", "-q", "--orphan", "empty")
    git(tmp_path, "rm", "-q", "-f", "--cached", "project/hatch.lock")
    git(tmp_path, "commit", "-q", "-m", "no lock")
    done = project.ok("diff")
    assert "note: HEAD has no project/hatch.lock: everything is new" in done.err
    assert "  + server:cat /bin/cat -u -v (process)" in done.out


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nowhere", "git knows no revision 'nowhere'"),
        ("nowhere.lock", "git knows no revision 'nowhere.lock'"),
        ("main:nowhere.lock", "main has no nowhere.lock"),
        ("main:", "it is neither a file nor a revision"),
        (":hatch.lock", "it is neither a file nor a revision"),
        ("main~99", "git knows no revision 'main~99'"),
    ],
)
def test_what_does_not_exist_is_said(project: CatProject, text: str, why: str) -> None:
    assert why in project.fails("diff", text).err


def test_without_a_repository_and_without_git(project: CatProject, tmp_path: Path) -> None:
    git_directory = tmp_path / ".git"
    git_directory.rename(tmp_path / "gone")
    assert "is in no git repository" in project.fails("diff").err
    (tmp_path / "gone").rename(git_directory)
    project.env["PATH"] = str(tmp_path / "user")
    assert "no git on PATH" in project.fails("diff").err
    assert project.ok("diff", "hatch.lock", "hatch.lock").out == "hatch.lock -> hatch.lock: no differences\n"


def test_a_file_comes_before_a_revision_of_its_name(project: CatProject) -> None:
    (project.directory / "main").write_bytes(project.lock.read_bytes())
    assert project.ok("diff", "main").out == "main -> hatch.lock: no differences\n"


def test_what_is_no_lock_is_refused_with_its_name(project: CatProject) -> None:
    (project.directory / "bad.lock").write_text("<<<<<<< a\n=======\n")
    done = project.fails("diff", "bad.lock")
    assert "bad.lock:1: the lock cannot be read: its conflict markers do not fit together" in done.err


def test_the_lock_of_a_newer_minor_version_is_compared_with_a_word_about_it(project: CatProject) -> None:
    text = project.lock.read_text().replace("version = 1\n", "version = 1\nminor = 7\nmood = 1\n", 1)
    (project.directory / "newer.lock").write_text(text)
    done = project.ok("diff", "newer.lock")
    assert "note: newer.lock was written by a newer hatchlock" in done.err
    assert "no differences" in done.out


def test_a_pin_that_is_stale_in_the_newer_lock_is_told(project: CatProject) -> None:
    lock = loads(project.lock.read_bytes())
    name = lock.servers[0].name
    pin = surface_of(name, artefact=artefact_of(lock, name))
    for file, surface in (("fresh", pin), ("stale", replace(pin, artefact="0" * 64))):
        (project.directory / f"{file}.lock").write_text(dumps(replace(lock, surfaces=(surface,))))
    told = f"note: the pin of server:{name} is stale in stale.lock, as what it is made of has changed since"
    assert told in project.ok("diff", "fresh.lock", "stale.lock").err
    assert "is stale" not in project.ok("diff", "stale.lock", "fresh.lock").err


def lock_of(requirements: tuple[str, ...], packages: dict[str, tuple[str, tuple[str, ...]]]) -> bytes:
    """A lock of one environment: name -> version and dependencies."""
    found = tuple(
        Package(
            kind=Kind.PYPI,
            name=name,
            version=version,
            index="pypi",
            files=(File(name=f"{name}.whl", sha256=sha256_bytes(f"{name}{version}".encode()), size=7),),
            dependencies=dependencies,
        )
        for name, (version, dependencies) in sorted(packages.items())
    )
    environment = Environment(
        name="e",
        private=False,
        runtime="process",
        python="3.11",
        requirements=requirements,
        packages=tuple(item.id for item in found),
    )
    server = Server(name="s", source=requirements[0], runtime="process", environment="e")
    lock = Lock(project="p", platforms=("linux/amd64",), packages=found, environments=(environment,), servers=(server,))
    assert inconsistencies(lock) == ()
    return dumps(lock).encode()


NAMES = [f"n{number:02}" for number in range(20)]
PLAIN: dict[str, tuple[str, tuple[str, ...]]] = dict.fromkeys(NAMES, ("1.0", ()))
ASKED = tuple(f"pypi:{name}" for name in NAMES)


def merged(tmp_path: Path, ours: bytes, theirs: bytes, base: bytes) -> tuple[bytes, bool]:
    """Merge with `git merge`, whole."""
    here = repository(tmp_path / "merge")
    commit(here, "hatch.lock", base)
    git(here, "checkout", "-q", "-b", "theirs")
    commit(here, "hatch.lock", theirs)
    git(here, "checkout", "-q", "main")
    commit(here, "hatch.lock", ours)
    said = git(here, "merge", "-q", "--no-edit", "theirs", statuses=(0, 1))
    return (here / "hatch.lock").read_bytes(), "CONFLICT" in said


def test_a_merge_without_a_conflict_that_neither_side_had_is_caught(tmp_path: Path) -> None:
    """Ours brings in what needs n15 below 2; theirs moves n15 to 2. Git sees two changes that are far apart."""
    base = lock_of(ASKED, PLAIN)
    ours = lock_of(ASKED, {**PLAIN, "n02": ("2.0", ("pypi:n15<2",))})
    theirs = lock_of(ASKED, {**PLAIN, "n15": ("2.0", ())})
    data, in_conflict = merged(tmp_path, ours, theirs, base)
    assert not in_conflict
    assert [str(item) for item in inconsistencies(loads(data))] == [
        "env:e: has pypi:n15@2.0, but pypi:n02@2.0 requires n15<2"
    ]


def test_a_merge_of_what_goes_together_is_fine(tmp_path: Path) -> None:
    base = lock_of(ASKED, PLAIN)
    ours = lock_of(ASKED, {**PLAIN, "n02": ("2.0", ("pypi:n15>1",))} | {"n15": ("1.5", ())})
    theirs = lock_of(ASKED, {**PLAIN, "n07": ("2.0", ("pypi:n15>=1",))})
    data, in_conflict = merged(tmp_path, ours, theirs, base)
    assert not in_conflict
    assert inconsistencies(loads(data)) == ()


def test_both_sides_of_a_merge_in_conflict_are_there(tmp_path: Path) -> None:
    base = lock_of(ASKED, PLAIN)
    ours, theirs = (lock_of(ASKED, {**PLAIN, "n05": (version, ())}) for version in ("2.0", "3.0"))
    data, in_conflict = merged(tmp_path, ours, theirs, base)
    assert in_conflict
    assert loads_sides(data) == (loads(ours), loads(theirs))
