"""Packages that come as source: locked, built in a sandbox without network, installed, and taken from the store again."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.api import Engine
from hatchlock.engines.process import host_platform
from support.engine import wait_until
from support.index import Release, serving
from support.npm_registry import NpmRelease, serving_npm
from support.project import Done, TrialProject
from support.sdists import source_release
from support.unavailable import need_isolation, unavailable
from support.wheels import make_wheel

MANIFEST = f"""\
[project]
name = "trial"
platforms = ["{host_platform()}"]

[indexes.pypi]
url = "URL"

[environments.web]
python = "3.11"
dependencies = ["pypi:crafted"]
allow-build = ["Crafted"]
"""

OTHER = """\
[environments.two]
python = "3.11"
dependencies = ["pypi:crafted", "pypi:helper"]
allow-build = ["crafted"]

[environments.web]"""

PROBE = """
def module():
    import os, socket, sys
    import helper
    def trying(work):
        try:
            return str(work())
        except OSError as error:
            return type(error).__name__
    facts = {
        "uid": os.getuid(),
        "umask": oct(os.umask(0o022)),
        "variables": sorted(os.environ),
        "epoch": os.environ["SOURCE_DATE_EPOCH"],
        "seed": hash("a constant"),
        "network": trying(lambda: socket.create_connection(("127.0.0.1", PORT), 1)),
        "interfaces": sorted(name for _, name in socket.if_nameindex()),
        "writes": trying(lambda: open("/usr/marked", "w")),
        "secret": trying(lambda: open("SECRET").read()),
        "stdin": sys.stdin.read(),
        "helper": helper.__file__,
    }
    print("it builds now")
    return f"FACTS = {facts!r}\\ndef main():\\n    print(FACTS)\\n"
"""

DIFFERING = """
def module():
    import uuid
    return f"def main():\\n    print({str(uuid.uuid4())!r})\\n"
"""

SLOW = """
def module():
    import subprocess, sys, time, uuid
    mark = uuid.uuid4().hex
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", mark])
    print("it begins as", mark)
    time.sleep(3)
    child.kill()
    return "def main():\\n    print('slowly')\\n"
"""

FAILING = """
def module():
    print("looking for a compiler")
    raise SystemExit("there is no compiler here")
"""


def helper(directory: Path) -> Release:
    return Release(name="helper", version="2.0", body=make_wheel(directory, name="helper", version="2.0").read_bytes())


@pytest.fixture
def project(tmp_path: Path) -> TrialProject:
    need_isolation()
    return TrialProject(tmp_path)


def locked(project: TrialProject, url: str, manifest: str = MANIFEST) -> TrialProject:
    project.write(manifest.replace("URL", url))
    project.ok("lock")
    return project


def records(project: TrialProject) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted((project.store / "builds").glob("*.json"))]


def test_what_may_be_built_is_locked_as_source_with_what_its_build_needs_and_nothing_of_it_is_run(
    project: TrialProject, tmp_path: Path
) -> None:
    with serving(source_release(requires='"helper"'), helper(tmp_path)) as index:
        locked(project, index.url)
        text = project.lock.read_text()
        assert "minor = 2" in text
        assert '"pypi:crafted@1.0" = "web/build/crafted"' in text
        assert 'makes = "pypi:crafted@1.0"' in text
        assert project.ok("lock", "--check").status == 0
        before = project.lock.read_bytes()
        project.ok("lock")
        assert project.lock.read_bytes() == before
        project.edit('allow-build = ["Crafted"]\n', "")
        done = project.fails("plan")
        assert "builds pypi:crafted@1.0, which allow-build does not name any more" in done.err
        assert 'allow-build = ["crafted"]' in project.fails("lock").err


def test_what_is_built_is_outdated_by_newer_source(project: TrialProject) -> None:
    with serving(source_release(requires="")) as index:
        locked(project, index.url)
        index.releases.append(source_release(version="1.1"))
        (found,) = project.ok("outdated", "--refresh", "--json").document["packages"]
    assert (found["current"], found["compatible"], found["newest"], found["held_by"]) == ("1.0", "1.1", "1.1", [])


def test_a_wheel_that_runs_there_is_preferred_to_source(project: TrialProject) -> None:
    with serving(source_release(), Release(name="crafted", version="1.0")) as index:
        locked(project, index.url)
    assert "build" not in project.lock.read_text()
    assert "minor" not in project.lock.read_text()


def test_a_build_sees_its_inputs_alone_and_its_result_is_installed_once_for_all(
    project: TrialProject, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("geheim")
    with serving(helper(tmp_path)) as index:
        port = index.url.rpartition(":")[2].partition("/")[0]
        module = PROBE.replace("PORT", port).replace("SECRET", str(secret))
        index.releases.append(source_release(requires='"helper"', module=module))
        locked(project, index.url)
        (step,) = project.plan()["steps"]
        assert step["details"]["builds"] == "crafted 1.0"
        assert step["details"]["result"] == "known after apply"
        project.ok("apply", "--yes")
        assert project.plan()["steps"] == []

        facts = ast.literal_eval(project.ok("exec", "env:web", "--", "crafted").out)
        assert facts["uid"] not in {0, os.getuid()} or os.getuid() != 0
        assert (facts["umask"], facts["epoch"], facts["stdin"]) == ("0o22", "315532800", "")
        assert facts["network"] == "ConnectionRefusedError"
        assert facts["interfaces"] == ["lo"]
        assert facts["writes"] in {"OSError", "PermissionError"}
        assert facts["secret"] == "FileNotFoundError"
        assert facts["helper"].startswith("/tmp/hatchlock/environment/lib/")
        assert not any(name.startswith("HATCHLOCK") for name in facts["variables"])

        log = project.ok("logs", "--build", "web.crafted")
        assert "it builds now" in log.out
        missing = project.fails("logs", "--build", "web.other")
        assert "there are web.crafted" in missing.err

        # another environment of the same input: nothing is built or fetched for it
        (record,) = records(project)
        assert "build" not in project.ok("env", "list").out
        project.ok("cache", "gc", "--older-than", "0s")
        project.edit("[environments.web]", OTHER)
        project.ok("lock")
        project.ok("apply", "--yes", "--offline")
        assert records(project) == [record]


def test_the_same_input_gives_the_same_bytes_in_another_store_at_another_time(tmp_path: Path) -> None:
    results = []
    with serving(source_release()) as index:
        one, two = (locked(TrialProject(tmp_path / name), index.url) for name in ("one", "two"))
        two.ok("fetch")
    for project, umask in ((one, 0o077), (two, 0o002)):
        if project is one:
            project.fails("apply", "--yes")  # its source is nowhere any more
            shutil.copytree(two.store / "blobs", one.store / "blobs", dirs_exist_ok=True)
        project.ok("apply", "--yes", "--offline", umask=umask)
        results.append(records(project))
        time.sleep(2.1)  # what a zip file holds of a time
    assert results[0] == results[1]


def test_what_is_built_anew_is_compared_and_called_not_reproducible(project: TrialProject) -> None:
    with serving(source_release(module=DIFFERING)) as index:
        locked(project, index.url)
        project.ok("apply", "--yes")
        (first,) = records(project)
        assert first["rebuilt"] == ""
        for path in (project.store / "blobs").rglob(first["sha256"]):
            path.unlink()
        (environment,) = (project.store / "envs").glob("*/.hatchlock-receipt.json")
        environment.unlink()
        project.ok("apply", "--yes")
        (second,) = records(project)
        assert (second["rebuilt"], second["sha256"] != first["sha256"]) == ("differs", True)
        environment.unlink()
        (step,) = project.plan()["steps"]
        assert step["details"]["builds"] == "crafted 1.0 (not reproducible)"


def test_a_build_that_fails_says_its_last_lines_and_leaves_nothing_but_its_log(project: TrialProject) -> None:
    with serving(source_release(module=FAILING)) as index:
        locked(project, index.url)
        done = project.fails("apply", "--yes")
    assert "the build of pypi:crafted@1.0 ended with status 1:" in done.err
    assert "there is no compiler here" in done.err
    assert "hatchlock logs --build web.crafted" in done.err
    assert "looking for a compiler" in project.ok("logs", "--build", "web.crafted").out
    assert project.half_done() == ["store/projects/trial/journal.ndjson"]
    assert (records(project), project.environments()) == ([], [])


def test_a_build_that_is_killed_with_its_apply_leaves_nothing_running_and_is_made_by_the_next(
    project: TrialProject,
) -> None:
    log = project.store / "projects" / "trial" / "builds" / "web.crafted.log"
    with serving(source_release(module=SLOW)) as index:
        locked(project, index.url)
        with subprocess.Popen(project.command("apply", "--yes"), cwd=project.directory, env=project.env) as process:
            try:
                # to the end of the line: it says one word after the other
                assert wait_until(
                    lambda: log.exists() and re.search(r"it begins as \w+\n", log.read_text()) is not None
                )
                (mark,) = re.findall(r"it begins as (\w+)", log.read_text())
            finally:
                process.kill()
        assert wait_until(lambda: not _running(mark))
        project.ok("apply", "--yes", "--offline")
    assert project.ok("exec", "env:web", "--", "crafted").out == "slowly\n"
    assert project.half_done() == []


def _running(mark: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended just now
            if mark.encode() in path.read_bytes():
                return True
    return False


def test_a_wheel_that_needs_what_its_source_did_not_say_is_not_installed(project: TrialProject) -> None:
    module = '\nMETADATA += "Requires-Dist: requests\\n"\n'
    with serving(source_release(module=module)) as index:
        locked(project, index.url)
        done = project.fails("apply", "--yes")
    assert (
        "what was built of pypi:crafted@1.0 cannot be used: it needs requests, which its source did not say" in done.err
    )
    assert project.environments() == []


def test_a_build_requirement_that_only_shows_in_the_build_is_named(project: TrialProject) -> None:
    module = '\ndef get_requires_for_build_wheel(config_settings=None):\n    return ["cython>=3"]\n'
    with serving(source_release(module=module)) as index:
        locked(project, index.url)
        done = project.fails("apply", "--yes")
    assert "its build asks for cython>=3, which its [build-system] does not require" in done.err


CONTAINED = """\
[project]
name = "PROJECT"

[indexes.pypi]
url = "URL"

[environments.web]
base = "oci:BASE"
dependencies = ["pypi:crafted"]
allow-build = ["crafted"]
"""


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    """Return the address of an engine; of Docker's kind unless a test says otherwise."""
    return str(request.getfixturevalue(getattr(request, "param", "engine")))


@pytest.fixture
def contained(tmp_path: Path, address: str, base_image: str) -> Iterator[TrialProject]:
    name = f"trial-{os.urandom(4).hex()}"
    project = TrialProject(tmp_path, name=name, DOCKER_HOST=address)
    project.write(CONTAINED.replace("PROJECT", name).replace("BASE", base_image))
    yield project
    api = Engine(address)
    left = [item.name for item in api.list({"dev.hatchlock.project": name})]
    assert left == []


@pytest.mark.engine
@pytest.mark.parametrize("address", ["engine", pytest.param("podman", marks=pytest.mark.full)], indirect=True)
def test_for_containers_it_is_built_in_a_container_of_the_base(contained: TrialProject, tmp_path: Path) -> None:
    with serving(helper(tmp_path)) as index:
        port = index.url.rpartition(":")[2].partition("/")[0]
        module = PROBE.replace("PORT", port).replace("SECRET", str(contained.manifest))
        index.releases.append(source_release(requires='"helper"', module=module))
        contained.edit("URL", index.url)
        contained.ok("lock")
        (step,) = contained.plan()["steps"]
        assert step["details"]["builds"] == "crafted 1.0"
        assert step["details"]["result"] == "known after apply"
        contained.ok("apply", "--yes")
        assert contained.plan()["steps"] == []
        facts = ast.literal_eval(contained.ok("exec", "env:web", "--", "crafted").out)
    assert (facts["uid"], facts["epoch"]) == (10001, "315532800")
    assert (facts["network"], facts["secret"]) == ("ConnectionRefusedError", "FileNotFoundError")
    assert facts["interfaces"] == ["lo"]
    assert "it builds now" in contained.ok("logs", "--build", "web.crafted").out


@pytest.mark.engine
def test_in_a_container_too_a_failing_build_says_its_last_lines(contained: TrialProject) -> None:
    with serving(source_release(module=FAILING)) as index:
        contained.edit("URL", index.url)
        contained.ok("lock")
        done = contained.fails("apply", "--yes")
    assert "there is no compiler here" in done.err
    assert records(contained) == []


NODE = f"""\
[project]
name = "trial"
platforms = ["{host_platform()}"]

[indexes.npm]
url = "URL"

[environments.web]
dependencies = ["npm:native", "npm:other"]
allow-scripts = ["native"]
"""

SCRIPT = """
const fs = require("fs"), net = require("net");
console.log("compiling");
fs.mkdirSync("build");
fs.writeFileSync("build/native.node", require("tool") + process.env.npm_package_version);
fs.chmodSync("build/native.node", 0o755);
fs.writeFileSync("index.js", "#!/usr/bin/env node\\nconsole.log('compiled')");
fs.symlinkSync("native.node", "build/link");
fs.writeFileSync("../other/taken", "");
fs.rmSync("README");
net.connect(PORT, "127.0.0.1").on("error", (error) => fs.writeFileSync("network", error.code));
"""


def npm_releases(script: str) -> list[NpmRelease]:
    own = {"scripts": {"install": "prepare-it", "postinstall": "node script.js"}, "bin": {"native": "index.js"}}
    return [
        NpmRelease(
            name="native",
            dependencies={"tool": "*"},
            manifest=own,
            files={
                "index.js": "#!/usr/bin/env node\nconsole.log('as it came')",
                "README": "hello",
                "script.js": script,
            },
        ),
        NpmRelease(
            name="tool",
            manifest={"bin": {"prepare-it": "prepare.js"}},
            files={
                "index.js": "module.exports = 'from tool '",
                "prepare.js": "#!/usr/bin/env node\nconsole.log('prepared')\n",
            },
        ),
        NpmRelease(name="other", manifest={"scripts": {"install": "exit 1"}}, files={"index.js": ""}),
    ]


def test_install_scripts_of_named_packages_run_in_a_sandbox_and_change_their_own_directory(
    project: TrialProject,
) -> None:
    if shutil.which("node") is None:
        unavailable("there is no Node")
    with serving_npm() as registry:
        port = registry.url.rpartition(":")[2].partition("/")[0]
        registry.releases.extend(npm_releases(SCRIPT.replace("PORT", port)))
        done = project_of(project, NODE.replace("URL", registry.url))
        assert "npm:other@1.0.0 wants to run a script when it is installed; it is installed without" in done.err
        assert "npm:native@1.0.0 wants" not in done.err
        assert 'scripts = ["npm:native@1.0.0"]' in project.lock.read_text()
        (step,) = project.plan()["steps"]
        assert step["details"]["builds"] == "install scripts of native 1.0.0"
        assert step["details"]["result"] == "known after apply"
        project.ok("apply", "--yes")
        assert project.plan()["steps"] == []
        (receipt,) = (project.store / "envs").glob("*/.hatchlock-receipt.json")
        modules = receipt.parent / "node_modules"
        assert (modules / "native" / "build" / "native.node").read_text() == "from tool 1.0.0"
        assert (modules / "native" / "build" / "native.node").stat().st_mode & 0o777 == 0o755
        assert (modules / "native" / "build" / "link").readlink() == Path("native.node")
        assert (modules / "native" / "network").read_text() == "ECONNREFUSED"
        assert project.ok("exec", "env:web", "--", "native").out == "compiled\n"
        assert not (modules / "other" / "taken").exists()
        assert {"prepared", "compiling"} <= set(project.ok("logs", "--build", "web.native").out.splitlines())
        project.edit('allow-scripts = ["native"]\n', "")
        assert "allow-scripts names other packages" in project.fails("plan").err
        project.ok("lock")
        project.ok("apply", "--yes")
        assert project.ok("exec", "env:web", "--", "native").out == "as it came\n"


@pytest.mark.engine
def test_install_scripts_for_containers_run_in_a_container_of_the_base(
    contained: TrialProject, node_image: str, base_image: str
) -> None:
    with serving_npm() as registry:
        port = registry.url.rpartition(":")[2].partition("/")[0]
        registry.releases.extend(npm_releases(SCRIPT.replace("PORT", port)))
        contained.edit(base_image, node_image)
        contained.edit("[indexes.pypi]", "[indexes.npm]")
        contained.edit("URL", registry.url)
        contained.edit('["pypi:crafted"]', '["npm:native", "npm:other"]')
        contained.edit('allow-build = ["crafted"]', 'allow-scripts = ["native"]')
        contained.ok("lock")
        (step,) = contained.plan()["steps"]
        assert step["details"]["builds"] == "install scripts of native 1.0.0"
        assert step["details"]["result"] == "known after apply"
        contained.ok("apply", "--yes")
        assert contained.plan()["steps"] == []
        assert contained.ok("exec", "env:web", "--", "native").out == "compiled\n"
        shown = contained.ok("exec", "env:web", "--", "sh", "-c", "cat /opt/hatchlock/node_modules/native/network")
    assert shown.out == "ECONNREFUSED"


def test_an_install_script_that_fails_stops_the_environment(project: TrialProject) -> None:
    if shutil.which("node") is None:
        unavailable("there is no Node")
    with serving_npm(npm_releases("console.log('no prebuilt binary'); process.exit(7)")) as registry:
        project_of(project, NODE.replace("URL", registry.url))
        done = project.fails("apply", "--yes")
    assert "the build of npm:native@1.0.0 ended with status 7:" in done.err
    assert "no prebuilt binary" in done.err
    assert project.environments() == []


def project_of(project: TrialProject, manifest: str) -> Done:
    project.write(manifest)
    return project.ok("lock")
