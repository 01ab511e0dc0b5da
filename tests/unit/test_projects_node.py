"""What Node projects say without being run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hatchlock.sources.projects.problems import BadProjectFile
from support.trees import facts_of


def package(**more: Any) -> dict[str, Any]:
    return {"package.json": {"name": "@acme/my-server", "version": "1.2.3", **more}}


def test_package_json_is_read(tmp_path: Path) -> None:
    facts = facts_of(
        tmp_path,
        package(
            bin="./dist/cli.js",
            main="dist/index.js",
            license="MIT",
            author="Ann <ann@example.com> (https://example.com)",
            repository={"type": "git", "url": "git+https://git.example.com/acme/my-server.git"},
            engines={"node": ">=18"},
            dependencies={"zod": "^3", "old-zod": "npm:zod@^2", "any": "", "tagged": "latest"},
            optionalDependencies={"fsevents": "^2"},
            peerDependencies={"react": "*"},
            devDependencies={"typescript": "^5"},
        )
        | {"dist/cli.js": "", "dist/index.js": ""},
    )
    assert (facts.ecosystem, facts.layout) == ("node", "package.json")
    assert (facts.name, facts.version) == ("@acme/my-server", "1.2.3")
    assert facts.requirements == (
        "npm:any@*",
        "npm:old-zod@npm:zod@^2",
        "npm:tagged@latest",
        "npm:zod@^3",
    )
    assert facts.optional == ("npm:fsevents@^2",)
    assert facts.scripts == {"my-server": "dist/cli.js"}
    assert facts.requires_node == ">=18"
    assert (facts.licence, facts.authors) == ("MIT", "Ann")
    assert facts.repository == "https://git.example.com/acme/my-server"
    assert (facts.needs_build, facts.install_script, facts.notes) == ("", False, ())


@pytest.mark.parametrize(
    ("fields", "scripts"),
    [
        ({"bin": {"one": "one.js", "@acme/two": "./two.js"}}, {"one": "one.js", "two": "two.js"}),
        ({"bin": {"out": "../../one.js"}}, {"out": "one.js"}),
        ({"main": "one.js"}, {"my-server": "one.js"}),
        ({"main": "./lib"}, {"my-server": "lib/index.js"}),
        ({"main": "one"}, {"my-server": "one.js"}),
        (
            {"scripts": {"start": "NODE_ENV=production node --enable-source-maps two.js --port 1"}},
            {"my-server": "two.js"},
        ),
        ({"scripts": {"start": "uvx mcp-server-time"}}, {}),
        ({}, {}),
    ],
)
def test_the_commands_are_bin_else_main_else_what_start_runs(
    tmp_path: Path, fields: dict[str, Any], scripts: dict[str, str]
) -> None:
    facts = facts_of(tmp_path, package(**fields) | {"one.js": "", "two.js": "", "lib/index.js": ""})
    assert facts.scripts == scripts
    assert bool(facts.notes) == (not scripts)
    assert facts.needs_build == ""


@pytest.mark.parametrize(
    ("fields", "files", "reason"),
    [
        ({"bin": "dist/a.js", "scripts": {"build": "tsc"}}, {}, "its entry dist/a.js is made by `npm run build`"),
        ({"main": "dist/a.js", "scripts": {"prepare": "tsc"}}, {}, "its entry dist/a.js is made by `npm run prepare`"),
        ({"bin": "dist/a.js"}, {"tsconfig.json": "{}"}, "its entry dist/a.js is made by the TypeScript compiler (tsconfig.json)"),
        ({"bin": "dist/a.js"}, {}, "its entry dist/a.js is not there, and no script of package.json makes it"),
        (
            {"bin": "dist/a.js", "scripts": {"build": "tsc"}},
            {"dist/a.js": "", ".gitignore": "dist\n"},
            "its entry dist/a.js is made by `npm run build`; the one that lies there is left out by .gitignore or .dockerignore",
        ),
        ({"bin": "dist/a.js", "scripts": {"build": "tsc"}}, {"dist/a.js": ""}, ""),
    ],
)  # fmt: skip
def test_an_entry_that_is_not_in_the_tree_needs_a_build(
    tmp_path: Path, fields: dict[str, Any], files: dict[str, Any], reason: str
) -> None:
    assert facts_of(tmp_path, package(**fields) | files).needs_build == reason


def test_what_a_build_needs_is_what_npm_would_install_for_it(tmp_path: Path) -> None:
    wants = package(
        main="dist",
        scripts={"build": "tsc"},
        dependencies={"zod": "^4"},
        devDependencies={"typescript": "^5", "zod": "^3", "core": "file:./core"},
        peerDependencies={"react": "*", "typescript": ">=4", "maybe": "1"},
        peerDependenciesMeta={"maybe": {"optional": True}},
        optionalDependencies={"fsevents": "^2"},
    )
    files = wants | {"core/package.json": {"name": "core"}}
    facts = facts_of(tmp_path, files)
    assert facts.build_requirements == ("npm:react@*", "npm:typescript@^5", "npm:zod@^4", "path:core")
    assert facts.scripts == {"my-server": "dist/index.js"}
    assert facts_of(tmp_path, files | {"dist/index.js": ""}).build_requirements is None


@pytest.mark.parametrize("main", ["dist/index", "dist/index.js"])
def test_without_a_script_nobody_knows_how_it_is_built(tmp_path: Path, main: str) -> None:
    facts = facts_of(tmp_path, package(main=main, devDependencies={"typescript": "^5"}) | {"tsconfig.json": "{}"})
    assert facts.needs_build == "its entry dist/index.js is made by the TypeScript compiler (tsconfig.json)"
    assert facts.build_requirements is None


def test_a_committed_build_result_is_there_although_git_ignores_such(tmp_path: Path) -> None:
    files = package(bin="dist/a.js") | {"dist/a.js": "", ".gitignore": "dist\n"}
    assert facts_of(tmp_path, files, committed=True).needs_build == ""


def test_of_two_declarations_of_one_dependency_the_optional_one_counts(tmp_path: Path) -> None:
    both = package(dependencies={"zod": "^3", "ws": "8"}, optionalDependencies={"zod": "^4", "core": "file:./core"})
    facts = facts_of(tmp_path, both | {"core/package.json": {"name": "core"}})
    assert (facts.requirements, facts.optional) == (("npm:ws@8", "path:core"), ("npm:zod@^4",))


def test_an_entry_in_typescript_is_said(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, package(bin="src/a.ts") | {"src/a.ts": ""})
    assert "TypeScript" in facts.notes[0]


@pytest.mark.parametrize(
    ("fields", "files", "wants"),
    [
        ({"scripts": {"postinstall": "node x.js"}}, {}, True),
        ({"scripts": {"preinstall": "x"}}, {}, True),
        ({"scripts": {"prepare": "x", "build": "x"}}, {}, False),
        ({}, {"binding.gyp": "{}"}, True),
        ({"gypfile": False}, {"binding.gyp": "{}"}, False),
    ],
)
def test_an_install_script_is_named(tmp_path: Path, fields: dict[str, Any], files: dict[str, Any], wants: bool) -> None:
    assert facts_of(tmp_path, package(**fields) | files).install_script is wants


@pytest.mark.parametrize(
    ("spec", "edge"),
    [
        ("file:../core", "path:../core"),
        ("link:./vendor/core", "path:vendor/core"),
        ("portal:../core", "path:../core"),
        ("../core", "path:../core"),
        ("file:core-1.tgz", "npm:core@file:core-1.tgz"),
        ("github:acme/core", "npm:core@github:acme/core"),
        ("acme/core#v1", "npm:core@acme/core#v1"),
        ("git+ssh://git@example.com/core.git#v1", "npm:core@git+ssh://git@example.com/core.git#v1"),
        ("https://u:secret@example.com/core.tgz?token=secret", "npm:core@https://example.com/core.tgz"),
        ("git+https://u:secret@example.com/core.git#v1", "npm:core@git+https://example.com/core.git#v1"),
        ("github:u:secret@acme/core", "npm:core@github:acme/core"),
        (">=1 <2 || ^3", "npm:core@>=1 <2 || ^3"),
    ],
)
def test_every_form_of_dependency_has_its_edge(tmp_path: Path, spec: str, edge: str) -> None:
    assert facts_of(tmp_path / "p", package(dependencies={"core": spec}), workspace_root=tmp_path).requirements == (
        edge,
    )


@pytest.mark.parametrize("spec", ["file:/opt/elsewhere", "~/core", "workspace:*", "catalog:", 3])
def test_what_only_one_machine_or_workspace_has_is_named(tmp_path: Path, spec: object) -> None:
    with pytest.raises(BadProjectFile, match=r"core|/opt/elsewhere") as caught:
        facts_of(tmp_path, package(dependencies={"core": spec}))
    assert caught.value.hint


def members(tool: str, patterns: list[str]) -> dict[str, Any]:
    listed = "".join(f"  - '{pattern}'  # x\n" for pattern in patterns)
    match tool:
        case "npm":
            return {"package.json": {"name": "whole", "workspaces": patterns}}
        case "yarn":
            return {"package.json": {"name": "whole", "workspaces": {"packages": patterns}}}
        case "lerna":
            return {"package.json": {"name": "whole"}, "lerna.json": {"packages": patterns}}
        case _:
            catalogs = "catalog:\n  zod: ^3.1\ncatalogs:\n  old:\n    zod: '^2'\n"
            return {"package.json": {"name": "whole"}, "pnpm-workspace.yaml": f"packages:\n{listed}{catalogs}"}


@pytest.mark.parametrize("tool", ["npm", "yarn", "lerna", "pnpm"])
@pytest.mark.parametrize(
    "patterns", [["packages/*"], ["packages/**", "!packages/old"], ["./packages/{core,util,app}/"]]
)
def test_siblings_of_a_workspace_are_paths(tmp_path: Path, tool: str, patterns: list[str]) -> None:
    own = {"core": "^1.0.0", "util": "workspace:^", "newer": "^2", "zod": "^3"}
    files = members(tool, patterns) | {
        "packages/core/package.json": {"name": "core", "version": "1.4.0", "main": "i.js"},
        "packages/core/i.js": "",
        "packages/util/package.json": {"name": "util", "version": "0.0.0"},
        "packages/core/node_modules/newer/package.json": {"name": "newer", "version": "2.0.0"},
        "packages/app/package.json": {"name": "app", "version": "1.0.0", "dependencies": own},
    }
    facts = facts_of(tmp_path, files, "packages/app")
    assert facts.requirements == ("npm:newer@^2", "npm:zod@^3", "path:../core", "path:../util")
    assert "member of a workspace" in facts.layout
    root = facts_of(tmp_path, {})
    assert any("packages/app, packages/core, packages/util" in note for note in root.notes)


def test_a_sibling_of_the_wrong_version_comes_from_the_registry(tmp_path: Path) -> None:
    files = members("npm", ["p/*"]) | {
        "p/core/package.json": {"name": "core", "version": "1.4.0"},
        "p/app/package.json": {"name": "app", "dependencies": {"core": "^2"}},
    }
    assert facts_of(tmp_path, files, "p/app").requirements == ("npm:core@^2",)


@pytest.mark.parametrize("spec", ["workspace:core@*", "file:../core"])
def test_a_sibling_under_another_name_is_refused(tmp_path: Path, spec: str) -> None:
    files = members("npm", ["p/*"]) | {
        "p/core/package.json": {"name": "core", "version": "1.4.0"},
        "p/app/package.json": {"name": "app", "dependencies": {"renamed": spec}},
    }
    with pytest.raises(BadProjectFile, match=r"core in \.\./core by another name, renamed"):
        facts_of(tmp_path, files, "p/app")


def test_catalogues_of_pnpm_are_looked_up(tmp_path: Path) -> None:
    files = members("pnpm", ["app"]) | {"app/package.json": {"name": "app", "dependencies": {"zod": "catalog:"}}}
    assert facts_of(tmp_path, files, "app").requirements == ("npm:zod@^3.1",)
    files = {"app/package.json": {"name": "app", "dependencies": {"zod": "catalog:old"}}}
    assert facts_of(tmp_path, files, "app").requirements == ("npm:zod@^2",)


def test_a_workspace_file_that_is_not_understood_is_said(tmp_path: Path) -> None:
    files = package(main="a.js") | {"a.js": "", "pnpm-workspace.yaml": "packages: &x\n\t- a\n"}
    assert any("pnpm-workspace.yaml was not understood: line 2" in note for note in facts_of(tmp_path, files).notes)


def test_values_of_the_wrong_type_are_no_traceback(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"name": 1, "version": 2, "bin": [1], "main": {}, "engines": "node", "scripts": []}
    fields |= {"dependencies": ["a"], "license": 1, "author": [], "repository": 5, "workspaces": 3, "maintainers": "x"}
    facts = facts_of(tmp_path / "My Project", {"package.json": fields})
    assert (facts.name, facts.version, facts.scripts) == ("my-project", "0", {})


@pytest.mark.parametrize("text", ["[]", "{", '"x"', '{"a": ' * 100_000])
def test_a_package_json_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadProjectFile, match=r"package\.json cannot be used"):
        facts_of(tmp_path, {"package.json": text})
