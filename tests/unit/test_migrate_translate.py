from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from hatchlock.clients.shape import Address, Start
from hatchlock.manifest.takeover import CannotTakeOver
from hatchlock.migrate.finish import NO_NETWORK
from hatchlock.migrate.image_use import ImageUse, Mount, proposed_image
from hatchlock.migrate.model import Left, Proposed, Secret
from hatchlock.migrate.translate import taken_over, translated, typed

TOKEN = "abcdefgh12345678"  # what a secret looks like
REASON = "taken over from what started it before"


@pytest.fixture(autouse=True)
def _the_systems_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # what else is there differs from one machine to another


def start(line: str, **more: Any) -> Start:
    command, *args = shlex.split(line)
    return Start(command=command, args=tuple(args), **more)


def proposed(line: str, *, directory: str = "", **more: Any) -> Proposed:
    return taken_over(start(line, **more), name="x", directory=directory)


def lost(server: Proposed) -> str:
    return "\n".join(left.what for left in server.left)


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("npx -y foo@latest", {"source": "npm:foo"}),
        ("npx -y @a/foo@1.2.3 --stdio", {"source": "npm:@a/foo@1.2.3", "args": ["--stdio"]}),
        ("npx --package=@a/b --package c@2 run-it", {"source": "npm:@a/b", "command": "run-it", "with": ["npm:c@2"]}),
        ("npm exec --yes foo -- --port 1", {"source": "npm:foo", "args": ["--port", "1"]}),
        ("pnpm --package=foo dlx bar", {"source": "npm:foo", "command": "bar"}),
        ("yarn dlx foo", {"source": "npm:foo"}),
        ("bun x foo", {"source": "npm:foo"}),
        ("uvx foo[cli]@latest", {"source": "pypi:foo[cli]"}),
        ("uvx foo@latest[cli]", {"source": "pypi:foo[cli]"}),
        ("uvx foo==1.2", {"source": "pypi:foo==1.2"}),
        (
            "uvx --with 'a>=1,<2,b[c,d]' foo",
            {"source": "pypi:foo", "with": ["pypi:a>=1,<2", "pypi:b[c,d]"]},
        ),
        ("uvx -p 3.12 foo", {"source": "pypi:foo", "python": "3.12"}),
        ("uvx --from git+https://h.example/a/b@v1 run", {"source": "git:https://h.example/a/b@v1", "command": "run"}),
        ("uvx git+https://h.example/a/b", {"source": "git:https://h.example/a/b"}),
        ("uvx --from 'foo @ git+https://h.example/a/b' run", {"source": "git:https://h.example/a/b", "command": "run"}),
        ("uvx --from foo python -m foo.server", {"source": "pypi:foo", "command": ["python", "-m", "foo.server"]}),
        ("uv -q tool run --from foo==1 bar", {"source": "pypi:foo==1", "command": "bar"}),
        ("/Users/me/.local/bin/uvx foo", {"source": "pypi:foo"}),
        (r"'C:\Program Files\nodejs\npx.cmd' -y foo", {"source": "npm:foo"}),
        ("cmd /c npx -y foo", {"source": "npm:foo"}),
        ("cmd.exe /d /s /c 'npx -y foo'", {"source": "npm:foo"}),
        ("sh -c 'exec npx -y foo --a \"b c\"'", {"source": "npm:foo", "args": ["--a", "b c"]}),
        ("bash -lc 'export A=b && C=d npx foo'", {"source": "npm:foo", "env": {"A": "b", "C": "d"}}),
        ("env -S 'A=b npx foo'", {"source": "npm:foo", "env": {"A": "b"}}),
        ("env A=b npx foo", {"source": "npm:foo", "env": {"A": "b"}}),
        ("sudo -E docker run a/b", {"source": "oci:a/b"}),
        ("wsl -d Debian -e npx foo", {"source": "npm:foo"}),
        ("powershell -NoProfile -Command npx foo", {"source": "npm:foo"}),
        ("mise exec node@22 -- npx foo", {"source": "npm:foo"}),
        ("'npx -y foo'", {"source": "npm:foo"}),
    ],
)
def test_what_is_run_in_the_end_is_what_counts(line: str, fields: dict[str, Any]) -> None:
    assert proposed(line).fields == fields


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("sh -c 'npx foo | tee x'", "a script of the shell"),
        ("sh -c 'npx foo; npx bar'", "a script of the shell"),
        ("sh -c 'npx $(cat name)'", "a script of the shell"),
        ("sh -c 'npx \"foo'", "a quotation is not closed"),
        ("sh -c", "does not say what to run"),
        ("env -u A npx foo", "`env` has the option -u"),
        ("sudo -u me npx foo", "as somebody else"),
        ("op run --env-file=.env -- npx foo", "gives it variables from 1Password"),
        ("docker exec -i it run", "uses a container that somebody else has made"),
        ("docker mcp gateway run", "a gateway to several servers"),
        ("docker compose run x", "reads a file of its own"),
        ("docker run --privileged a/b", "--privileged, which cannot be taken over"),
        ("docker run --cpus many a/b", "cpus many, which is no number"),
        ("hatchlock run time", "an entry of hatchlock's own"),
        ("/home/me/store/bin/hatchlock run --project p time", "an entry of hatchlock's own"),
        (f"npx foo --api-key {TOKEN}", "argument 2 of the server looks like a secret"),
        ("npx foo --api-key=<YOUR_KEY>", "argument 1 of the server looks like a secret"),
        ("npx foo --api-key '${KEY}'", "argument 2 of the server looks like a secret"),
        (f'npx foo --config \'{{"password": "{TOKEN}"}}\'', "argument 2 of the server looks like a secret"),
        ("npx foo init napi_1f9b27c4d8e04b7a9f1c27c4d8e0", "argument 2 of the server looks like a secret"),
        ("npx foo --dir '${workspaceFolder}'", "argument 2 holds a variable"),
        ("npx foo '${OTHER}'", "argument 1 holds a variable"),
        ("'${HERE}/server'", "its program is named by a variable"),
        ("npx --registry https://h.example foo", "--registry, which cannot be taken over"),
        ("finch-mcp list", "runs no server"),
        ("finch-mcp run mcp-uvx:1a2b3c4d", "finch-mcp has built on this machine"),
        ("finch-mcp run --direct mcp-tools:12345678", "finch-mcp has built on this machine"),
        ("npm install foo", "`npm install` runs no server"),
        ("uv pip install foo", "`uv pip` runs no server"),
    ],
)
def test_what_cannot_be_a_server_is_named(line: str, why: str) -> None:
    found = translated(start(line), name="x", line=7)
    assert isinstance(found, Left)
    assert found.line == 7
    assert found.what.startswith("`x`: ")
    assert why in found.what
    assert TOKEN not in found.what
    with pytest.raises(CannotTakeOver):
        taken_over(start(line))


@pytest.mark.parametrize(
    ("line", "env", "server", "secrets"),
    [
        ("npx -y mcp-remote https://h.example/mcp", {}, {"url": "https://h.example/mcp"}, []),
        (
            "npx mcp-remote@0.1.3 https://h.example/v1/sse 3334",
            {},
            {"url": "https://h.example/v1/sse", "transport": "sse"},
            [],
        ),
        (
            "mcp-remote https://h.example/x --transport sse-only",
            {},
            {"url": "https://h.example/x", "transport": "sse"},
            [],
        ),
        (
            "npx mcp-remote https://h.example/mcp --header Authorization:${AUTH} --debug",
            {"AUTH": f"Bearer {TOKEN}"},
            {"url": "https://h.example/mcp"},
            [Secret(table="headers", key="Authorization", value=TOKEN, format="Bearer {}")],
        ),
        (
            "npx mcp-remote https://h.example/mcp --header 'X-Key: ${KEY}' --ignore-tool 'delete*'",
            {},
            {"url": "https://h.example/mcp", "tools": {"deny": ["delete*"]}},
            [Secret(table="headers", key="X-Key", reference="env:KEY")],
        ),
        (
            f"npx -y supergateway --streamableHttp https://h.example/mcp --oauth2Bearer {TOKEN} --header 'X-A: b'",
            {},
            {"url": "https://h.example/mcp", "headers": {"X-A": "b"}},
            [Secret(table="headers", key="Authorization", value=TOKEN, format="Bearer {}")],
        ),
        (
            f"uvx mcp-proxy --headers Authorization 'Bearer {TOKEN}' --transport streamablehttp https://h.example/mcp",
            {},
            {"url": "https://h.example/mcp"},
            [Secret(table="headers", key="Authorization", value=TOKEN, format="Bearer {}")],
        ),
        (
            "uvx mcp-proxy",
            {"SSE_URL": "http://localhost:8123/mcp_server/sse", "API_ACCESS_TOKEN": TOKEN},
            {"url": "http://localhost:8123/mcp_server/sse", "transport": "sse"},
            [Secret(table="headers", key="Authorization", value=TOKEN, format="Bearer {}")],
        ),
    ],
)
def test_a_bridge_is_the_server_that_it_leads_to(
    line: str, env: dict[str, str], server: dict[str, Any], secrets: list[Secret]
) -> None:
    found = proposed(line, env=env)
    assert found.fields == server
    assert list(found.secrets) == secrets
    assert found.left == ()


def test_a_bridge_the_other_way_round_is_a_server() -> None:
    assert proposed("npx supergateway --stdio 'npx foo'").fields["source"] == "npm:supergateway"
    assert proposed("uvx mcp-proxy --port 8080 uvx foo").fields["source"] == "pypi:mcp-proxy"


def test_what_of_a_bridge_has_no_meaning_any_more_is_said() -> None:
    found = proposed("npx mcp-remote https://h.example/mcp --resource https://r.example", env={"OTHER": "1"})
    assert "`--resource`: `hatchlock login NAME` logs in by itself" in lost(found)
    assert "`OTHER`: no program runs that would read it" in lost(found)
    assert "taken for a server of the older kind" in proposed("npx mcp-remote https://h.example/sse").notes[0]


def test_a_remote_entry_has_its_headers() -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Team": "agents", "X-Api-Key": "${env:KEY}"}
    found = translated(Address(url="https://h.example/mcp", headers=headers), name="My Server", line=3)
    assert isinstance(found, Proposed)
    assert (found.name, found.found_as, found.line) == ("my-server", "My Server", 3)
    assert found.fields == {"url": "https://h.example/mcp", "headers": {"X-Team": "agents"}}
    assert {(item.key, item.value, item.reference, item.format) for item in found.secrets} == {
        ("Authorization", TOKEN, "", "Bearer {}"),
        ("X-Api-Key", "", "env:KEY", ""),
    }
    assert TOKEN not in repr(found)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://h.example/${TENANT}/mcp", "its address holds a variable"),
        ("http://h.example/mcp", "http can be read and changed"),
        (f"https://h.example/mcp?api_key={TOKEN}", "holds what looks like a secret"),
        (f"https://me:{TOKEN}@h.example/mcp", "the address holds credentials"),
    ],
)
def test_an_address_that_no_manifest_can_have_is_left(url: str, why: str) -> None:
    found = translated(Address(url=url), name="x")
    assert isinstance(found, Left)
    assert why in found.what
    assert TOKEN not in found.what


@pytest.mark.parametrize(
    "url", ["ftp://u:hunter2@h.example/mcp", "h.example/mcp?key=hunter2", "ftp://h.example/mcp?a=b&key=hunter2"]
)
@pytest.mark.parametrize("bridge", [False, True])
def test_an_address_that_is_no_source_is_repeated_without_what_may_be_secret(url: str, *, bridge: bool) -> None:
    start = Start(command="npx", args=("-y", "mcp-remote", url))
    left = translated(start if bridge else Address(url=url), name="x")
    assert isinstance(left, Left)
    assert "h.example/mcp" in left.what
    assert "hunter2" not in left.what


def test_an_image_has_what_its_command_line_says() -> None:
    line = (
        "docker run -di --rm --name n -p 127.0.0.1:9000:8080 --restart=always --env-file /nowhere/x -e TOKEN -e OTHER "
        "-eLEVEL=info -v /srv/notes:/notes:ro,z --mount type=bind,src=/srv/out,dst=/out -v data:/data --cap-add NET_RAW "
        "--security-opt seccomp=unconfined --security-opt no-new-privileges --entrypoint serve --memory 256M a/b:1 --now"
    )
    found = proposed(line, env={"TOKEN": TOKEN, "UNUSED": "1"})
    assert found.fields == {
        "source": "oci:a/b:1",
        "command": ["serve"],
        "args": ["--now"],
        "transport": "http",
        "port": 8080,
        "host-port": 9000,
        "env": {"LEVEL": "info"},
        "sandbox": {
            "memory": "256m",
            "seccomp": "unconfined",
            "mounts": [
                {"source": "/srv/notes", "target": "/notes", "mode": "ro", "relabel": "shared"},
                {"source": "/srv/out", "target": "/out", "mode": "rw"},
            ],
            "capabilities": ["NET_RAW"],
            "reason": REASON,
        },
    }
    assert set(found.secrets) == {
        Secret(table="env", key="TOKEN", value=TOKEN),
        Secret(table="env", key="OTHER", reference="env:OTHER"),
    }
    for part in ("the volume data: what is in it stays there", "`--restart`", "`--env-file /nowhere/x`"):
        assert part in lost(found)


def test_a_file_of_variables_is_referred_to_by_its_names(tmp_path: Path) -> None:
    file = tmp_path / "server.env"
    file.write_text(f"# mine\nTOKEN={TOKEN}\nexport LEVEL=info\n")
    found = proposed(f"docker run --env-file {file} a/b")
    assert set(found.secrets) == {
        Secret(table="env", key="TOKEN", reference=f"file:{file}#TOKEN"),
        Secret(table="env", key="LEVEL", reference=f"file:{file}#LEVEL"),
    }
    assert TOKEN not in repr(found)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("docker run --network team a/b", "the network team: name the hosts"),
        ("docker run -u root a/b", "the user root"),
        ("docker run -v '${PWD}:/w' a/b", "the mount of ${PWD}"),
        ("docker run -v /data a/b", "the volume /data"),
        ("docker run -p 1:1 -p 2:2 a/b", "the port 2:2: a server has one"),
        ("docker run --mount type=tmpfs,target=/x a/b", "`--mount type=tmpfs,target=/x`"),
    ],
)
def test_what_an_image_cannot_keep_is_said(line: str, what: str) -> None:
    assert what in lost(proposed(line))


def test_another_tool_says_what_it_knows_of_a_container() -> None:
    use = ImageUse(
        image="a/b", env={"K": TOKEN}, mounts=(Mount(source="./d", target="/d"),), hosts=("h.example:443",), cwd="/d"
    )
    found = proposed_image(use, name="A b", line=2)
    assert isinstance(found, Proposed)
    assert found.name == "a-b"
    assert found.fields["sandbox"] == {
        "network": ["h.example:443"],
        "mounts": [{"source": "./d", "target": "/d", "mode": "rw"}],
        "reason": REASON,
    }
    assert NO_NETWORK not in found.notes


def test_finch_and_hatch_ran_something_else() -> None:
    assert proposed("finch-mcp run -e A=b uvx foo --x").fields == {
        "source": "pypi:foo",
        "args": ["--x"],
        "env": {"A": "b"},
    }
    assert proposed("finch-mcp run 'npx -y foo bar'").fields == {"source": "npm:foo", "args": ["bar"]}
    assert proposed("finch-mcp run h.example/a/b:1 c").fields == {"source": "oci:h.example/a/b:1", "args": ["c"]}
    assert proposed("finch-mcp run https://github.com/a/b#v1").fields == {"source": "git:https://github.com/a/b@v1"}
    host = proposed("finch-mcp --host-network run -v /d:/d:ro a/b")
    assert host.fields["sandbox"]["network"] == "host"
    assert host.fields["sandbox"]["mounts"] == [{"source": "/d", "target": "/d", "mode": "ro"}]
    entry = "/home/me/.hatch/envs/lab/weather_kit/mcp_server.py"
    assert proposed(f"/opt/conda/envs/lab/bin/python {entry}").fields == {"source": "hatch:weather_kit"}


def test_a_package_of_hatch_that_is_there_is_taken_from_there(tmp_path: Path) -> None:
    (tmp_path / "hatch_metadata.json").write_text("{}")
    assert proposed(f"python {tmp_path}/server.py").fields == {"source": f"hatch:{tmp_path}"}


def test_a_script_belongs_to_the_project_above_it(tmp_path: Path) -> None:
    node, python = tmp_path / "weather", tmp_path / "notes"
    (node / "dist").mkdir(parents=True)
    (node / "dist" / "index.js").touch()
    scripts = {"start": "node dist/index.js --fast", "dev": "tsc && node x"}
    (node / "package.json").write_text(json.dumps({"scripts": scripts}))
    (node / "src.ts").touch()
    python.mkdir()
    (python / "server.py").touch()
    (python / "pyproject.toml").touch()
    of_node = {"source": f"path:{node}", "command": ["node", "dist/index.js"]}
    of_python = {"source": f"path:{python}", "command": ["python", "server.py"]}
    assert proposed(f"node {node}/dist/index.js --a").fields == {**of_node, "args": ["--a"]}
    assert proposed("node dist/index.js", cwd=str(node)).fields == of_node
    assert proposed("node ./dist/index.js", directory=str(node)).fields == of_node
    assert proposed(f"npm --prefix {node} start").fields["command"] == ["node", "dist/index.js", "--fast"]
    assert proposed(f"npx -y tsx {node}/src.ts").fields == {
        "source": f"path:{node}",
        "command": ["tsx", "src.ts"],
        "with": ["npm:tsx"],
    }
    assert proposed(f"python3 -u {python}/server.py").fields["command"] == ["python", "-u", "server.py"]
    assert proposed(f"uv run {python}/server.py").fields == of_python
    assert proposed(f"uv --directory {python} run server.py").fields == of_python
    assert proposed(f"uv run --directory {python} serve --x").fields["command"] == ["serve", "--x"]
    assert proposed(f"uv run --project {python} -m notes").fields["command"] == ["python", "-m", "notes"]
    assert proposed(f"sh -c 'cd {python} && uv run server.py'").fields == of_python
    assert proposed(f"poetry -C {python} run serve").fields == {"source": f"path:{python}", "command": ["serve"]}
    assert proposed("uvx --from . serve", cwd=str(python)).fields["source"] == f"path:{python}"
    found = translated(start(f"npm --prefix {node} run dev"), name="x")
    assert isinstance(found, Left)
    assert "runs something else than node" in found.what


def test_a_script_of_no_project_sees_itself_alone(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.touch()
    mount = {"source": str(script), "target": str(script), "mode": "ro"}
    found = proposed(f"uv run --with mcp[cli] --with httpx mcp run {script}")
    assert found.fields == {
        "source": "pypi:mcp[cli]",
        "command": ["mcp", "run", str(script)],
        "with": ["pypi:httpx"],
        "sandbox": {"mounts": [mount], "reason": REASON},
    }
    assert any("sees" in note and "alone" in note for note in found.notes)
    program = proposed(f"python {script}")
    assert program.fields["command"] == "python"
    assert program.fields["sandbox"]["mounts"] == [mount]
    assert "it is not pinned" in program.notes[0]


def test_a_program_of_this_machine_sees_itself(tmp_path: Path) -> None:
    program = tmp_path / "serve"
    program.touch(mode=0o755)
    found = proposed(f"{program} --x")
    assert found.fields["sandbox"]["mounts"] == [{"source": str(program), "target": str(program), "mode": "ro"}]
    assert not any("read-only" in note for note in found.notes)
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    (tmp_path / "base" / "bin").mkdir(parents=True)
    (tmp_path / "base" / "bin" / "python3").touch(mode=0o755)
    (tmp_path / "venv" / "bin" / "python").symlink_to(tmp_path / "base" / "bin" / "python3")
    mounts = proposed(f"{tmp_path}/venv/bin/python -m nobody.knows").fields["sandbox"]["mounts"]
    assert [mount["source"] for mount in mounts] == [f"{tmp_path}/venv", f"{tmp_path}/base"]
    assert "sandbox" not in proposed("/bin/cat -u").fields


def test_a_program_of_our_own_environment_is_not_what_an_application_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ours", "other"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin" / "python3").touch(mode=0o755)
    (tmp_path / "ours" / "pyvenv.cfg").touch()
    (tmp_path / "ours" / "bin" / "only-here").touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/ours/bin:{tmp_path}/other/bin")
    monkeypatch.setattr("sys.prefix", str(tmp_path / "ours"))
    other = f"{tmp_path}/other/bin/python3"

    found = proposed("python3 /nowhere/server.py")

    assert found.fields["command"] == other
    assert [mount["source"] for mount in found.fields["sandbox"]["mounts"]] == [other]
    assert any(note.startswith(f"{other} is meant") for note in found.notes)
    assert proposed("python3 -m nobody.knows").fields["command"] == [other, "-m", "nobody.knows"]
    assert proposed(f"{tmp_path}/ours/bin/python3 a.py").fields["command"] == f"{tmp_path}/ours/bin/python3"
    assert proposed("only-here").fields["command"] == "only-here"
    assert typed(["python3", "a.py"]).fields["command"] == "python3"


def test_a_module_is_a_package_only_where_an_environment_says_so(tmp_path: Path) -> None:
    root = tmp_path / "venv"
    info = root / "lib" / "python3.11" / "site-packages" / "weather_kit-1.2.dist-info"
    info.mkdir(parents=True)
    (root / "bin").mkdir()
    for name in ("python", "weather"):
        (root / "bin" / name).touch(mode=0o755)
    (root / "pyvenv.cfg").touch()
    (info / "METADATA").write_text("Name: weather-kit\nVersion: 1.2\n\nText\n")
    (info / "RECORD").write_text("weather/__init__.py,sha256=x,1\n../../../bin/weather,sha256=x,1\n")
    module = proposed(f"{root}/bin/python -m weather --x")
    assert module.fields == {
        "source": "pypi:weather-kit==1.2",
        "command": ["python", "-m", "weather"],
        "args": ["--x"],
    }
    assert proposed(f"{root}/bin/weather").fields == {"source": "pypi:weather-kit==1.2", "command": "weather"}
    (info / "direct_url.json").write_text(json.dumps({"url": "file:///srv/weather", "dir_info": {"editable": True}}))
    assert proposed(f"{root}/bin/weather").fields["source"] == "path:/srv/weather"
    git = {"url": "https://h.example/a/b", "vcs_info": {"vcs": "git", "commit_id": "ab12"}}
    (info / "direct_url.json").write_text(json.dumps(git))
    assert proposed(f"{root}/bin/weather").fields["source"] == "git:https://h.example/a/b@ab12"
    unknown = proposed("python -m mcp_server_time")
    assert unknown.fields["command"] == ["python", "-m", "mcp_server_time"]
    assert 'name it: source = "pypi:NAME"' in unknown.notes[0]


def test_a_command_of_a_global_npm_package_is_that_package(tmp_path: Path) -> None:
    package = tmp_path / "lib" / "node_modules" / "@a" / "b"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "@a/b", "version": "1.2.3"}')
    (package / "cli.js").touch(mode=0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "b").symlink_to("../lib/node_modules/@a/b/cli.js")
    assert proposed(f"{tmp_path}/bin/b").fields["source"] == "npm:@a/b@1.2.3"


def test_the_sandbox_is_what_the_entry_names(tmp_path: Path) -> None:
    notes, key = tmp_path / "notes", tmp_path / "key.json"
    (notes / "below").mkdir(parents=True)
    key.touch()
    env = {
        "KEY_FILE": str(key),
        "API_URL": "https://api.example.com/v1",
        "OLLAMA": "http://127.0.0.1:11434",
        "N": "/nowhere",
    }
    line = f"npx foo {notes} {notes}/below --db postgresql://localhost/x /usr/bin/env /nowhere"
    found = proposed(line, env=env)
    assert found.fields["sandbox"] == {
        "network": ["localhost:5432", "api.example.com:443", "localhost:11434"],
        "mounts": [{"source": str(path), "target": str(path), "mode": "ro"} for path in (notes, key)],
        "reason": REASON,
    }
    assert f'{notes} is mounted read-only: write mode = "rw" if it is to write there' in found.notes
    assert NO_NETWORK not in found.notes
    assert proposed("npx foo").notes == (NO_NETWORK,)


def test_what_a_server_would_make_beside_what_is_there_is_said(tmp_path: Path) -> None:
    """It could do so where it ran until now, and its data would be looked for there."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    graph = tmp_path / "graph.json"
    line = f"npx foo {mounted} /nowhere /usr/nothing"
    found = proposed(line, env={"GRAPH": str(graph), "IN": f"{mounted}/new", "FAR": f"{tmp_path}/a/b"})
    assert [note for note in found.notes if "is not there yet" in note] == [
        f'{graph} is not there yet, and not in its sandbox: mount its directory, with mode = "rw" if the server makes it'
    ]


def test_the_working_directory_is_kept_where_it_is_there(tmp_path: Path) -> None:
    assert proposed("npx foo", cwd=str(tmp_path)).fields["cwd"] == str(tmp_path)
    assert "the working directory /nowhere" in lost(proposed("npx foo", cwd="/nowhere"))
    assert "known to the application alone" in lost(proposed("npx foo", cwd="${workspaceFolder}"))


def test_variables_of_this_machine_are_left_out() -> None:
    found = proposed("npx foo", env={"PATH": "/usr/bin", "A": "${HOME}/x", "B": "$HOME/y"})
    assert found.fields["env"] == {"A": f"{Path.home()}/x", "B": f"{Path.home()}/y"}
    assert "`PATH`: a server finds what its own environment has" in lost(found)


def test_what_a_manifest_refuses_of_it_is_said() -> None:
    found = proposed("npx foo", env={"not-a-name": "1", "OK": "2"})
    assert found.fields["env"] == {"OK": "2"}
    assert "`not-a-name`: that is no name of a variable" in lost(found)


def test_a_shim_stands_for_the_program_that_it_finds_and_a_python_needs_its_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "pyenv"
    for place in ("shims/python3", "versions/3.11.7/bin/python3", "versions/3.11.7/lib/python3.11/os.py"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text("")
        (root / place).chmod(0o755)
    (root / "version").write_text("3.12.1\n3.11.7\n")
    monkeypatch.setenv("PATH", f"{root}/shims:/usr/bin:/bin")
    found = proposed("python3 -m some_module")
    python = f"{root}/versions/3.11.7/bin/python3"
    assert found.fields["command"] == [python, "-m", "some_module"]
    assert [mount["source"] for mount in found.fields["sandbox"]["mounts"]] == [f"{root}/versions/3.11.7"]
    assert f"{python} is meant: {root}/shims/python3 only looks for it, which no sandbox lets it" in found.notes
    (root / "version").write_text("system\n")
    assert proposed("python3 -m some_module").fields["command"][0] == "/usr/bin/python3"


def test_an_interpreter_that_is_not_there_is_said_for_a_module_too() -> None:
    assert "there is no program `python3.99` on this machine yet" in proposed("python3.99 -m some_module").notes
    assert "there is no program `python3.99` on this machine yet" in proposed("python3.99 some.py").notes


def test_of_a_directory_that_no_server_may_see_it_is_not_said_that_it_is_mounted() -> None:
    server = proposed("npx foo /tmp")
    assert "`sandbox.mounts`: /tmp: everybody's files are below it" in lost(server)
    assert not [note for note in server.notes if "mounted" in note]
