"""What a manifest would refuse of a proposed server is left out of it, and said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.migrate.fitting import fitted
from hatchlock.migrate.model import Left, Proposed, Reading, Secret
from support import imports


def reading(fields: dict[str, Any], *secrets: Secret) -> Reading:
    server = Proposed(name="web", found_as="Web", line=7, fields=fields, secrets=secrets)
    return Reading(file="f", title="t", servers=(server,))


@pytest.mark.parametrize(
    ("fields", "kept", "said"),
    [
        ({"sandbox": {"user": "root"}}, {}, "7: `sandbox.user`: 'root' is root, and no server runs as root"),
        (
            {"sandbox": {"reason": "r", "mounts": [{"source": "a", "target": t} for t in ("/proc", "/data")]}},
            {"sandbox": {"reason": "r", "mounts": [{"source": "a", "target": "/data"}]}},
            "7: `sandbox.mounts.target`: nothing can be put at '/proc': /proc is the sandbox's own",
        ),
        ({"env": {"A-B": "x", "C": "y"}}, {"env": {"C": "y"}}, "7: `env.A-B`: 'A-B' is no name of an environment"),
        ({"nonsense": 1}, {}, "7: `nonsense`: unknown key"),
        ({"files": {"a": "b"}}, {}, "7: `files`: "),
        ({"env": {"A": "\ud800"}}, {}, "7: `env.A`: it holds half of a character"),
        (
            {"sandbox": {"mounts": [{"source": "/\ud800", "target": "/a"}]}},
            {},
            "7: `sandbox.mounts.source`: should be a valid",
        ),
    ],
)
def test_a_key_that_is_refused_is_left_out(fields: dict[str, Any], kept: dict[str, Any], said: str) -> None:
    image = {"source": "oci:ghcr.io/a/b:1"}
    found = fitted(reading(image | fields))
    assert imports.fields(found, "web") == image | kept
    (only,) = imports.left(found)
    assert only.startswith(said)
    imports.manifest(found)


@pytest.mark.parametrize("fields", [{"source": "pypi:a b c"}, {"command": "a b"}, {}, {"source": "nothing"}])
def test_a_server_that_would_be_another_one_is_left(fields: dict[str, Any]) -> None:
    found = fitted(reading(fields))
    assert not found.servers
    assert imports.left(found)[0].startswith("7: `Web`: ")


@pytest.mark.parametrize(
    ("url", "is_kept"),
    [
        ("https://mcp.example.com/v1/mcp", True),
        ("https://mcp.example.com/@user/a-long-name-of-some-server/mcp", True),
        ("https://9f86d081884c7d659a2feaa0c55ad015.example.com/mcp", True),
        ("https://mcp.example.com/s/9f86d081884c7d659a2feaa0c55ad015/mcp", False),
        ("https://mcp.example.com/s/TjhkZDk4NzItMWFiYy00/mcp", False),
        ("https://mcp.example.com/s/TjhkZDk4NzItMWFiYy00MA%3D%3D", False),
        ("https://mcp.example.com/1b4e28ba-2fa1-11d2-883f-0016d3cca427/slack", False),
    ],
)
def test_no_key_in_an_address_gets_into_a_manifest(url: str, is_kept: bool) -> None:
    found = fitted(reading({"url": url}))
    assert [server.fields for server in found.servers] == [{"url": url}] * is_kept
    assert is_kept or "hatchlock add ADDRESS" in imports.left(found)[0]
    assert not any("mcp.example.com" in left for left in imports.left(found))


def test_a_secret_that_no_variable_can_hold_is_left_out() -> None:
    bad, good = (Secret(table="env", key=key, value="v") for key in ("A B", "AB"))
    found = fitted(reading({"source": "pypi:a<2"}, bad, good))
    assert imports.server(found, "web").secrets == (good,)
    assert imports.left(found) == ["7: `env.A B`: 'A B' is no name of an environment variable"]


def test_what_no_plan_would_show_a_server_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (".ssh", "work"):
        (tmp_path / name).mkdir()
    sources = ["~/.ssh", "~/work", "/etc/hosts", f"{tmp_path}/later", "./here"]
    mounts = [{"source": source, "target": f"/m/{number}", "mode": "ro"} for number, source in enumerate(sources)]
    found = fitted(reading({"source": "oci:a/b:1", "sandbox": {"mounts": mounts, "reason": "r"}}))
    assert [mount["source"] for mount in imports.fields(found, "web")["sandbox"]["mounts"]] == [
        "~/work",
        f"{tmp_path}/later",
        "./here",
    ]
    assert imports.left(found) == [
        "7: `sandbox.mounts`: /etc/hosts: it is below /etc, a directory of the system",
        "7: `sandbox.mounts`: ~/.ssh: it is where credentials are",
    ]
    alone = fitted(reading({"source": "oci:a/b:1", "sandbox": {"mounts": mounts[:1], "reason": "r"}}))
    assert imports.fields(alone, "web") == {"source": "oci:a/b:1"}


def test_a_token_in_what_is_refused_is_not_repeated() -> None:
    token = "ghp_0f1e2d3c4b5a69788796a5b4c3d2e1f0ABCD"
    found = fitted(reading({"source": "pypi:a<2", "sandbox": {"user": token}}))
    assert imports.left(found) == ["7: `sandbox.user`: '…' is no numeric user"]
    assert token not in imports.left(fitted(reading({"source": f"npm:{token} x"})))[0]


def test_a_token_gets_neither_into_a_manifest_nor_into_what_is_said() -> None:
    token = "ghp_0f1e2d3c4b5a69788796a5b4c3d2e1f0ABCD"
    where = f"{token}: the address https://h.example/x?key=Zq8Lw3 is not carried over"
    misplaced = fitted(reading({"source": "pypi:a<2", "description": token}))
    assert not misplaced.servers
    assert imports.left(misplaced)[0].startswith("7: `Web`: a token stands where only a name can")
    noted = replace(reading({"source": "pypi:a<2"}).servers[0], left=(Left(line=8, what=where),), notes=(where,))
    found = fitted(Reading(file="f", title="t", servers=(noted,), left=(Left(line=9, what=where),)))
    said = "…: the address https://h.example/x?… is not carried over"
    assert imports.left(found) == [f"8: {said}", f"9: {said}"]
    assert imports.server(found, "web").notes == (said,)


def test_what_fits_is_not_touched() -> None:
    given = reading({"source": "pypi:a<2", "env": {"A": "b"}})
    assert fitted(given) == given
