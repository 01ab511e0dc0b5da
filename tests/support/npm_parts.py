"""Real npm packages that tests need as clients and tools: installed once, kept beside this tree's environment."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from hatchlock.sources.npm.program import find_npm, quiet_settings

__all__ = ["CONFORMANCE", "NEWEST", "installed"]

CONFORMANCE = ("@modelcontextprotocol/conformance@0.1.13", "@modelcontextprotocol/sdk@1.29.0")
"""The official suite, and the SDK that clients and servers of tests are written with."""
NEWEST = ("@modelcontextprotocol/client@2.4.0", "@modelcontextprotocol/server@2.4.0")
"""Version 2 of that SDK, which speaks 2026-07-28 too."""


def installed(*packages: str) -> Path:
    """Return a `node_modules` with packages of these versions, from the user's own registry; scripts of none are run."""
    name = hashlib.sha256(" ".join(sorted(packages)).encode()).hexdigest()[:12]
    place = Path(sys.prefix) / "npm-parts" / name
    if place.is_dir():
        return place / "node_modules"
    part = place.with_name(f".{name}.{os.getpid()}")
    part.mkdir(parents=True)
    wanted = dict(package.rsplit("@", 1) for package in packages)
    (part / "package.json").write_text(json.dumps({"private": True, "dependencies": wanted}))
    environment = {**os.environ, **quiet_settings(part)}
    environment.setdefault("NODE_EXTRA_CA_CERTS", os.environ.get("SSL_CERT_FILE", ""))
    words = ("install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    subprocess.run([*find_npm(os.environ).argv, *words], cwd=part, env=environment, check=True, capture_output=True)
    try:
        part.rename(place)
    except OSError:
        shutil.rmtree(part)  # somebody else was quicker
    return place / "node_modules"
