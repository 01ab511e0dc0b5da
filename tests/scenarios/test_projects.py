"""Servers that are projects in directories and repositories, and programs by address: locked, applied and run for real."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.engines.process import host_platform
from hatchlock.lock.model import Lock, Package
from hatchlock.lock.store import read_lock
from support.archives import Item, make_tar
from support.cats import CatProject
from support.git_server import Repository
from support.index import Index, Release, serving
from support.npm_registry import NpmRelease, serving_npm
from support.project import TrialProject
from support.runs import SERVERS, Run
from support.static_files import serving_files
from support.trees import plant
from support.unavailable import need_isolation
from support.wheels import make_wheel

HERE = host_platform()
THERE = "linux/arm64" if HERE == "darwin/arm64" else "darwin/arm64"
APPLY = ("apply", "--yes", "--no-probe")
TRACE = "third-party-code-was-here"

# An MCP server without dependencies; it is called what a module of its own project, or of another one, says.
SERVER = """
import json
import sys

from {module} import WORD


def main():
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            result = {{"protocolVersion": "2025-06-18", "capabilities": {{}}, "serverInfo": {{"name": WORD, "version": "1"}}}}
            print(json.dumps({{"jsonrpc": "2.0", "id": message["id"], "result": result}}), flush=True)


if __name__ == "__main__":
    main()
"""
PROGRAM = """\
#!/bin/sh
while read -r line; do
  id=$(printf %s "$line" | sed -n 's/.*"id": *\\([0-9]*\\).*/\\1/p')
  word=$(cat "$(dirname "$(readlink -f "$0")")/../share/word" 2>/dev/null || echo alone)
  about='{"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "'$word'", "version": "1"}}'
  [ -z "$id" ] || echo '{"jsonrpc": "2.0", "id": '"$id"', "result": '"$about"'}'
done
"""


@pytest.fixture(autouse=True)
def isolated() -> None:
    need_isolation()


@pytest.fixture
def trace(tmp_path: Path) -> Iterator[Path]:
    """What code of a project would leave behind if it were run by us; the test fails if it is there."""
    yield tmp_path / TRACE
    assert not list(tmp_path.rglob(f"{TRACE}*"))


def python_projects(root: Path, trace: Path) -> None:
    """Plant two Python projects, one of which needs the other; building either would leave a trace."""
    trap = f"open({str(trace)!r}, 'w').close()\n"
    plant(
        root,
        {
            "weather/pyproject.toml": """
                [project]
                name = "Weather.Server"
                version = "0.3"
                dependencies = ["core"]
                requires-python = ">=3.10"
                license = "MIT"
                scripts = { weather = "weather:main" }
                [build-system]
                requires = []
                build-backend = "trap"
                backend-path = ["."]
                [tool.uv.sources]
                core = { path = "../core" }
                """,
            "weather/trap.py": trap,
            "weather/src/weather/__init__.py": SERVER.format(module="core.words"),
            "weather/.gitignore": "*.log\n",
            "core/setup.py": f"from setuptools import setup\n{trap}setup(name='core', version='1.0', packages=['core'])\n",
            "core/core/__init__.py": "",
            "core/core/words.py": "WORD = 'sunny'\n",
        },
    )


def node_project(root: Path, trace: Path) -> None:
    plant(
        root,
        {
            "echo/package.json": {
                "name": "@acme/echo",
                "version": "1.0.0",
                "bin": {"echo-server": "src/index.js"},
                "scripts": {"preinstall": f"touch {trace}", "prepare": f"touch {trace}"},
                "dependencies": {"near": "^1.0.0"},
            },
            "echo/src/index.js": (SERVERS / "loader.js").read_text(),
        },
    )


def head(*lines: str, platforms: tuple[str, ...] = (HERE, THERE)) -> str:
    names = ", ".join(f'"{name}"' for name in platforms)
    top = ["[project]", 'name = "trial"', f"platforms = [{names}]", "[defaults]", 'runtime = "process"', *lines]
    return "\n".join([*top, ""])


def lock_of(project: TrialProject) -> Lock:
    return read_lock(project.lock)


def named(lock: Lock, name: str) -> Package:
    (found,) = (package for package in lock.packages if package.name == name)
    return found


def running(project: TrialProject, server: str, *options: str) -> Run:
    command = project.launch_command(server)
    env = {"HOME": str(project.user_home), "PATH": "/usr/bin:/bin"}
    return Run(command=[*command[:-1], *options, command[-1]], env=env)


def called(project: TrialProject, server: str, *options: str) -> tuple[str, str]:
    """Run a server; return what it says it is called, and all that came on stderr."""
    with running(project, server, *options) as run:
        name = str(run.hello()["serverInfo"]["name"])
        status, _, err = run.end()
    assert status == 0, err
    return name, err.decode()


# directories


@pytest.fixture
def weather(tmp_path: Path, trace: Path) -> CatProject:
    """A Python project with a sibling, locked."""
    project = CatProject(tmp_path, head("[servers.weather]", 'source = "path:./weather"'))
    python_projects(project.directory, trace)
    project.ok("lock")
    return project


def test_a_python_project_and_its_sibling_are_served_as_they_lie_there(weather: CatProject) -> None:
    lock = lock_of(weather)
    own, core = named(lock, "weather-server"), named(lock, "core")
    assert lock.environment("weather", "process").packages == (core.id, own.id)
    assert (own.version.partition("+")[0], core.version.partition("+")[0]) == ("0.3", "1.0")
    assert (own.location, own.import_root, dict(own.scripts)) == ("./weather", "src", {"weather": "weather:main"})
    assert (own.licence, own.requires_python, own.source_class) == ("MIT", ">=3.10", "local")
    assert (core.location, core.import_root, core.source) == ("./core", ".", "path:./core")
    assert lock.server("weather").command == ("weather",)
    assert str(weather.directory) not in weather.lock.read_text()
    weather.ok("apply", "--yes")
    assert called(weather, "weather") == ("sunny", "")
    assert weather.steps() == []
    assert weather.run("lock", "--check").status == 0


def test_an_edit_makes_the_lock_stale_by_name_and_up_brings_it_there(weather: CatProject) -> None:
    weather.ok(*APPLY)
    words = weather.directory / "core" / "core" / "words.py"
    words.write_text("WORD = 'rainy'\n")
    done = weather.fails("plan")
    assert "path:core: ./core changed since it was locked" in done.err
    assert "path:weather" not in done.err
    assert "changed since it was locked" in weather.fails(*APPLY).err
    assert called(weather, "weather")[0] == "sunny", "what was applied goes on"
    weather.ok("up", "--yes")
    assert called(weather, "weather") == ("rainy", "")
    assert weather.steps() == []
    words.write_text("WORD = 'sunny'\n")
    weather.ok("up", "--yes", "--no-probe")
    assert len(weather.environments()) == 2, "the first one was there already"


def test_what_the_project_ignores_changes_nothing(weather: CatProject) -> None:
    weather.ok(*APPLY)
    (weather.directory / "weather" / "debug.log").write_text("today")
    (weather.directory / "weather" / "src" / "weather" / "__pycache__").mkdir()
    (weather.directory / "weather" / "src" / "weather" / "__pycache__" / "x.pyc").write_bytes(b"")
    os.utime(weather.directory / "core" / "core" / "words.py")
    assert weather.steps() == []
    assert called(weather, "weather") == ("sunny", "")


def test_a_change_shows_on_stderr_of_run_and_dev_serves_it(weather: CatProject) -> None:
    weather.ok(*APPLY)
    live = weather.directory / "weather" / "src" / "weather" / "__init__.py"
    live.write_text(SERVER.format(module="core.words").replace('"name": WORD', '"name": "edited"'))
    name, said = called(weather, "weather")
    assert name == "sunny"
    assert said == (
        f"hatchlock: {weather.directory}/weather is not what was locked; run `hatchlock up`, or try it with `run --dev`\n"
    )
    assert called(weather, "weather", "--dev") == ("edited", "")
    live.write_text(live.read_text().replace("edited", "edited again"))
    assert called(weather, "weather", "--dev") == ("edited again", ""), "as it is when it starts"
    shutil.rmtree(weather.directory / "weather")
    assert called(weather, "weather") == ("sunny", ""), "the directory may be gone altogether"


def test_a_server_without_a_directory_of_its_own_has_nothing_to_develop(tmp_path: Path) -> None:
    project = CatProject(tmp_path, head("[servers.cat]", 'command = ["/bin/cat"]'))
    project.ok("lock")
    project.ok(*APPLY)
    done = project.really_fails("run", "--dev", "cat")
    assert "cat cannot be served as it is developed: its source is no directory (path:)" in done.err


def test_a_node_project_is_served_with_what_npm_chose_for_it(tmp_path: Path, trace: Path) -> None:
    near = [
        NpmRelease(name="near", version=version, files={"index.js": f"module.exports = '{version}'"})
        for version in ("1.0.0", "1.9.0", "2.0.0")
    ]
    with serving_npm(*near) as registry:
        text = head("[servers.echo]", 'source = "path:./echo"', "[indexes.npm]", f'url = "{registry.url}"')
        project = CatProject(tmp_path, text)
        node_project(project.directory, trace)
        said = project.ok("lock").err
        project.ok(*APPLY)
    assert "path:./echo is package.json" in said
    environment = lock_of(project).environment("echo", "process")
    echo = named(lock_of(project), "@acme/echo")
    assert environment.packages == ("npm:near@1.9.0", echo.id)
    assert (environment.python, dict(environment.tree)) == ("", {"node_modules/near": "npm:near@1.9.0"})
    assert echo.dependencies == ("npm:near@^1.0.0",)
    assert project.steps() == []
    with running(project, "echo") as run:
        run.hello()
        assert run.call("load", module="near") == '"1.9.0"'
        assert json.loads(run.call("load", module="../package.json"))["name"] == "@acme/echo"
        assert run.end()[0] == 0


@pytest.fixture
def words(tmp_path: Path) -> Iterator[Index]:
    """An index with a package that has a word."""
    wheel = make_wheel(tmp_path, name="words", files={"words.py": b"WORD = 'from the index'\n"})
    with serving(Release(name="words", version="1.0", body=wheel.read_bytes())) as index:
        yield index


def test_plain_files_are_started_by_the_command_that_the_manifest_names(tmp_path: Path, words: Index) -> None:
    lines = ("[servers.plain]", 'source = "path:./plain#as=files"', 'with = ["pypi:words"]')
    more = ('command = ["python", "server.py"]', "[indexes.pypi]", f'url = "{words.url}"')
    project = CatProject(tmp_path, head(*lines, *more))
    plant(project.directory / "plain", {"server.py": SERVER.format(module="words"), "pyproject.toml": "broken ="})
    project.ok("lock")
    environment = lock_of(project).environment("plain", "process")
    assert [item.rpartition("@")[0] for item in environment.packages] == ["path:plain", "pypi:words"]
    project.ok("apply", "--yes")
    assert called(project, "plain") == ("from the index", "")
    assert project.steps() == []


def test_a_project_that_would_have_to_be_built_is_refused_with_what_is_needed(tmp_path: Path, trace: Path) -> None:
    project = CatProject(tmp_path, head("[servers.fast]", 'source = "path:./fast"'))
    text = (
        '[project]\nname = "fast"\nversion = "1"\n[build-system]\nrequires = ["maturin"]\nbuild-backend = "maturin"\n'
    )
    plant(project.directory / "fast", {"pyproject.toml": text, "build.rs": f"touch {trace}", "src/lib.rs": ""})
    done = project.fails("lock")
    assert "path:./fast has to be built first: it has an extension module that maturin compiles" in done.err
    assert 'allow-build = ["fast"]' in done.err.partition("hint:")[2]
    assert not project.lock.exists()


@pytest.mark.parametrize(("path", "why"), [("./none", "there is no directory"), ("./hatchlock.toml", "is a file")])
def test_a_directory_that_is_none_is_named(tmp_path: Path, path: str, why: str) -> None:
    project = CatProject(tmp_path, head("[servers.a]", f'source = "path:{path}"'))
    assert why in project.fails("lock").err


@pytest.mark.parametrize("source", ["path:./none", "hatch:./none"])
def test_a_directory_that_is_none_is_named_before_anybody_is_asked(tmp_path: Path, source: str) -> None:
    """No registry has to answer for that."""
    base = 'base = "oci:127.0.0.1:1/nobody/python:3"'
    project = CatProject(tmp_path, head("[servers.a]", f'source = "{source}"', 'runtime = "container"', base))
    done = project.fails("lock")
    assert done.err.startswith("env:a: there is no directory "), done.err


def test_a_repository_of_this_machine_that_is_none_is_named_before_anybody_is_asked(tmp_path: Path) -> None:
    base = 'base = "oci:127.0.0.1:1/nobody/python:3"'
    source = f'source = "git:file://{tmp_path}/none"'
    project = CatProject(tmp_path, head("[servers.a]", source, 'runtime = "container"', base))
    assert f"env:a: there is no git repository at file://{tmp_path}/none" in project.fails("lock").err


def test_a_directory_to_build_in_that_is_none_is_named_before_anybody_is_asked(tmp_path: Path) -> None:
    image = ("[servers.a]", 'source = "oci:127.0.0.1:1/nobody/python:3"')
    project = CatProject(tmp_path, head(*image, "[servers.b]", 'build = "./none"'))
    assert project.fails("lock").err.startswith("server:b: there is no directory ")


# repositories


@pytest.fixture
def repository(tmp_path: Path, trace: Path) -> Repository:
    """A repository with both Python projects, on `main`."""
    made = Repository(tmp_path / "repository")
    python_projects(made.path, trace)
    made.commit({})
    return made


@pytest.fixture
def cloned(tmp_path: Path, repository: Repository) -> CatProject:
    """A project whose server is in the repository's branch, locked."""
    source = f'source = "git:{repository.url}@main#subdirectory=weather"'
    project = CatProject(tmp_path / "cloned", head("[servers.weather]", source))
    project.ok("lock")
    return project


def test_a_repository_is_locked_by_commit_and_tree_and_its_sibling_with_it(
    cloned: CatProject, repository: Repository
) -> None:
    lock = lock_of(cloned)
    own, core = named(lock, "weather-server"), named(lock, "core")
    commit = repository.git("rev-parse", "HEAD")
    assert (own.commit, core.commit) == (commit, commit)
    assert own.tree_hash == repository.git("rev-parse", "HEAD:weather")
    assert core.tree_hash == repository.git("rev-parse", "HEAD:core")
    assert (own.subdirectory, core.subdirectory, own.location) == ("weather", "core", repository.url)
    cloned.ok("apply", "--yes")
    assert called(cloned, "weather") == ("sunny", "")
    assert cloned.steps() == []
    done = cloned.really_fails("run", "--dev", "weather")
    assert "its source is no directory (path:)" in done.err


def test_a_branch_that_moved_is_followed_only_when_it_may(cloned: CatProject, repository: Repository) -> None:
    before = cloned.lock.read_bytes()
    moved = repository.commit({"core/core/words.py": "WORD = 'rainy'\n"})
    cloned.ok("lock")
    assert cloned.lock.read_bytes() == before
    cloned.edit("[servers.weather]", '[servers.weather]\nargs = ["-v"]')
    cloned.ok("lock")
    cloned.ok(*APPLY)
    assert called(cloned, "weather")[0] == "sunny"
    cloned.ok("lock", "--upgrade", "weather-server", "core", "--refresh")
    assert {package.commit for package in lock_of(cloned).packages} == {moved}
    cloned.ok(*APPLY)
    assert called(cloned, "weather")[0] == "rainy"


def test_a_repository_that_is_gone_is_not_asked_as_long_as_its_commit_is_locked(
    cloned: CatProject, repository: Repository
) -> None:
    shutil.rmtree(repository.path)
    shutil.rmtree(cloned.store)
    cloned.edit("[servers.weather]", '[servers.weather]\nargs = ["-v"]')
    cloned.ok("lock")


def test_a_commit_that_is_gone_is_named_and_nothing_is_changed(cloned: CatProject, repository: Repository) -> None:
    commit = repository.git("rev-parse", "HEAD")
    repository.commit({"core/core/words.py": "WORD = 'rainy'\n"})
    repository.git("checkout", "--quiet", "--orphan", "other")
    repository.commit({})
    repository.git("branch", "--force", "main", "other")
    repository.prune()
    shutil.rmtree(cloned.store)
    done = cloned.fails(*APPLY)
    assert commit in done.err
    assert (cloned.environments(), cloned.active()) == ([], {})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("commit", "--upload-pack=touch {trace}"),
        ("tree-hash", "--output={trace}"),
        ("location", "ext::touch {trace}"),
        ("location", "--upload-pack=touch {trace}"),
        ("subdirectory", "../.."),
    ],
)
def test_a_lock_that_would_make_git_run_something_is_refused(
    cloned: CatProject, trace: Path, key: str, value: str
) -> None:
    shutil.rmtree(cloned.store)
    text = re.sub(rf'(?m)^{key} = ".*"$', f'{key} = "{value.format(trace=trace)}"', cloned.lock.read_text())
    assert text != cloned.lock.read_text()
    cloned.lock.write_text(text)
    cloned.fails(*APPLY)
    cloned.fails("fetch")
    assert (cloned.environments(), cloned.active()) == ([], {})


# addresses


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory, and the address under which it is served."""
    directory = tmp_path / "served"
    directory.mkdir()
    with serving_files(directory) as address:
        yield directory, address


def test_a_program_is_taken_for_this_platform_and_nobody_is_asked_for_the_other(
    tmp_path: Path, served: tuple[Path, str]
) -> None:
    directory, address = served
    (directory / "tool-1.0-here.sh").write_text(PROGRAM)
    here = f'"{HERE}" = "url:{address}/tool-1.0-here.sh#sha256={sha256(PROGRAM.encode())}&name=tool"'
    there = f'"{THERE}" = "url:{address}/tool-1.0-there.sh#sha256={"0" * 64}&name=tool"'
    project = CatProject(tmp_path, head("[servers.tool]", f"source = {{ {here}, {there} }}"))
    project.ok("lock")
    (package,) = lock_of(project).packages
    assert {(file.platform, file.name, file.sha256[:4]) for file in package.files} == {
        (HERE, "tool-1.0-here.sh", sha256(PROGRAM.encode())[:4]),
        (THERE, "tool-1.0-there.sh", "0000"),
    }
    assert lock_of(project).environment("tool", "process").python == ""
    project.ok("apply", "--yes")
    assert called(project, "tool") == ("alone", "")
    assert project.steps() == []


def archive(path: Path) -> bytes:
    items = [
        Item("tool-1.0", kind="directory", mode=0o755),
        Item("tool-1.0/bin/tool", PROGRAM.encode(), mode=0o755),
        Item("tool-1.0/share/word", b"packed"),
    ]
    return make_tar(path, items).read_bytes()


@pytest.mark.parametrize("command", ["tool", "bin/tool"])
def test_an_archive_is_unpacked_and_its_programs_can_be_named(
    tmp_path: Path, served: tuple[Path, str], command: str
) -> None:
    directory, address = served
    data = archive(directory / "tool-1.0.tar.gz")
    source = f'source = "url:{address}/tool-1.0.tar.gz#sha256={sha256(data)}"'
    project = CatProject(tmp_path, head("[servers.tool]", source, f'command = ["{command}"]'))
    project.ok("lock")
    project.ok(*APPLY)
    assert called(project, "tool") == ("packed", "")
    assert project.steps() == []


def test_another_file_at_the_address_stops_before_any_change(tmp_path: Path, served: tuple[Path, str]) -> None:
    directory, address = served
    (directory / "tool.sh").write_text(PROGRAM)
    source = f'source = "url:{address}/tool.sh#sha256={sha256(PROGRAM.encode())}"'
    project = CatProject(tmp_path, head("[servers.tool]", source))
    project.ok("lock")
    (directory / "tool.sh").write_text("#!/bin/sh\nrm -rf /\n")
    done = project.fails(*APPLY)
    assert "tool.sh" in done.err
    assert "sha256" in done.err
    assert (project.environments(), project.active()) == ([], {})


# another machine


def test_a_bundle_brings_every_kind_to_a_store_that_reaches_nothing(
    tmp_path: Path, trace: Path, served: tuple[Path, str], words: Index
) -> None:
    directory, address = served
    data = archive(directory / "tool-1.0.tar.gz")
    repository = Repository(tmp_path / "repository")
    python_projects(repository.path, trace)
    repository.commit({})
    near = NpmRelease(name="near", version="1.0.0", files={"index.js": "module.exports = 'near'"})
    with serving_npm(near) as registry:
        project = CatProject(
            tmp_path / "first",
            head(
                *(
                    "[servers.weather]",
                    f'source = "git:{repository.url}#subdirectory=weather"',
                    'with = ["pypi:words"]',
                ),
                *("[servers.echo]", 'source = "path:./echo"'),
                *("[servers.tool]", f'source = "url:{address}/tool-1.0.tar.gz#sha256={sha256(data)}"'),
                *('command = ["tool"]', "[indexes.pypi]", f'url = "{words.url}"'),
                *("[indexes.npm]", f'url = "{registry.url}"'),
            ),
        )
        node_project(project.directory, trace)
        project.ok("lock")
        bundle = tmp_path / "bundle.tar"
        document = project.ok("fetch", "--to", str(bundle), "--json").document
    assert document["files"] == 6, "core, weather, words, echo, near, tool"
    shutil.rmtree(repository.path)
    (directory / "tool-1.0.tar.gz").unlink()
    other = CatProject(tmp_path / "other")
    for file in (project.manifest, project.lock):
        shutil.copy(file, other.directory)
    shutil.copytree(project.directory / "echo", other.directory / "echo")
    assert "--offline was asked for" in other.fails(*APPLY, "--offline").err
    shutil.rmtree(other.store)
    document = other.ok("fetch", "--from", str(bundle), "--offline", "--json").document
    assert (document["imported"]["files"], document["fetched"]) == (6, 0)
    other.ok(*APPLY, "--offline")
    assert {name: called(other, name)[0] for name in ("weather", "echo", "tool")} == {
        "weather": "sunny",
        "echo": "loader",
        "tool": "packed",
    }
    assert other.steps() == []


def test_the_same_lock_gives_the_same_environments_in_another_store(weather: CatProject, tmp_path: Path) -> None:
    other = CatProject(tmp_path / "other", weather.manifest.read_text())
    for name in ("weather", "core"):
        shutil.copytree(weather.directory / name, other.directory / name)
    other.ok("lock")
    assert other.lock.read_bytes() == weather.lock.read_bytes()
    environments = [
        [step for step in project.plan()["steps"] if step["address"] == "env:weather"] for project in (weather, other)
    ]
    assert environments[0] == environments[1]
    assert len(environments[0]) == 1
