"""Base images with Python and Node, made once by scripts/base-image and pushed to the session's registry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.unavailable import unavailable

_SCRIPT = Path(__file__).parents[2] / "scripts" / "base-image"


@pytest.fixture(scope="session")
def base_image(registry: str) -> str:
    """Return the reference of a Debian image with Python 3.11, `127.0.0.1:PORT/base/python:3.11`."""
    return _pushed(f"{registry}/base/python:3.11")


@pytest.fixture(scope="session")
def node_image(registry: str) -> str:
    """Return the reference of the same with this machine's Node in a second layer, `127.0.0.1:PORT/base/node:latest`."""
    return _pushed(f"{registry}/base/node:latest", "--node")


def _pushed(reference: str, *options: str) -> str:
    command = [sys.executable, str(_SCRIPT), *options, "--push", reference]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        unavailable(f"no base image: {(done.stderr.splitlines() or ['scripts/base-image failed'])[-1]}")
    return reference
