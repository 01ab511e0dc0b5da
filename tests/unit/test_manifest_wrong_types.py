"""Values of another type than a key takes: what to write instead."""

from __future__ import annotations

import pytest

from hatchlock.errors import ManyErrors
from hatchlock.manifest.load import loads

SERVER = '[project]\nname = "p"\nplatforms = ["linux/amd64"]\n\n[servers.a]\nsource = "pypi:x"\n'


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ('client = ["cursor"]', "write clients = […]; `client.NAME` has an application's own fields"),
        ('env = ["A=b"]', 'write env.NAME = "…", a line for each'),
        ("env.A = 1", "put it in quotes"),
        ("env.A = true", "put it in quotes"),
        ("python = 3.11", "put it in quotes"),
        ('args = ["--port", 8080]', "put it in quotes"),
        ('startup-timeout = "30"', "write startup-timeout = 30"),
        ('startup-timeout = "30s"', "write startup-timeout = 30"),
        ('sandbox = { cpus = "1.5" }', "write cpus = 1.5"),
        ('sandbox = { pids = "12" }', "write pids = 12"),
        ('sandbox = { read-only = "false", reason = "x" }', "write read-only = false"),
        ("clients = { cursor = true }", 'write clients = ["…"]'),
        ('startup-timeout = "soon"', ""),
        ("env.A = [1]", ""),
    ],
)
def test_a_value_of_another_type_has_a_hint(line: str, hint: str) -> None:
    with pytest.raises(ManyErrors) as wrong:
        loads(SERVER + line, shown="hatchlock.toml")
    (error,) = wrong.value.errors
    assert (error.hint, error.place.line if error.place else 0) == (hint, 7)
