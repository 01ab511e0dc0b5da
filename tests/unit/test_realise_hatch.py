"""Hatch packages are laid out as they are, and take nobody's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.realise.commands import BadCommand
from hatchlock.realise.hatch import install_hatch_package
from support.archives import Item, make_zip


@pytest.mark.parametrize("name", ["python", "python3", "node", "activate"])
def test_a_package_called_like_an_interpreter_does_not_take_its_place(tmp_path: Path, name: str) -> None:
    """It is a name that registries allow, and every program of the environment would start the package instead."""
    interpreter = tmp_path / "environment" / "bin" / name
    interpreter.parent.mkdir(parents=True)
    interpreter.symlink_to("/usr/bin/env")
    archive = make_zip(tmp_path / "package.zip", [Item("server.py", b"print(1)\n")])
    with pytest.raises(BadCommand, match="that is the name of an interpreter"):
        install_hatch_package(tmp_path / "environment", name=name, archive=archive, commands={name: "server.py"})
    assert interpreter.readlink() == Path("/usr/bin/env")
