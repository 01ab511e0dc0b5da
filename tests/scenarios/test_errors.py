"""What goes wrong, through the command line: each time a sentence, a hint, a status, and nothing half-done left behind."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.engines.process import host_platform
from support.cats import CAT, CatProject
from support.index import Index, Release, serving
from support.ports import free_port
from support.project import Done, TrialProject, server_release, snapshot
from support.runs import BARE, Run
from support.small_disk import small_disk
from support.unavailable import unavailable

TINY = '[servers.tiny]\nsource = "pypi:tiny-server"\nruntime = "process"\n'
MIXED = TINY + '\n[servers.boxed]\nsource = "oci:{image}"\n\n[registries."{host}"]\nplain-http = true\n'


@pytest.fixture
def tiny(tmp_path: Path) -> Release:
    return server_release(tmp_path / "wheels")


@pytest.fixture
def index(tiny: Release) -> Iterator[Index]:
    """An index with a whole MCP server, and packages that want this and that."""
    releases = [
        tiny,
        Release(name="likes-old", version="1.0", requires=["base-lib<2"]),
        Release(name="likes-new", version="1.5", requires=["base-lib>=2"]),
        Release(name="base-lib", version="1.9"),
        Release(name="base-lib", version="2.1"),
        Release(name="lost", version="3.0", requires=["nowhere>1"]),
    ]
    with serving(*releases, separate_metadata=True) as served:
        yield served


@pytest.fixture
def project(tmp_path: Path, index: Index) -> TrialProject:
    return TrialProject(tmp_path, manifest(index.url, TINY))


def manifest(index: str, servers: str) -> str:
    head = f'[project]\nname = "trial"\nplatforms = ["{host_platform()}"]\n\n[indexes.pypi]\nurl = "{index}"\n\n'
    return head + servers


def server(source: str, more: str = "") -> str:
    return f'[servers.x]\nsource = "pypi:{source}"\nruntime = "process"\n{more}\n'


def test_an_unknown_server_is_the_same_error_whoever_is_asked(tmp_path: Path) -> None:
    project = CatProject(tmp_path, CAT)
    project.ok("lock")
    project.ok("apply", "--yes", "--no-probe")
    for words in (["top"], ["secret", "check"], ["logs"], ["logs", "-f"], ["probe"], ["pin"], ["stop"]):
        done = project.run(*words, "cet")
        assert done.status == 1, (words, done.said)
        assert "\nhint: did you mean" in done.err, (words, done.said)


def ordinary() -> list[str]:
    """A prefix that takes from root what others do not have: passing over the permissions of files."""
    taken = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={taken}", f"--inh-caps={taken}"] if os.geteuid() == 0 else []


def sentence(done: Done) -> str:
    return done.err.partition("\n\nhint: ")[0]


def hint(done: Done) -> str:
    return done.err.partition("\n\nhint: ")[2]


# lock


def failed_lock(project: TrialProject, servers: str, index: str) -> Done:
    project.write(manifest(index, servers))
    done = project.fails("lock")
    assert not project.lock.exists()
    assert project.half_done() == []
    return done


def test_an_unknown_package_is_named_with_who_requires_it(project: TrialProject, index: Index) -> None:
    own = failed_lock(project, server("no-such-thing"), index.url)
    assert "no package 'no-such-thing', which the manifest requires" in sentence(own)
    below = failed_lock(project, server("lost"), index.url)
    assert f"no package 'nowhere', which lost 3.0 requires, on the index {index.url}" in sentence(below)
    assert "check the spelling" in hint(below)


def test_a_version_that_does_not_exist_is_answered_with_the_nearest_that_do(
    project: TrialProject, index: Index
) -> None:
    done = failed_lock(project, server("base-lib>=3"), index.url)
    assert "satisfies base-lib>=3" in sentence(done)
    assert sentence(done).endswith("the nearest that can be used are 2.1, 1.9")
    assert "ask for base-lib==2.1" in hint(done)


def test_a_conflict_names_both_requirers_and_what_would_do_for_each(project: TrialProject, index: Index) -> None:
    done = failed_lock(project, server("likes-old", 'with = ["pypi:likes-new"]'), index.url)
    assert "likes-old 1.0 requires base-lib<2 (1.9 would do)" in sentence(done)
    assert "likes-new 1.5 requires base-lib>=2 (2.1 would do)" in sentence(done)
    assert "likes-new and likes-old" in hint(done)
    assert "two environments" in hint(done)


def test_an_index_that_does_not_answer_is_named(project: TrialProject) -> None:
    closed = f"http://127.0.0.1:{free_port()}/simple/"
    done = failed_lock(project, TINY, closed)
    assert sentence(done) == f"error: {closed}tiny-server/ cannot be reached: Connection refused"
    assert "HTTPS_PROXY" in hint(done)


def test_a_registry_that_does_not_answer_is_named_with_the_server_that_needs_it(
    project: TrialProject, index: Index
) -> None:
    host = f"127.0.0.1:{free_port()}"
    done = failed_lock(project, MIXED.format(image=f"{host}/base/python:3.11", host=host), index.url)
    assert sentence(done).startswith(f"server:boxed: image {host}/base/python:3.11 cannot be fetched from {host}: ")
    assert sentence(done).endswith(": Connection refused")
    assert "registry" in hint(done)


def test_offline_with_an_empty_cache_says_so(project: TrialProject) -> None:
    done = project.fails("lock", "--offline")
    assert sentence(done).endswith("cannot be reached: --offline was asked for")
    assert "once without --offline" in hint(done)


def test_the_errors_of_lock_are_documents_with_json(project: TrialProject, index: Index) -> None:
    project.write(manifest(index.url, server("base-lib>=3")))
    done = project.run("lock", "--json")
    error = done.document["error"]
    assert (done.status, error["code"], bool(error["hint"])) == (1, "no-version", True)
    assert done.err == ""


def test_a_typo_is_shown_with_its_line_and_what_was_meant(project: TrialProject) -> None:
    project.edit("runtime", "runtme")
    project.edit("[indexes.pypi]", "[indexes.pipy]")
    for command in ("validate", "lock", "plan"):
        done = project.fails(command)
        assert f"hatchlock.toml:{_line(project, 'runtme')}: servers.tiny.runtme: unknown key" in done.err
        assert "did you mean 'runtime'?" in done.err
        assert f"hatchlock.toml:{_line(project, 'pipy')}: " in done.err
        assert "did you mean 'pypi'?" in done.err


def _line(project: TrialProject, word: str) -> int:
    return next(number for number, line in enumerate(project.manifest.read_text().splitlines(), 1) if word in line)


def test_a_manifest_that_is_no_toml_is_shown_with_its_line(project: TrialProject) -> None:
    project.edit('name = "trial"', "name = trial")
    done = project.run("lock")
    assert (done.status, done.err.startswith("hatchlock.toml:2: it is not valid TOML: ")) == (1, True), done.said


# apply


@pytest.mark.parametrize(("cut", "said"), [(1, "has sha256 "), (0, "is longer than the ")], ids=["other", "more"])
def test_other_bytes_than_the_locked_ones_stop_apply_before_any_change(
    project: TrialProject, index: Index, tiny: Release, cut: int, said: str
) -> None:
    project.ok("lock")
    index.raw_pages["tiny-server"] = json.dumps(index.page("tiny-server")).encode()
    body = tiny.body or b""
    tiny.body = body[: len(body) - cut] + b"!"
    done = project.fails("apply", "--yes")
    assert f"tiny_server-1.0-py3-none-any.whl from {index.url.partition('/simple')[0]}" in sentence(done)
    assert said in sentence(done)
    assert "do not use it" in hint(done)
    assert (project.environments(), project.active(), project.half_done()) == ([], {}, [])
    assert project.steps() == ["create env:tiny", "create server:tiny"]


def test_offline_with_an_empty_store_stops_apply_before_any_change(project: TrialProject) -> None:
    project.ok("lock")
    done = project.fails("apply", "--yes", "--offline")
    assert "--offline was asked for" in sentence(done)
    assert (project.environments(), project.active(), project.half_done()) == ([], {}, [])


def test_a_damaged_blob_is_never_used_and_fetched_anew(project: TrialProject) -> None:
    project.ok("lock")
    project.ok("apply", "--yes", "--no-probe")
    [blob] = [path for path in (project.store / "blobs").rglob("*") if path.is_file()]
    sound = blob.read_bytes()
    blob.write_bytes(b"rotten")
    shutil.rmtree(project.store / "envs")
    project.fails("apply", "--yes", "--offline")
    assert project.environments() == []
    project.ok("apply", "--yes")
    assert blob.read_bytes() == sound
    assert project.run("plan", "--check").status == 0


def test_a_full_disk_is_a_clear_error_and_with_space_again_apply_converges(project: TrialProject) -> None:
    project.ok("lock")
    for size, where in (("16k", f"error: {project.store}/"), ("96k", "env:tiny: ")):
        shutil.rmtree(project.store, ignore_errors=True)
        project.store.mkdir()
        with small_disk(project.store, size) as disk:
            full = project.fails("apply", "--yes", "--no-probe")
            assert where in sentence(full)
            assert "No space left on device" in full.err
            assert hint(full).startswith(("make room there", "make room on that disk"))
            assert (project.environments(), project.active()) == ([], {})
            disk.resize("100m")
            project.ok("apply", "--yes")
            assert (project.run("plan", "--check").status, project.half_done()) == (0, [])


# a directory where a file should be named


def test_a_directory_that_is_given_for_a_file_is_told_with_its_option(project: TrialProject) -> None:
    project.ok("lock")
    refused = project.fails("apply", "--yes", "--events", ".", status=64)
    assert (sentence(refused), hint(refused)) == ("error: --events .: it is a directory", "name a file in it\n")
    refused = project.fails("apply", "--yes", "--events", "none/x", status=64)
    assert sentence(refused) == "error: --events none/x: there is no directory none"
    refused = project.fails("--manifest", ".", "plan", status=64)
    assert sentence(refused) == "error: --manifest .: it is a directory"
    assert "-C ." in hint(refused)
    assert project.active() == {}


def test_a_directory_where_a_file_of_ours_belongs_is_told_with_what_helps(project: TrialProject) -> None:
    project.lock.mkdir()
    refused = project.fails("plan")
    assert str(project.lock) in sentence(refused)
    assert "move it away" in hint(refused)


# permissions


def test_a_store_that_another_user_owns_is_refused_by_every_command(project: TrialProject) -> None:
    if os.geteuid() != 0:
        unavailable("only root can give a directory away")
    project.ok("lock")
    os.chown(project.store, 12345, 12345)
    before = snapshot(project.store)
    for words in (["lock"], ["plan"], ["apply", "--yes"], ["run", "tiny"], ["status"]):
        done = project.fails(*words)
        assert sentence(done) == f"error: {project.store}: it belongs to another user (owner 12345, mode 0700)"
        assert "chown" in hint(done)
    assert snapshot(project.store) == before


def test_a_store_that_others_could_write_to_is_refused(project: TrialProject) -> None:
    project.store.mkdir()
    project.store.chmod(0o770)
    done = project.fails("lock")
    assert f"{project.store}: others could write to it (owner " in sentence(done)
    assert "mode 0770" in sentence(done)


def test_a_store_that_cannot_be_written_to_is_named_with_owner_and_mode(project: TrialProject) -> None:
    project.ok("lock")
    shutil.rmtree(project.store)
    project.store.mkdir()
    project.store.chmod(0o500)
    done = project.fails("apply", "--yes", prefix=ordinary())
    assert sentence(done).startswith(f"error: {project.store}: permission denied for ")
    assert "mode 0500" in sentence(done)
    assert list(project.store.iterdir()) == []
    project.store.chmod(0o700)
    project.ok("apply", "--yes", prefix=ordinary())


def test_a_directory_in_which_the_lock_cannot_be_written_is_named(project: TrialProject) -> None:
    before = project.manifest.read_bytes()
    project.directory.chmod(0o500)
    for words in (["lock"], ["add", "pypi:base-lib", "--runtime", "process"]):
        done = project.fails(*words, prefix=ordinary())
        assert f"{project.directory}: permission denied for hatch" in sentence(done)
        assert "mode 0500" in sentence(done)
    project.directory.chmod(0o700)
    assert {path.name for path in project.directory.iterdir()} == {"hatchlock.toml"}
    assert project.manifest.read_bytes() == before


def test_a_client_file_that_cannot_be_written_fails_alone_and_the_next_apply_goes_on(project: TrialProject) -> None:
    project.edit('runtime = "process"', 'runtime = "process"\nclients = ["cursor"]')
    project.ok("lock")
    project.user_home.chmod(0o500)
    done = project.fails("apply", "--yes", prefix=ordinary())
    assert f"client:cursor/tiny: {project.user_home}: permission denied for .cursor/mcp.json (owner " in done.err
    assert "2 done, 1 failed, 0 not started" in done.out
    project.user_home.chmod(0o700)
    assert project.steps() == ["create client:cursor/tiny"]
    project.ok("apply", "--yes", prefix=ordinary())
    assert project.half_done() == []


# servers


def test_a_server_that_prints_garbage_and_exits_is_reported_by_apply_probe_and_run(project: TrialProject) -> None:
    options = '["--noise", "Welcome to tiny!", "--stderr", "config.yaml not found", "--exit", "3"]'
    project.edit('runtime = "process"', f'runtime = "process"\nargs = {options}')
    project.ok("lock")
    applied = project.fails("apply", "--yes")
    assert "! server:tiny  it does not answer as an MCP server" in applied.err
    assert "config.yaml not found" in applied.err
    assert "`hatchlock run tiny`" in applied.err
    assert project.run("plan", "--check").status == 0  # the world is as declared, and that is another question
    assert [item["health"] for item in project.ok("status", "--json").document["servers"]] == ["failed"]
    probed = project.fails("probe", "tiny")
    assert "server:tiny: it does not answer as an MCP server" in probed.err
    served = project.fails("run", "tiny", status=3)
    assert served.out == ""
    assert "tiny printed on stdout, which is for JSON-RPC only: Welcome to tiny!" in served.err
    assert "it ended with status 3 without one JSON-RPC message" in served.err
    assert "log to stderr" in hint(served)
    assert "config.yaml not found" in project.ok("logs", "tiny").out


def test_a_server_that_says_nothing_and_exits_at_once_is_reported(project: TrialProject) -> None:
    project.edit('runtime = "process"', 'runtime = "process"\nargs = ["--exit", "0"]')
    project.ok("lock")
    applied = project.fails("apply", "--yes")
    assert "! server:tiny  it does not answer as an MCP server" in applied.err
    with Run(command=project.launch_command("tiny"), env=BARE) as run:
        status = run.wait()
        _, out, err = run.end()
    assert (status, out) == (1, b"")
    assert b"server:tiny: it ended with status 0 without one JSON-RPC message" in err


def test_garbage_before_the_first_answer_does_not_reach_the_application(project: TrialProject) -> None:
    project.edit('runtime = "process"', 'runtime = "process"\nargs = ["--noise", "Welcome!"]')
    project.ok("lock")
    project.ok("apply", "--yes")
    assert project.tools("tiny") == ["echo", "large", "attempt"]


def test_a_server_that_was_not_applied_is_named_with_those_that_were(project: TrialProject) -> None:
    assert "apply" in hint(project.fails("run", "tiny"))
    project.ok("lock")
    project.ok("apply", "--yes", "--no-probe")
    assert "did you mean tiny?" in hint(project.fails("run", "tinny"))


# the engine


@pytest.mark.engine
def test_without_an_engine_process_servers_are_still_locked_planned_applied_and_run(
    tmp_path: Path, index: Index, registry: str, base_image: str
) -> None:
    dead = f"unix://{tmp_path}/dead.sock"
    text = manifest(index.url, MIXED.format(image=base_image, host=registry))
    project = TrialProject(tmp_path, text, DOCKER_HOST=dead)
    project.ok("lock")
    planned = project.plan()
    assert [f"{step['action']} {step['address']}" for step in planned["steps"]] == [
        "create env:tiny",
        "create server:tiny",
    ]
    [problem] = planned["problems"]
    assert (problem["address"], problem["code"]) == ("server:boxed", "engine-not-found")
    assert f"looked in:\n  DOCKER_HOST at {dead}: No such file or directory" in problem["what"]
    done = project.fails("apply", "--yes")
    assert f"DOCKER_HOST at {dead}" in done.err
    assert "start Docker or Podman, or set DOCKER_HOST" in done.err
    assert "Applied: 2 done, 0 unchanged, 1 cannot be planned (" in done.out
    assert list(project.active()) == ["tiny"]
    assert project.tools("tiny") == ["echo", "large", "attempt"]
    again = project.fails("apply", "--yes")
    assert "1 cannot be planned" in again.out
    boxed, *_ = project.ok("status").out.splitlines()[3:]
    assert boxed.endswith(f"looked in: DOCKER_HOST at {dead}: No such file or directory")
