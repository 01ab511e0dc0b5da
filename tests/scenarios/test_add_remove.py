"""Editing through the command line: `init`, `add`, `remove`, the overlay, and which manifest is meant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.engines.process import host_platform
from support.index import Index, Release, serving
from support.project import TrialProject, server_release

COMMENTED = """\
# the servers of our team

[project]
name = "trial"   # as in the wiki
platforms = ["{platform}"]

[servers.tiny]           # small and useful
source = "pypi:tiny-server"
runtime = "process"

# ours alone
[indexes.pypi]
url = "{index}"
"""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    lost = Release(name="lost", version="3.0", requires=["nowhere>1"])
    with serving(server_release(tmp_path), server_release(tmp_path, name="other-server"), lost) as served:
        yield served


@pytest.fixture
def project(tmp_path: Path, index: Index) -> TrialProject:
    return TrialProject(tmp_path, COMMENTED.format(platform=host_platform(), index=index.url))


@pytest.mark.network
def test_from_nothing_to_a_running_server_and_back(tmp_path: Path) -> None:
    project = TrialProject(tmp_path, name="project")
    project.ok("init")
    assert (project.directory / ".gitattributes").read_text() == "hatch.lock linguist-generated=true\n"
    assert (project.directory / ".gitignore").read_text() == "hatchlock.local.toml\n"
    fresh = project.manifest.read_text()
    added = project.ok("add", "pypi:mcp-server-time", "--runtime", "process", "--name", "time")
    assert added.out.startswith("hatchlock.toml: + server:time\n")
    assert "hatch.lock written: 1 server, " in added.out
    project.ok("apply", "--yes", "--no-probe")
    assert project.tools("time") == ["get_current_time", "convert_time"]
    command = ("uvx", "mcp-server-time", "--local-timezone", "UTC")
    project.ok("add", "--name", "utc", "--runtime", "process", "--", *command)
    assert project.steps() == ["create server:utc"]  # an environment of these very packages is there already
    assert 'args = ["--local-timezone", "UTC"]' in project.manifest.read_text()
    project.ok("remove", "utc")
    project.ok("remove", "time")
    assert project.manifest.read_text() == fresh
    assert project.steps() == ["delete server:time"]


def test_a_second_init_changes_nothing(project: TrialProject) -> None:
    before = project.manifest.read_bytes()
    done = project.fails("init")
    assert "there is a manifest already" in done.err
    assert project.manifest.read_bytes() == before
    assert {path.name for path in project.directory.iterdir()} == {"hatchlock.toml"}


def test_add_warns_of_what_it_adds_alone_and_not_of_what_the_lock_pins(project: TrialProject) -> None:
    """That of others stands in `validate` and `lock`; that something has no bounds does, too, which `add` has not written."""
    process = ("--runtime", "process", "--name")
    added = project.ok("add", "--env", "SORT_KEY=created", *process, "other", "--", "uvx", "other-server")
    assert "warning: hatchlock.toml:" in added.err
    assert "servers.other.env.SORT_KEY: the value looks like a secret" in added.err
    assert "bound" not in added.err
    third = project.ok("add", "pypi:other-server", *process, "third", "--json")
    assert third.document["warnings"] == []
    assert "warning" not in project.ok("remove", "third").err
    for command in ("lock", "validate"):
        said = project.ok(command).err
        for server in ("tiny", "other"):
            assert f"servers.{server}.source: {server}-server has no upper bound" in said
        assert "servers.other.env.SORT_KEY" in said


def test_adding_and_removing_keeps_every_comment(project: TrialProject) -> None:
    before = project.manifest.read_text()
    project.ok("add", "pypi:other-server", "--runtime", "process", "--client", "cursor")
    text = project.manifest.read_text()
    for line in before.splitlines():
        assert line in text.splitlines()
    assert project.ok("validate", "--json").document["servers"] == ["other", "tiny"]
    assert "other-server" in project.lock.read_text()
    project.ok("remove", "other")
    assert project.manifest.read_text() == before
    assert "other-server" not in project.lock.read_text()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["pypi:not-there"], "no package 'not-there'"),
        (["pypi:lost"], "no package 'nowhere', which lost 3.0 requires"),
        (["pypi:tiny-server", "--name", "tiny"], "tiny"),
        (["pypi:other-server", "--client", "no-such-application"], "no-such-application"),
        (["gem:rails"], "gem"),
        (["--", "uvx", "lost"], "nowhere"),
    ],
)
def test_an_add_that_fails_leaves_manifest_and_lock_as_they_were(
    project: TrialProject, words: list[str], why: str
) -> None:
    project.ok("lock")
    before = (project.manifest.read_bytes(), project.manifest.stat().st_mode, project.lock.read_bytes())
    done = project.fails("add", "--runtime", "process", *words, status=64 if "--client" in words else 1)
    assert why in done.err
    assert (project.manifest.read_bytes(), project.manifest.stat().st_mode, project.lock.read_bytes()) == before
    assert {path.name for path in project.directory.iterdir()} == {"hatchlock.toml", "hatch.lock"}


def test_removing_what_is_not_there_names_what_is(project: TrialProject) -> None:
    before = project.manifest.read_bytes()
    done = project.fails("remove", "tinny")
    assert "server:tinny: the manifest has no server 'tinny'" in done.err
    assert "tiny" in done.err.partition("hint: ")[2]
    assert project.manifest.read_bytes() == before


def test_several_are_removed_at_once_or_none_is(project: TrialProject) -> None:
    before = project.manifest.read_text()
    for name in ("one", "two"):
        project.ok("add", "pypi:other-server", "--runtime", "process", "--name", name)
    both = project.manifest.read_bytes(), project.lock.read_bytes()
    done = project.fails("remove", "one", "twoo", "thre")
    assert "server:twoo: the manifest has no server 'twoo'\n\nhint: did you mean 'two'?" in done.err
    assert "server:thre: the manifest has no server 'thre'" in done.err
    assert (project.manifest.read_bytes(), project.lock.read_bytes()) == both
    done = project.ok("remove", "one", "two", "one")
    assert done.out.startswith("hatchlock.toml: - server:one, - server:two\n")
    assert project.manifest.read_text() == before
    assert "other-server" not in project.lock.read_text()


def test_the_overlay_changes_this_machine_and_not_the_lock(project: TrialProject) -> None:
    project.ok("lock")
    before = project.lock.read_bytes()
    assert project.steps() == ["create env:tiny", "create server:tiny"]
    overlay = project.directory / "hatchlock.local.toml"
    overlay.write_text('[servers.tiny]\nclients = ["cursor"]\n')
    assert project.steps() == ["create env:tiny", "create server:tiny", "create client:cursor/tiny"]
    project.ok("lock")
    assert project.lock.read_bytes() == before
    project.ok("apply", "--yes", "--no-probe")
    overlay.unlink()
    assert project.steps() == ["delete client:cursor/tiny"]


def test_a_mistake_in_the_overlay_is_shown_with_its_own_name(project: TrialProject) -> None:
    project.ok("lock")
    (project.directory / "hatchlock.local.toml").write_text('[servers.tiny]\nclinets = ["cursor"]\n')
    for command in ("plan", "lock"):
        assert "hatchlock.local.toml:2: servers.tiny.clinets: " in project.fails(command).err


def test_the_manifest_is_looked_for_upwards_to_the_root_of_the_repository(project: TrialProject) -> None:
    (project.directory / ".git").mkdir()
    deep = project.directory / "src" / "deep"
    deep.mkdir(parents=True)
    project.ok("lock", cwd=deep)
    assert project.lock.exists()
    assert project.steps(cwd=deep) == ["create env:tiny", "create server:tiny"]
    (deep / ".git").mkdir()  # a repository of its own: what is above is another's
    done = project.fails("plan", cwd=deep)
    assert f"there is no hatchlock.toml in {deep}" in done.err


def test_a_directory_can_be_named_before_and_after_the_command(project: TrialProject) -> None:
    project.ok("-C", str(project.directory), "lock", cwd=project.root)
    elsewhere = project.run("plan", "--check", "-C", "project", cwd=project.root)
    assert (elsewhere.status, "+ server:tiny" in elsewhere.out) == (2, True), elsewhere.said
    assert project.run("plan", "--manifest", str(project.manifest), "--check", cwd=project.root).status == 2
    missing = project.run("plan", "-C", "no-such-directory")
    assert (missing.status, "no-such-directory" in missing.err) == (64, True), missing.said
    assert f"hint: {project.directory} is there; make the rest with mkdir -p, or name another one" in missing.err
    near = project.run("plan", "-C", "projetc", cwd=project.root)
    assert (near.status, near.err) == (
        64,
        "error: -C projetc: there is no such directory\n\nhint: did you mean project?\n",
    )
    file = project.run("plan", "-C", str(project.manifest))
    assert file.status == 64
    assert (
        f"-C {project.manifest}: that is no directory\n\nhint: name its directory: -C {project.directory}" in file.err
    )


def test_a_manifest_that_is_no_utf8_is_told_alike_whoever_reads_it(project: TrialProject) -> None:
    project.manifest.write_bytes(b"# caf\xe9\n" + project.manifest.read_bytes())
    words = [project.fails(*command).err for command in (("plan",), ("remove", "tiny"), ("import", "cursor"))]
    assert words[0].startswith(
        "hatchlock.toml:1: it is not UTF-8, as TOML has to be: byte 6 is 0xe9\n\nhint: save it as"
    )
    assert set(words) == {words[0]}


def test_ones_own_manifest_is_in_the_configuration_directory(project: TrialProject, index: Index) -> None:
    config = project.user_home / ".config" / "hatchlock"
    before = project.manifest.read_bytes()
    assert (
        f"no hatchlock.toml in {config}\n\nhint: make one with `hatchlock init -g`" in project.fails("plan", "-g").err
    )
    project.ok("init", "-g", "--name", "mine")
    with (config / "hatchlock.toml").open("a") as manifest:
        manifest.write(f'\n[indexes.pypi]\nurl = "{index.url}"\n')
    project.ok("add", "-g", "pypi:other-server", "--runtime", "process", cwd=Path("/"))
    assert (config / "hatch.lock").exists()
    planned = project.run("plan", "-g", "--json", cwd=Path("/")).document
    assert [step["address"] for step in planned["steps"]] == ["env:other", "server:other"]
    project.ok("apply", "-g", "--yes", "--no-probe")
    mine = TrialProject(project.root, name="mine")
    assert mine.tools("other") == ["echo", "large", "attempt"]
    assert project.manifest.read_bytes() == before
    assert not project.lock.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--client", "cursor", "--client", "curser"),
            "--client curser: there is no client 'curser'\n\nhint: did you m",
        ),
        (("--name", "bad name!"), "--name 'bad name!': 'bad name!' is no name: lowercase letters and digits, "),
        (("--env", "A B=c"), "--env 'A B': 'A B' is no name of an environment variable\n"),
        (
            ("--env", "TOKEN=ghp_abcdefghijklmnopqrstuvwx"),
            (
                "--env TOKEN: the value looks like a secret, and a manifest is no place for one\n\nhint: write "
                "--secret TOKEN=keyring:TOKEN, and set it with `hatchlock secret set TOKEN`"
            ),
        ),
    ],
)
def test_an_option_of_add_that_is_wrong_is_named(project: TrialProject, words: tuple[str, ...], said: str) -> None:
    """And no line: the one that it would be in was never written."""
    before = project.manifest.read_bytes()
    done = project.run("add", "pypi:other-server", *words)
    assert done.err.startswith(f"error: {said}")
    assert done.status == 64
    assert "hatchlock.toml" not in done.err
    assert project.manifest.read_bytes() == before


def test_an_option_of_init_that_is_wrong_is_named(tmp_path: Path) -> None:
    project = TrialProject(tmp_path)
    done = project.run("init", "--name", "a b", "--platform", "linux/x86")
    assert "error: --name 'a b': 'a b' is no name" in done.err
    assert "error: --platform linux/x86: there is no platform 'linux/x86'" in done.err
    assert (done.status, list(project.directory.iterdir())) == (64, [])


def test_every_option_of_add_that_is_wrong_is_named(project: TrialProject) -> None:
    done = project.run("add", "--name", "a b", "--client", "zed2", "--", "uvx", "other-server")
    assert "error: --name 'a b': " in done.err
    assert "error: --client zed2: " in done.err
    assert done.status == 64
