"""`[registries."HOST"]`: mirrors are hosts, with or without a path, and hold no credentials."""

from __future__ import annotations

import pytest

from hatchlock.errors import ManyErrors
from hatchlock.manifest.load import loads
from hatchlock.manifest.model import RegistrySpec

HEAD = '[project]\nname = "p"\nplatforms = ["linux/amd64"]\n\n[registries."ghcr.io"]\n'


def test_mirrors_keep_their_order() -> None:
    mirrors = ("mirror.example.com", "proxy.example.com:5000/hub/x", "127.0.0.1:5000", "[::1]:5000/hub")
    text = f"{HEAD}mirrors = {list(mirrors)}\n"
    assert loads(text, shown="hatchlock.toml").manifest.registries == {
        "ghcr.io": RegistrySpec(host="ghcr.io", mirrors=mirrors)
    }


@pytest.mark.parametrize(
    ("mirror", "hint"),
    [
        ("https://mirror.example.com", "without https://"),
        ("mirror.example.com/", "host[:port]"),
        ("mirror.example.com/hub?x=1", "host[:port]"),
        ("mirror.example.com/../x", "host[:port]"),
        ("me:s3cret@mirror.example.com", "docker login"),
    ],
)
def test_what_is_no_mirror_is_refused_with_its_line_and_without_a_secret(mirror: str, hint: str) -> None:
    with pytest.raises(ManyErrors) as caught:
        loads(f"{HEAD}mirrors = ['{mirror}']\n", shown="hatchlock.toml")
    (error,) = caught.value.errors
    assert str(error.place).startswith("hatchlock.toml:6")
    assert hint in error.hint
    assert "s3cret" not in f"{error}{error.hint}"
