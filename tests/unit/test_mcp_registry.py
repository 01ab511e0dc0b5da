"""The MCP registry, against one on loopback: what is asked, what is kept, and what is not believed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import BadSource
from hatchlock.net.http import Http, Offline, Unreachable
from hatchlock.net.patience import Patience
from hatchlock.sources.base import BadAnswer
from hatchlock.sources.mcp_registry.declared import McpReference, declared_mcp
from hatchlock.sources.mcp_registry.entry import Status
from hatchlock.sources.mcp_registry.registry import McpRegistry, UnknownEntry
from support.faulty import answering, reply, silence
from support.mcp_registry import OFFICIAL, published, real_entries, serving_mcp
from support.ports import closed_address

NAME = "io.github.acme/thing"
THING = "/v0.1/servers/io.github.acme%2Fthing/versions"


@contextmanager
def asking(url: str, cache: Path, *, read: float = 60.0, **options: Any) -> Iterator[McpRegistry]:
    with Http(environ={}, patience=Patience(repeats=0, read=read)) as http:
        yield McpRegistry(http=http, cache_dir=cache, url=url, **options)


def names(registry: McpRegistry, *words: str) -> list[str]:
    return [entry.name.rpartition("/")[2] for entry in registry.search(words).entries]


# What is written


def test_a_reference_is_a_name_and_perhaps_a_version() -> None:
    assert declared_mcp(" io.github.acme/thing@1.0.2 ") == McpReference(name=NAME, version="1.0.2")
    assert declared_mcp(NAME) == declared_mcp(f"{NAME}@latest") == McpReference(name=NAME)
    assert str(declared_mcp(f"{NAME}@1.0.0+build.1")) == "io.github.acme/thing@1.0.0+build.1"


@pytest.mark.parametrize(
    "spec", ["thing", "a/b/c", "acme/th ing", "https://example.com/thing", "x" * 200 + "/y", "/", ""]
)
def test_what_is_no_name_is_refused_with_the_form(spec: str) -> None:
    with pytest.raises(BadSource, match=r"no name of the MCP registry") as caught:
        declared_mcp(spec)
    assert caught.value.hint.startswith("write mcp:io.github.OWNER/NAME")


@pytest.mark.parametrize("version", ["^1.0", ">=1", "1.x || 2", "", "*", "1" * 256])
def test_ranges_are_refused_because_the_registry_knows_none(version: str) -> None:
    with pytest.raises(BadSource, match="no exact version"):
        declared_mcp(f"{NAME}@{version}")


# One entry


def test_an_entry_has_the_hash_of_its_canonical_document(tmp_path: Path) -> None:
    unsorted = published(zeta={"b": 1.0, "a": "é"}, packages=[{"registryType": "npm", "identifier": "thing"}])
    with serving_mcp(unsorted) as registry, asking(registry.url, tmp_path) as source:
        entry = source.entry(NAME, "1.0.0")
    assert entry.document.startswith(b'{"description":"It does things.","name":"io.github.acme/thing","packages":[{')
    assert entry.document.endswith('"zeta":{"a":"é","b":1}}'.encode())
    assert entry.sha256 == hashlib.sha256(entry.document).hexdigest()
    assert (entry.status, entry.published, entry.is_latest) == ("active", "2026-01-01T00:00:00Z", True)
    assert str(entry) == "mcp:io.github.acme/thing@1.0.0"
    assert registry.asked == [f"{THING}/1.0.0?include_deleted=true"]


def test_a_version_is_asked_for_once_and_the_newest_again_after_its_time(tmp_path: Path) -> None:
    with serving_mcp(published()) as registry:
        for _ in range(2):
            with asking(registry.url, tmp_path, ttl=0.0) as source:
                assert source.entry(NAME, "1.0.0").version == source.entry(NAME).version == "1.0.0"
        assert registry.asked == [f"{THING}/1.0.0?include_deleted=true", f"{THING}/latest", f"{THING}/latest"]
        registry.entries = [published(version="1.0.0", latest=False), published(version="1.1.0")]
        with asking(registry.url, tmp_path) as source:
            assert source.entry(NAME).version == "1.0.0"
        with asking(registry.url, tmp_path, refresh=True) as source:
            assert source.entry(NAME).version == "1.1.0"
        asked = len(registry.asked)
        with asking(registry.url, tmp_path) as source:
            assert source.entry(NAME, "1.1.0").version == "1.1.0"
    assert len(registry.asked) == asked


def test_offline_what_is_kept_has_to_do_and_its_age_is_told(tmp_path: Path) -> None:
    with serving_mcp(published()) as registry, asking(registry.url, tmp_path) as source:
        source.entry(NAME)
    with asking(registry.url, tmp_path, offline=True, ttl=0.0) as source:
        assert source.entry(NAME).version == source.entry(NAME, "1.0.0").version == "1.0.0"
        assert list(source.stale) == [f"{NAME}@latest"]
        with pytest.raises(Offline):
            source.entry(NAME, "2.0.0")


def test_an_unreachable_registry_is_replaced_by_its_mirror_then_by_the_cache(tmp_path: Path) -> None:
    dead = closed_address()
    with serving_mcp(published()) as mirror, asking(dead, tmp_path, mirrors=(mirror.url,), ttl=0.0) as source:
        assert source.entry(NAME).version == "1.0.0"
    with asking(dead, tmp_path, ttl=0.0) as source:
        assert source.entry(NAME).version == "1.0.0"
        assert source.stale
    with asking(dead, tmp_path, refresh=True) as source, pytest.raises(Unreachable):
        source.entry(NAME)


def test_what_there_is_not_is_said_and_how_to_look_for_it(tmp_path: Path) -> None:
    with serving_mcp(published()) as registry, asking(registry.url, tmp_path) as source:
        with pytest.raises(UnknownEntry, match=r"has no io\.github\.acme/other") as caught:
            source.entry("io.github.acme/other")
        assert caught.value.hint == "`hatchlock search other` looks for it"
        with pytest.raises(UnknownEntry, match=r"has no version 9\.9 of io\.github\.acme/thing"):
            source.entry(NAME, "9.9")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html>", "it is no JSON"),
        (b"[]", "it holds no `server`"),
        (b'{"server": {"name": "io.github.acme/thing"}}', "has no exact version"),
        (b'{"server": {"name": "io.github.acme/thing", "version": "latest"}}', "has no exact version"),
        (b'{"server": {"version": "1.0.0"}}', "name: Field required"),
        (
            b'{"server": {"name": "io.github.acme/thing", "version": "1.0.0", "packages": [{}]}}',
            r"packages\.0\.registryType",
        ),
        (b'{"server": {"name": "io.github.evil/thing", "version": "1.0.0"}}', "it is about io.github.evil/thing@1.0.0"),
        (b'{"server": {"name": "io.github.acme/thing", "version": "1.0.1"}}', "it is about io.github.acme/thing@1.0.1"),
        (b'{"server": {"name": "io.github.acme/thing", "version": "1.0.0", "x": 1e400}}', "no canonical form"),
    ],
)
def test_an_answer_about_something_else_is_refused(tmp_path: Path, body: bytes, why: str) -> None:
    raw = {f"{THING}/1.0.0?include_deleted=true": body}
    with (
        serving_mcp(published(), raw=raw) as registry,
        asking(registry.url, tmp_path) as source,
        pytest.raises(BadAnswer, match=why),
    ):
        source.entry(NAME, "1.0.0")


def test_an_answer_that_breaks_off_or_never_comes_is_not_believed(tmp_path: Path) -> None:
    with (
        serving_mcp(published(), breaks_off=True) as registry,
        asking(registry.url, tmp_path) as source,
        pytest.raises(Unreachable, match="broke off"),
    ):
        source.entry(NAME)
    with serving_mcp(published()) as registry, asking(registry.url, tmp_path) as source:
        registry.failures["*"] = 1
        with pytest.raises(Unreachable, match="HTTP 503"):
            source.entry(NAME)
        assert source.entry(NAME).version == "1.0.0"
    with (
        answering(silence) as faulty,
        asking(faulty.url, tmp_path / "other", read=0.5) as source,
        pytest.raises(Unreachable, match="too long"),
    ):
        source.entry(NAME)


def test_a_website_in_place_of_a_registry_is_none(tmp_path: Path) -> None:
    with (
        answering(reply(200, b"<html>")) as faulty,
        asking(faulty.url, tmp_path) as source,
        pytest.raises(BadAnswer, match="no JSON"),
    ):
        source.search(["thing"])


# Its status


def test_the_status_is_asked_for_again_after_its_time_and_the_document_is_not(tmp_path: Path) -> None:
    with serving_mcp(published()) as registry:
        with asking(registry.url, tmp_path) as source:
            assert source.entry(NAME, "1.0.0").status == "active"
            assert source.status(NAME, "1.0.0") == Status(status="active")
        assert len(registry.asked) == 1
        registry.entries = [published(status="deprecated", message="use the other")]
        with asking(registry.url, tmp_path, ttl=0.0) as source:
            assert source.status(NAME, "1.0.0") == Status(status="deprecated", message="use the other")
        registry.entries = [published(status="deleted", message="malware")]
        with asking(registry.url, tmp_path, ttl=0.0) as source:
            assert source.status(NAME, "1.0.0") == Status(status="deleted", message="malware")
        registry.entries = []
        with asking(registry.url, tmp_path, ttl=0.0) as source:
            assert source.status(NAME, "1.0.0").status == "deleted"
            assert source.entry(NAME, "1.0.0").status == "deleted"


def test_offline_the_status_is_what_was_known_or_unknown_and_nothing_fails(tmp_path: Path) -> None:
    with serving_mcp(published(status="deprecated")) as registry, asking(registry.url, tmp_path) as source:
        source.status(NAME, "1.0.0")
    with asking(registry.url, tmp_path, offline=True, ttl=0.0) as source:
        assert source.status(NAME, "1.0.0").status == "deprecated"
        assert source.status(NAME, "2.0.0") == Status(status="unknown")
    with asking(closed_address(), tmp_path) as source:
        assert source.status(NAME, "1.0.0") == Status(status="unknown")


# Lists


def test_versions_are_those_that_are_not_deleted_newest_first(tmp_path: Path) -> None:
    entries = [
        published(version="1.9.0", day=1, latest=False),
        published(version="1.10.0", day=3),
        published(version="0.9.9", day=2, latest=False, status="deprecated"),
        published(version="1.10.1", day=4, latest=False, status="deleted"),
    ]
    with serving_mcp(*entries) as registry, asking(registry.url, tmp_path) as source:
        assert [entry.version for entry in source.versions(NAME)] == ["1.10.0", "0.9.9", "1.9.0"]
        with pytest.raises(UnknownEntry):
            source.versions("io.github.acme/other")


def test_a_search_follows_every_page_to_its_end(tmp_path: Path) -> None:
    entries = [published(f"io.github.acme/weather-{number:02}") for number in range(25)]
    with serving_mcp(*entries, page=10) as registry, asking(registry.url, tmp_path) as source:
        assert names(source, "weather") == [f"weather-{number:02}" for number in range(25)]
        assert source.search(["weather"]).complete
    assert len(registry.asked) == 3
    assert "cursor=io.github.acme%2Fweather-09%3A1.0.0" in registry.asked[1]


def test_a_cursor_that_leads_back_is_no_endless_search(tmp_path: Path) -> None:
    with (
        serving_mcp(published(), leads_back=True) as registry,
        asking(registry.url, tmp_path) as source,
        pytest.raises(BadAnswer, match="leads back"),
    ):
        source.search(["thing"])
    assert len(registry.asked) <= 3


@pytest.mark.parametrize("cursor", ["\ud800", "a\nb", "\x1b[2J", 7, ["a"]])
def test_what_is_no_cursor_is_an_error(tmp_path: Path, cursor: Any) -> None:
    body = json.dumps({"servers": [], "metadata": {"nextCursor": cursor}}).encode()
    with (
        answering(reply(body=body)) as server,
        asking(server.url, tmp_path) as source,
        pytest.raises(BadAnswer, match="goes on at something that is no cursor"),
    ):
        source.search(["thing"])


@pytest.mark.parametrize("version", ["1.0\n[[server]]", "1.0\x1b[2J", "1.0 2", "\u202e0.1", "1" * 256])
def test_a_version_that_could_not_stand_in_a_manifest_is_none(tmp_path: Path, version: str) -> None:
    body = json.dumps({"server": {"name": NAME, "version": version}}).encode()
    with (
        answering(reply(body=body)) as server,
        asking(server.url, tmp_path) as source,
        pytest.raises(BadAnswer, match="has no exact version"),
    ):
        source.entry(NAME)


def test_a_list_without_end_is_cut_and_that_is_said(tmp_path: Path) -> None:
    entries = [published(f"io.github.acme/t{number:03}") for number in range(50)]
    with serving_mcp(*entries, page=1) as registry, asking(registry.url, tmp_path) as source:
        found = source.search(["acme"])
    assert not found.complete
    assert len(found.entries) == len(registry.asked) == 20


def test_every_word_counts_wherever_it_stands_and_names_go_first(tmp_path: Path) -> None:
    entries = [
        published("io.github.acme/issues", description="For Jira."),
        published("io.github.acme/jira-issues", description="Both."),
        published("io.github.acme/wiki", description="issues of nobody"),
        published("io.github.jira/other", title="Issues"),
    ]
    with serving_mcp(*entries) as registry, asking(registry.url, tmp_path) as source:
        assert names(source, "Jira", "issues") == ["jira-issues", "issues", "other"]
        asked = len(registry.asked)
        assert names(source, "issues", "jira") == ["jira-issues", "issues", "other"]
        assert len(registry.asked) == asked
    with asking(registry.url, tmp_path, offline=True) as source:
        assert names(source, "issues", "jira") == ["jira-issues", "issues", "other"]
        with pytest.raises(Offline):
            source.search(["wiki"])


def test_where_a_server_is_hosted_is_no_word_of_it(tmp_path: Path) -> None:
    entries = [published(f"io.github.acme/{name}") for name in ("weather", "github", "mcp-github", "gitea")]
    with serving_mcp(*entries) as registry, asking(registry.url, tmp_path) as source:
        assert names(source, "github") == ["github", "mcp-github"]


def test_one_strange_entry_does_not_hide_the_others(tmp_path: Path) -> None:
    strange = published("io.github.acme/strange", packages=[{"registryType": 7}])
    with serving_mcp(strange, published()) as registry, asking(registry.url, tmp_path) as source:
        assert names(source, "acme") == ["thing"]


def test_the_real_entries_are_found(tmp_path: Path) -> None:
    with serving_mcp(*real_entries(), page=5) as registry, asking(registry.url, tmp_path) as source:
        assert names(source, "stacklok", "git") == ["github", "gitlab", "filesystem"][:2] or names(
            source, "stacklok", "git"
        )
        assert len(source.search(["stacklok"]).entries) == 12
        assert source.entry("io.github.stacklok/genai-toolbox").status == "deprecated"


# Old documents


def test_the_first_schema_with_its_snake_case_says_the_same(tmp_path: Path) -> None:
    old = {
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-07-09/server.schema.json",
        "name": NAME,
        "description": "Old.",
        "status": "active",
        "version_detail": {"version": "1.0.0"},
        "packages": [
            {
                "registry_type": "npm",
                "registry_base_url": "https://registry.example.com",
                "identifier": "@acme/thing",
                "version": "1.0.0",
                "runtime_hint": "npx",
                "package_arguments": [
                    {"type": "positional", "value_hint": "dir", "is_required": True, "is_repeated": True}
                ],
                "environment_variables": [{"name": "KEY", "is_required": True, "is_secret": True, "default": None}],
            }
        ],
        "remotes": [{"transport_type": "sse", "url": "https://mcp.example.com/sse"}],
    }
    answer = {"server": old, "_meta": {OFFICIAL: {"published_at": "2025-08-01T00:00:00Z", "is_latest": True}}}
    raw = {f"{THING}/latest": json.dumps(answer).encode()}
    with serving_mcp(raw=raw) as registry, asking(registry.url, tmp_path) as source:
        entry = source.entry(NAME)
    assert (entry.version, entry.published, entry.is_latest) == ("1.0.0", "2025-08-01T00:00:00Z", True)
    (package,) = entry.server.packages
    assert (package.registry_type, package.runtime_hint, package.transport.type) == ("npm", "npx", "stdio")
    (argument,) = package.package_arguments
    assert (argument.type, argument.value_hint, argument.is_required, argument.is_repeated) == (
        "positional",
        "dir",
        True,
        True,
    )
    (variable,) = package.environment_variables
    assert (variable.name, variable.is_required, variable.is_secret, variable.default) == ("KEY", True, True, "")
    assert (entry.server.remotes[0].type, entry.server.remotes[0].url) == ("sse", "https://mcp.example.com/sse")


@pytest.mark.parametrize(
    "schema", ["2025-09-16", "2025-09-29", "2025-10-11", "2025-10-17", "2025-12-11", "2099-01-01", ""]
)
def test_any_later_schema_is_read(tmp_path: Path, schema: str) -> None:
    arguments = [{"value": 8080}, {"name": "-v"}]
    entry = published(packages=[{"registryType": "teleport", "identifier": "x", "packageArguments": arguments}])
    entry["server"]["$schema"] = f"https://static.modelcontextprotocol.io/schemas/{schema}/server.schema.json"
    with serving_mcp(entry) as registry, asking(registry.url, tmp_path) as source:
        (package,) = source.entry(NAME).server.packages
    assert package.registry_type == "teleport"
    assert [(item.type, item.value) for item in package.package_arguments] == [("positional", "8080"), ("named", "")]
