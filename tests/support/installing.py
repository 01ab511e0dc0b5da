"""Real applications are installed from their registries."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from hatchlock.clients.catalogue import CLIENTS
from support.newer_python import newer_python
from support.real_applications import RealApplication

__all__ = ["install"]


def install(application: RealApplication, directory: Path, version: str = "") -> None:
    """Install an application into a directory, in the version of the catalogue if none is named."""
    tried = CLIENTS[application.client].tried
    assert tried is not None
    version = version or tried.version
    if tried.program.startswith("pypi:"):
        _install_with_uv(f"{tried.program.removeprefix('pypi:')}=={version}", directory)
    else:
        _install_with_npm((f"{tried.program}@{version}", *application.with_it), directory)
    (directory / application.program).chmod(0o755)


def _install_with_npm(packages: tuple[str, ...], directory: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "package.json").write_text("{}")
    environment = dict(os.environ)
    environment.setdefault("NODE_EXTRA_CA_CERTS", os.environ.get("SSL_CERT_FILE", ""))
    quiet = ("--no-audit", "--no-fund", "--loglevel=error")
    _done(["npm", "install", *quiet, *packages], directory, environment)


def _install_with_uv(requirement: str, directory: Path) -> None:
    python = newer_python(os.environ, Path(sys.base_prefix))
    if python is None:
        pytest.skip("no Python 3.12 or later answers")
    _done([python, "-m", "venv", "--without-pip", str(directory)], directory.parent, os.environ)
    uv = (str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet")
    environment = {**os.environ, "UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
    _done([*uv, "--python", str(directory / "bin" / "python"), requirement], directory, environment)


def _done(words: Sequence[str], directory: Path, environment: Mapping[str, str]) -> None:
    """Run a program; where it fails, the test says what it said."""
    done = subprocess.run(
        words, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")
