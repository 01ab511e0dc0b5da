"""MCP bundles: what they say of themselves, how they are started, and those that are refused before they are opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hatchlock.digest import digest_file
from hatchlock.launch import SecretReference
from hatchlock.realise.unpack import Limits, unpack
from hatchlock.sources.mcp_registry.mcpb import HERE, BadBundle, BundleFacts, bundle_launch, read_bundle
from hatchlock.sources.mcp_registry.render import Answer, SecretArgument, render
from hatchlock.store.blobs import WrongHash
from support.archives import Item, make_tar, make_zip
from support.mcp_bundles import bundle_manifest, make_bundle

LINUX = "linux/amd64"


def facts_of(tmp_path: Path, manifest: dict[str, Any] | None = None, *items: Item, **options: Any) -> BundleFacts:
    return read_bundle(make_bundle(tmp_path / "thing.mcpb", manifest, *items), **options)


def with_config(kind: str = "node", user_config: Any = None, **config: Any) -> dict[str, Any]:
    manifest = bundle_manifest(kind)
    manifest["server"]["mcp_config"] |= config
    return manifest | ({"user_config": user_config} if user_config else {})


def test_a_bundle_says_what_it_is(tmp_path: Path) -> None:
    compatibility = {"platforms": ["darwin", "linux", "win32"], "runtimes": {"node": ">=18"}}
    repository = {"type": "git", "url": "https://git.example.com/acme/thing"}
    found = facts_of(
        tmp_path,
        bundle_manifest(license="MIT", compatibility=compatibility, repository=repository, tools=[{"name": "x"}]),
    )
    assert (found.name, found.version, found.type, found.entry_point) == ("thing", "1.2.0", "node", "server/index.js")
    assert (found.licence, found.author, found.repository) == ("MIT", "Acme", "https://git.example.com/acme/thing")
    assert (found.requires_node, found.requires_python, found.signature) == (">=18", "", "unsigned")
    assert found.systems == ("darwin", "linux", "windows")
    assert found.runs_on("linux/arm64")


def test_a_signed_bundle_is_read_and_its_signature_told(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "thing.mcpb", signed=True)
    assert read_bundle(path).signature == "signed"
    assert unpack(path, tmp_path / "out") == ("server/index.js",)


def test_a_bundle_for_other_systems_says_so(tmp_path: Path) -> None:
    found = facts_of(tmp_path, bundle_manifest(compatibility={"platforms": ["darwin", "win32"]}))
    assert (found.runs_on("linux/amd64"), found.runs_on("darwin/arm64")) == (False, True)


@pytest.mark.parametrize(
    ("kind", "command", "args"),
    [
        ("node", "node", (f"{HERE}/server/index.js",)),
        ("python", "python", (f"{HERE}/server/main.py",)),
        ("binary", f"{HERE}/server/thing", ()),
    ],
)
def test_each_type_has_its_command(tmp_path: Path, kind: str, command: str, args: tuple[str, ...]) -> None:
    found = bundle_launch(facts_of(tmp_path, bundle_manifest(kind)), LINUX)
    assert (found.command, found.args) == ((command,), args)
    bare = bundle_manifest(kind)
    del bare["server"]["mcp_config"]
    assert bundle_launch(facts_of(tmp_path, bare), LINUX) == found


def test_a_system_may_have_its_own_command(tmp_path: Path) -> None:
    overrides = {"darwin": {"command": "server/mac", "env": {"B": "mac"}}, "win32": {"command": "thing.exe"}}
    found = facts_of(tmp_path, with_config("binary", args=["--go"], env={"A": "1"}, platform_overrides=overrides))
    linux, mac = bundle_launch(found, LINUX), bundle_launch(found, "darwin/arm64")
    assert (linux.command, linux.args, linux.env) == ((f"{HERE}/server/thing",), ("--go",), {"A": "1"})
    assert (mac.command, mac.args, mac.env) == ((f"{HERE}/server/mac",), ("--go",), {"A": "1", "B": "mac"})


def test_what_the_user_is_asked_becomes_variables_and_never_text(tmp_path: Path) -> None:
    user_config = {
        "dirs": {"type": "directory", "title": "Directories", "required": True, "multiple": True},
        "key": {"type": "string", "title": "API key", "description": "yours", "sensitive": True, "required": True},
        "size": {"type": "number", "default": 10},
        "url": {"type": "string"},
    }
    args = [
        f"{HERE}/server/index.js",
        "${user_config.dirs}",
        "--size",
        "${user_config.size}",
        "--url",
        "${user_config.url}",
    ]
    env = {"KEY": "Bearer ${user_config.key}", "PATHS": f"{HERE}/lib"}
    found = bundle_launch(facts_of(tmp_path, with_config(user_config=user_config, args=args, env=env)), LINUX)
    assert found.args == (f"{HERE}/server/index.js", "--size", "10")
    assert found.env == {"PATHS": f"{HERE}/lib"}
    asked = {item.name: (item.required, item.secret, item.description) for item in found.variables}
    assert asked == {
        "user_config.dirs": (True, False, "Directories"),
        "user_config.url": (False, False, ""),
        "user_config.key": (True, True, "API key: yours"),
    }
    reference = SecretReference(secret="env:KEY")
    answers: dict[str, Answer] = {
        "user_config.dirs": ("/a", "/b"),
        "user_config.key": reference,
        "user_config.url": "http://x",
    }
    assert render(found, answers) == {
        "args": ["/a", "/b", "--url", "http://x"],
        "env": {"KEY": {"secret": "env:KEY", "format": "Bearer {}"}},
    }


def test_several_defaults_are_several_arguments_unless_they_need_an_answer(tmp_path: Path) -> None:
    def of(default: list[str]) -> tuple[str, ...]:
        config = {"dirs": {"type": "directory", "multiple": True, "default": default}}
        return bundle_launch(
            facts_of(tmp_path, with_config(user_config=config, args=["${user_config.dirs}"])), LINUX
        ).args

    assert of(["/a", "/b c"]) == ("/a", "/b c")
    assert of(["${HOME}/Desktop"]) == ()


def test_a_secret_that_a_bundle_wants_as_an_argument_is_refused(tmp_path: Path) -> None:
    config = {"key": {"type": "string", "sensitive": True, "required": True}}
    found = bundle_launch(
        facts_of(tmp_path, with_config(user_config=config, args=["--key", "${user_config.key}"])), LINUX
    )
    assert found.args == ()
    with pytest.raises(SecretArgument):
        render(found, {})


def test_a_bundle_is_compared_with_its_hash_before_it_is_opened(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "thing.mcpb")
    digest = digest_file(path)
    assert read_bundle(path, sha256=digest.upper()).name == "thing"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        WrongHash, match=rf"the registry's bundle has sha256 {digest_file(path)}, the lock wants {digest}"
    ):
        read_bundle(path, sha256=digest, name="the registry's bundle")
    path.write_bytes(b"not even an archive")
    with pytest.raises(WrongHash):
        read_bundle(path, sha256=digest)


@pytest.mark.parametrize(
    "item",
    [
        Item("../evil", b"x"),
        Item("/etc/evil", b"x"),
        Item("a/../../evil", b"x"),
        Item("a\\..\\evil", b"x"),
        Item("link", kind="symlink", target="/etc/passwd"),
        Item("a/link", kind="symlink", target="../../x"),
    ],
    ids=lambda item: f"{item.name} {item.target}",
)
def test_a_bundle_with_a_way_out_is_refused(tmp_path: Path, item: Item) -> None:
    with pytest.raises(BadBundle, match="leads out of its directory"):
        facts_of(tmp_path, None, item)


def test_a_link_inside_is_allowed(tmp_path: Path) -> None:
    assert facts_of(tmp_path, None, Item("a/b/link", kind="symlink", target="../../server/index.js")).name == "thing"


def test_a_bundle_that_would_become_too_large_is_refused(tmp_path: Path) -> None:
    large = Item("large", b"0" * 200_000)
    assert facts_of(tmp_path, None, large).name == "thing"
    with pytest.raises(BadBundle, match="becomes more than"):
        facts_of(tmp_path, None, large, limits=Limits(size=100_000))
    with pytest.raises(BadBundle, match="becomes more than 2 files"):
        facts_of(tmp_path, None, large, limits=Limits(entries=2))
    with pytest.raises(BadBundle, match=r"its manifest\.json has 2\d{6} bytes"):
        facts_of(tmp_path, bundle_manifest(description="x" * 2_000_000))


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match="no zip archive"):
        read_bundle(make_tar(tmp_path / "tar.mcpb", [Item("manifest.json", b"{}")]))
    with pytest.raises(BadBundle, match=r"more than one manifest\.json"):
        facts_of(tmp_path, None, Item("./manifest.json", b"{}"))
    path = make_bundle(tmp_path / "cut.mcpb", None, Item("large", bytes(range(256)) * 64))
    data = path.read_bytes()
    path.write_bytes(data[:60] + b"\xff" * 40 + data[100:])
    with pytest.raises(BadBundle):
        read_bundle(path)


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        ({"name": "x"}, "is not of that form"),
        (bundle_manifest("uv"), r"fetched when it starts \(type uv\)"),
        (bundle_manifest("ruby"), "unknown type 'ruby'"),
        (with_config(command="/usr/bin/env"), "starts /usr/bin/env, which is not in it"),
        (with_config(command=f"{HERE}/../../bin/sh"), "which is not in it"),
        (with_config(command="server/../../sh"), "which is not in it"),
        (with_config(env={'x}"; evil #': "1"}), "is no name of an environment variable"),
    ],
)
def test_a_manifest_that_cannot_be_followed_is_refused(tmp_path: Path, manifest: dict[str, Any], why: str) -> None:
    with pytest.raises(BadBundle, match=why):
        facts_of(tmp_path, manifest)


def test_a_bundle_without_its_main_file_is_refused(tmp_path: Path) -> None:
    manifest = bundle_manifest()
    path = make_bundle(
        tmp_path / "thing.mcpb", manifest | {"server": {**manifest["server"], "entry_point": "other.js"}}
    )
    assert read_bundle(path).entry_point == "other.js"
    manifest["server"]["entry_point"] = "../main.js"
    bare = make_zip(tmp_path / "bare.mcpb", [Item("manifest.json", json.dumps(manifest).encode())])
    with pytest.raises(BadBundle, match=r"does not hold its main file, \.\./main\.js"):
        read_bundle(bare)
