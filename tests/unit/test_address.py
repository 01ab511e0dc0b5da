"""Addresses of resources: read back as written, and whose they are."""

from __future__ import annotations

import pytest

from hatchlock.address import Address


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("server:time", "time"),
        ("client:claude-code/time", "time"),
        ("client:claude-code@project/time", "time"),
        ("volume:notes/data/deep", "notes"),
        ("volume:notes/data@process", "notes"),
        ("env:time", ""),
        ("image:time", ""),
        ("system:time", ""),
        ("network:hatchlock-acme", ""),
        ("container:hatchlock-acme-time-1", ""),
    ],
)
def test_an_address_tells_its_server_where_no_other_may_have_it(text: str, server: str) -> None:
    address = Address.parse(text)
    assert str(address) == text
    assert address.server == server
