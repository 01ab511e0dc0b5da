"""Configs and keys are functions of what goes in."""

from __future__ import annotations

import json
from typing import Any

from hatchlock.images.config import KEY_LABEL, image_config
from hatchlock.images.key import image_tag, input_key

BASE = {
    "architecture": "arm64",
    "variant": "v8",
    "os": "linux",
    "created": "2024-05-01T10:00:00Z",
    "config": {
        "Env": ["PATH=/usr/local/bin:/usr/bin", "LANG=C.UTF-8", "HOME=/root"],
        "Entrypoint": ["/entry.sh"],
        "Cmd": ["python3"],
        "User": "app",
        "Volumes": {"/data": {}},
        "ExposedPorts": {"80/tcp": {}},
        "Healthcheck": {"Test": ["CMD", "true"]},
        "Labels": {"maintainer": "somebody"},
    },
    "rootfs": {"type": "layers", "diff_ids": ["sha256:1", "sha256:2"]},
    "history": [{"created_by": "a"}, {"created_by": "b", "empty_layer": True}],
}


def config(base: dict[str, Any] = BASE, *, key: str = "k", env: dict[str, str] | None = None) -> bytes:
    return image_config(
        json.dumps(base).encode(),
        layer_diff_ids=["sha256:3"],
        labels={KEY_LABEL: key},
        env=env or {},
        path=["/opt/hatchlock/bin"],
    )


def test_only_platform_layers_and_variables_come_from_the_base() -> None:
    made = json.loads(config())
    assert (made["architecture"], made["variant"], made["os"]) == ("arm64", "v8", "linux")
    assert made["rootfs"]["diff_ids"] == ["sha256:1", "sha256:2", "sha256:3"]
    assert len(made["history"]) == 3
    assert set(made["config"]) == {"Env", "User", "WorkingDir", "Labels"}
    assert made["config"]["User"] == "10001:10001"
    assert made["config"]["Labels"] == {"dev.hatchlock.key": "k"}
    assert "LANG=C.UTF-8" in made["config"]["Env"]
    assert "HOME=/home/hatchlock" in made["config"]["Env"]
    assert "PATH=/opt/hatchlock/bin:/usr/local/bin:/usr/bin" in made["config"]["Env"]
    assert "PYTHONUNBUFFERED=1" in made["config"]["Env"]


def test_the_same_base_written_otherwise_gives_the_same_bytes() -> None:
    assert config() == config(dict(reversed(BASE.items())))
    assert config() == config({**BASE, "created": "2020-01-01T00:00:00Z"})
    assert config() != config(env={"X": "1"})


def test_a_key_changes_with_each_thing_that_goes_in_and_not_with_their_order() -> None:
    one, two = "a.whl:" + "1" * 64, "b.whl:" + "2" * 64
    key = input_key("sha256:base", [one, two], rule=1)
    assert len(key) == 64
    assert key == input_key("sha256:base", [two, one], rule=1)
    assert len({key, input_key("sha256:other", [one, two], rule=1), input_key("sha256:base", [one], rule=1)}) == 3
    assert key != input_key("sha256:base", [one, two], rule=2)
    assert key != input_key("sha256:base", [one, two], rule=1, others=["deb tzdata.deb"])


def test_a_tag_names_project_server_and_key() -> None:
    assert image_tag("acme", "time", "ab12") == "hatchlock/acme/time:ab12"
