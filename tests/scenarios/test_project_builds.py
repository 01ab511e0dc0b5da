"""Projects that have to be built: locked with what their build needs, built in a sandbox without network, and served."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.api import Engine
from hatchlock.engines.process import host_platform
from support.git_server import Repository
from support.index import serving
from support.npm_registry import NpmRegistry, NpmRelease, serving_npm
from support.project import TrialProject
from support.sdists import BACKEND
from support.trees import plant
from support.unavailable import need_isolation, unavailable

MANIFEST = f"""\
[project]
name = "PROJECT"
platforms = ["{host_platform()}"]

[indexes.npm]
url = "URL"

[servers.weather]
source = "path:./weather"
runtime = "process"
allow-build = ["@Acme/weather"]
"""

SERVER = """\
#!/usr/bin/env node
import { word } from "./word";
let text = "";
const tools: object[] = [{ name: word, description: "says it", inputSchema: { type: "object" } }];
const about = { capabilities: { tools: {} }, serverInfo: { name: "weather", version: "1" } };
process.stdin.on("data", (data: Buffer) => {
  text += data;
  for (let end = text.indexOf("\\n"); end >= 0; end = text.indexOf("\\n")) {
    const { id, method, params } = JSON.parse(text.slice(0, end));
    text = text.slice(end + 1);
    const result = method === "initialize" ? { protocolVersion: params.protocolVersion, ...about } : { tools };
    if (id !== undefined) console.log(JSON.stringify({ jsonrpc: "2.0", id, result }));
  }
});
"""

BUILD = """\
const fs = require("fs"), path = require("path"), net = require("net");
const { strip } = require("stripper");
console.log("it builds now");
fs.mkdirSync("dist");
fs.writeFileSync("dist/index.js", strip(fs.readFileSync("src/index.ts", "utf8")));
const { npm_package_name: name, npm_package_version: version, NODE_ENV, HOME } = process.env;
fs.writeFileSync("dist/word.js", `exports.word = ${JSON.stringify(`${fs.readFileSync("word", "utf8")}-${version}`)}`);
const facts = { name, version, NODE_ENV, HOME, uid: process.getuid(), secret: fs.existsSync("SECRET") };
const say = (network) => fs.writeFileSync("dist/facts.json", JSON.stringify({ ...facts, network }));
net.connect(PORT, "127.0.0.1").on("connect", () => say("open")).on("error", (error) => say(error.code));
"""

PACKAGE: dict[str, Any] = {
    "name": "@acme/weather",
    "version": "1.2.0",
    "bin": "dist/index.js",
    "scripts": {"prebuild": "touch made-before", "build": "run-it build.js", "prepare": "exit 1", "test": "exit 1"},
    "devDependencies": {"stripper": "^1"},
}

STRIP = """\
exports.strip = (text) => text.replace(/: (object\\[\\]|Buffer)/g, "").replace(/import (.*) from (.*);/, "const $1 = require($2);");
"""
"""As much of a compiler as the server above needs."""
STRIPPER = NpmRelease(
    name="stripper",
    dependencies={"runner": "*"},
    files={"index.js": STRIP},
)
RUNNER = NpmRelease(
    name="runner",
    manifest={"bin": {"run-it": "run.js"}},
    files={"run.js": "#!/usr/bin/env node\nrequire(require('path').resolve(process.argv[2]));\n"},
)
"""A program of a dependency's dependency is no command of the project: npm has it in `.bin` all the same."""


def weather(root: Path, registry: NpmRegistry, *, word: str = "sunny", **changes: Any) -> None:
    port = registry.url.rpartition(":")[2].partition("/")[0]
    plant(
        root,
        {
            "package.json": json.dumps(PACKAGE | changes),
            ".gitignore": "dist\n",
            "src/index.ts": SERVER,
            "build.js": BUILD.replace("PORT", port).replace("SECRET", str(root / "package.json")),
            "word": word,
        },
    )


@pytest.fixture
def project(tmp_path: Path) -> TrialProject:
    need_isolation()
    if shutil.which("node") is None:
        unavailable("there is no Node")
    return TrialProject(tmp_path)


@pytest.fixture
def npm() -> Iterator[NpmRegistry]:
    with serving_npm(STRIPPER, RUNNER) as registry:
        yield registry


def records(project: TrialProject) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted((project.store / "builds").glob("*.json"))]


def built(project: TrialProject) -> Path:
    """Return the directory of the built project in the one environment that has it."""
    (found,) = (project.store / "envs").glob("*/src/acme+weather.node")
    return found


def test_a_node_project_is_built_only_where_the_environment_names_it(project: TrialProject, npm: NpmRegistry) -> None:
    weather(project.directory / "weather", npm)
    manifest = MANIFEST.replace("URL", npm.url).replace("PROJECT", "trial")
    project.write(manifest.replace('allow-build = ["@Acme/weather"]\n', ""))
    done = project.fails("lock")
    assert "path:./weather has to be built first: its entry dist/index.js is made by `npm run build`" in done.err
    assert 'allow-build = ["@acme/weather"]' in done.err
    assert npm.asked == []

    project.write(manifest)
    project.ok("lock")
    text = project.lock.read_text()
    assert '"web/build' not in text
    assert "weather/build/@acme/weather.node" in text
    assert project.ok("lock", "--check").status == 0
    project.ok("lock")
    assert project.lock.read_text() == text
    assert not (project.directory / "weather" / "dist").exists()
    project.edit('allow-build = ["@Acme/weather"]\n', "")
    assert "which allow-build does not name any more" in project.fails("plan").err


def test_what_is_built_is_served_and_built_again_when_the_directory_changes(
    project: TrialProject, npm: NpmRegistry
) -> None:
    weather(project.directory / "weather", npm)
    project.write(MANIFEST.replace("URL", npm.url).replace("PROJECT", "trial"))
    project.ok("lock")
    details = {step["address"]: step["details"] for step in project.plan()["steps"]}
    assert details["env:weather"]["builds"].startswith("@acme/weather 1.2.0+s")
    assert details["env:weather"]["result"] == "known after apply"
    project.ok("apply", "--yes")
    assert project.plan()["steps"] == []
    assert project.tools("weather") == ["sunny-1.2.0"]

    facts = json.loads((built(project) / "dist" / "facts.json").read_text())
    assert facts["uid"] not in {0, os.getuid()} or os.getuid() != 0
    assert facts == {
        "name": "@acme/weather",
        "version": "1.2.0",
        "HOME": "/tmp",
        "uid": facts["uid"],
        "secret": False,
        "network": "ECONNREFUSED",
    }
    assert {"made-before", "package.json", "src", "word"} <= {path.name for path in built(project).iterdir()}
    assert not (built(project) / "node_modules").exists()
    assert not (built(project).parents[1] / "node_modules" / "stripper").exists()
    assert "it builds now" in project.ok("logs", "--build", "weather.acme-weather").out
    (first,) = records(project)

    (project.directory / "weather" / "word").write_text("rainy")
    assert "./weather changed since it was locked" in project.fails("plan").err
    project.ok("lock")
    project.ok("apply", "--yes")
    assert project.tools("weather") == ["rainy-1.2.0"]
    assert len(records(project)) == 2

    # of the first one the store has the result, and that will do: the record says that it was not built again
    (project.directory / "weather" / "word").write_text("sunny")
    project.ok("lock")
    shutil.rmtree(project.store / "envs")
    results = {record["sha256"] for record in records(project)}
    for blob in [path for path in (project.store / "blobs").rglob("*") if path.is_file() and path.name not in results]:
        blob.unlink()
    project.ok("apply", "--yes", "--offline")
    assert project.tools("weather") == ["sunny-1.2.0"]
    assert first in records(project)
    assert list((project.store / "blobs").rglob(first["archive"])) == []
    assert project.half_done() == []


def test_a_workspace_decides_on_what_a_build_needs_and_its_members_are_there(
    project: TrialProject, npm: NpmRegistry
) -> None:
    build = "run-it build.js && node -p 'require(\"core\").word' > dist/core"
    needs = {"stripper": "catalog:", "core": "workspace:*"}
    weather(project.directory / "weather", npm, devDependencies=needs, scripts={"build": build})
    plant(project.directory / "core", {"package.json": {"name": "core"}, "index.js": 'exports.word = "beside"'})
    (project.directory / ".git").mkdir()
    catalogue = project.directory / "pnpm-workspace.yaml"
    catalogue.write_text("packages:\n  - weather\n  - core\ncatalog:\n  stripper: ^1\n")
    project.write(MANIFEST.replace("URL", npm.url).replace("PROJECT", "trial"))
    project.ok("lock")
    npm.releases.append(replace(STRIPPER, version="2.0.0"))
    catalogue.write_text(catalogue.read_text().replace("^1", "^2"))
    project.ok("lock", "--refresh")
    assert "npm:stripper@2.0.0" in project.lock.read_text()
    assert "npm:stripper@1.0.0" not in project.lock.read_text()
    project.ok("apply", "--yes", "--no-probe")
    assert (built(project) / "dist" / "core").read_text() == "beside\n"

    plant(
        project.directory / "core", {"package.json": {"name": "core", "main": "dist/a.js", "scripts": {"build": ":"}}}
    )
    done = project.fails("lock")
    assert "path:./core has to be built first" in done.err
    assert "(it is needed where @acme/weather.node is built)" in done.err


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no compiler && exit 3", "@acme/weather@1.2.0+sHASH ended with status 3:"),
        ("mkdir dist", "cannot be used: dist/index.js, by which it is started, is not in it"),
    ],
)
def test_a_build_that_does_not_make_what_it_is_for_leaves_nothing_but_its_log(
    project: TrialProject, npm: NpmRegistry, script: str, said: str
) -> None:
    weather(project.directory / "weather", npm, scripts={"build": script})
    project.write(MANIFEST.replace("URL", npm.url).replace("PROJECT", "trial"))
    project.ok("lock")
    done = project.fails("apply", "--yes")
    assert said in re.sub(r"\+s[0-9a-f]{12}", "+sHASH", done.err)
    assert "> @acme/weather@1.2.0 build" in project.ok("logs", "--build", "weather.acme-weather").out
    assert (records(project), project.environments()) == ([], [])


def test_a_project_of_git_is_built_from_its_commit_by_its_own_backend(project: TrialProject, tmp_path: Path) -> None:
    crafted(tmp_path / "tree")
    files = {str(path.relative_to(tmp_path / "tree")): path.read_bytes() for path in (tmp_path / "tree").rglob("*.*")}
    repository = Repository(tmp_path / "repository")
    commit = repository.commit(files)
    with serving() as index:
        manifest = GIT.replace("REPOSITORY", repository.url).replace("URL", index.url)
        project.write(manifest.replace('allow-build = ["crafted"]\n', ""))
        done = project.fails("lock")
        assert "imports _version.py, which only its build makes" in done.err
        project.write(manifest)
        done = project.ok("lock")
        assert "is built from source: what is in it is known after its build" in done.err
        project.ok("apply", "--yes")
        assert project.plan()["steps"] == []
    assert project.ok("exec", "env:web", "--", "crafted").out == f"built as 0+g{commit[:12]}\n"
    project.edit('allow-build = ["crafted"]', 'allow-build = ["crafted", "crated"]')
    assert "env:web: allow-build names 'crated'" in project.ok("lock").err


GIT = f"""\
[project]
name = "trial"
platforms = ["{host_platform()}"]

[indexes.pypi]
url = "URL"

[environments.web]
dependencies = ["git:REPOSITORY@main"]
allow-build = ["crafted"]
"""

REAL = f"""\
[project]
name = "trial"
platforms = ["{host_platform()}"]

[servers.weather]
source = "path:./weather"
runtime = "process"
allow-build = ["@acme/weather"]

[environments.web]
python = "3.11"
dependencies = ["path:./fast"]
allow-build = ["fast"]
"""

EXTENSION = """
#include <Python.h>

static PyObject *twice(PyObject *self, PyObject *number) { return PyNumber_Add(number, number); }
static PyMethodDef methods[] = {{"twice", twice, METH_O, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", NULL, -1, methods};
PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }
"""

FAST = """
[project]
name = "fast"
version = "1.0"

[build-system]
requires = ["setuptools>=74"]
build-backend = "setuptools.build_meta"

[tool.setuptools]
ext-modules = [{ name = "fast", sources = ["fast.c"] }]
"""


@pytest.mark.network
def test_typescript_s_own_compiler_and_that_of_c_build_in_the_sandbox(project: TrialProject) -> None:
    if shutil.which("gcc") is None or not list(Path("/usr/include").glob("python3.11/Python.h")):
        unavailable("there is no gcc with the headers of Python 3.11")
    package = {
        **PACKAGE,
        "type": "commonjs",
        "scripts": {"build": "tsc"},
        "devDependencies": {"typescript": "~5.6.0", "@types/node": "^20"},
    }
    options = {"module": "commonjs", "target": "es2022", "rootDir": "src", "outDir": "dist", "types": ["node"]}
    plant(
        project.directory,
        {
            "weather/package.json": package,
            "weather/tsconfig.json": {"compilerOptions": {**options, "strict": True, "sourceMap": True}},
            "weather/src/index.ts": SERVER,
            "weather/src/word.ts": 'export const word: string = "compiled";',
            "fast/pyproject.toml": FAST,
            "fast/fast.c": EXTENSION,
        },
    )
    project.write(REAL)
    project.ok("lock")
    project.ok("apply", "--yes")
    assert project.tools("weather") == ["compiled"]
    assert (built(project) / "dist" / "index.js.map").exists()
    assert project.ok("exec", "env:web", "--", "python", "-c", "import fast; print(fast.twice(21))").out == "42\n"


CONTAINED = """\
[project]
name = "PROJECT"

[indexes.npm]
url = "NPM"

[indexes.pypi]
url = "PYPI"

[servers.weather]
source = "path:./weather"
base = "oci:NODE"
allow-build = ["@acme/weather"]

[environments.web]
base = "oci:NODE"
dependencies = ["path:./crafted"]
allow-build = ["crafted"]
"""


@pytest.mark.engine
def test_for_containers_projects_are_built_in_containers_of_the_base(
    tmp_path: Path, engine: str, node_image: str, npm: NpmRegistry
) -> None:
    name = f"trial-{os.urandom(4).hex()}"
    contained = TrialProject(tmp_path, name=name, DOCKER_HOST=engine)
    weather(contained.directory / "weather", npm)
    crafted(contained.directory / "crafted")
    with serving() as index:
        manifest = CONTAINED.replace("PROJECT", name).replace("NODE", node_image)
        contained.write(manifest.replace("NPM", npm.url).replace("PYPI", index.url))
        contained.ok("lock")
        details = [step["details"] for step in contained.plan()["steps"]]
        assert [one["result"] for one in details if "1.2.0" in one.get("builds", "")] == ["known after apply"]
        contained.ok("apply", "--yes")
        assert contained.plan()["steps"] == []
    assert contained.tools("weather") == ["sunny-1.2.0"]
    facts = contained.ok("exec", "weather", "--", "sh", "-c", "cat /opt/hatchlock/src/*/dist/facts.json").out
    assert (json.loads(facts)["uid"], json.loads(facts)["network"]) == (10001, "ECONNREFUSED")
    assert contained.ok("exec", "env:web", "--", "crafted").out.startswith("built as 0+s")
    assert [item.name for item in Engine(engine).list({"dev.hatchlock.project": name})] == []


PYPROJECT = """
[project]
name = "crafted"
dynamic = ["version"]
dependencies = []

[project.scripts]
crafted = "crafted:main"

[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[tool.setuptools_scm]
version_file = "crafted/_version.py"
"""

BACKED = """
import pathlib

VERSION = os.environ["SETUPTOOLS_SCM_PRETEND_VERSION"]
METADATA = f"Metadata-Version: 2.1\\nName: crafted\\nVersion: {VERSION}\\n"


def module():
    return f"VERSION = {VERSION!r}\\n" + pathlib.Path("crafted/__init__.py").read_text().partition("\\n")[2]
"""


def crafted(root: Path) -> None:
    """Plant a project whose code imports what its build writes."""
    plant(
        root,
        {
            "pyproject.toml": PYPROJECT,
            "backend.py": BACKEND.replace('"NAME"', '"crafted"') + BACKED,
            "crafted/__init__.py": "from crafted._version import VERSION\ndef main():\n    print('built as', VERSION)\n",
        },
    )
