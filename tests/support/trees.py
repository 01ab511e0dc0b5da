"""Small trees of files for tests of projects."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from hatchlock.sources.projects.detect import read_project
from hatchlock.sources.projects.model import ProjectFacts

__all__ = ["facts_of", "plant"]


def plant(root: Path, files: dict[str, Any]) -> Path:
    """Write files below `root`: text is dedented, a dictionary becomes JSON."""
    for path, content in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content, indent=2) if isinstance(content, dict) else textwrap.dedent(content).lstrip("\n")
        target.write_text(text)
    return root


def facts_of(root: Path, files: dict[str, Any], inside: str = "", **options: Any) -> ProjectFacts:
    """Plant files and read the project in `root`, or in a directory of it with `root` as its repository."""
    plant(root, files)
    if inside:
        options.setdefault("workspace_root", root)
    return read_project(root / inside, **options)
