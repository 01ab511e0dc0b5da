"""Fixtures that several tests share."""

from __future__ import annotations

from support.base_image import base_image, node_image
from support.dockerfiles import busybox
from support.engine import engine
from support.engine_images import held_base, sdk
from support.engine_project import engine_project
from support.hostile_count import pytest_terminal_summary
from support.hosts import world
from support.podman import podman
from support.registry import registry

__all__ = [
    "base_image",
    "busybox",
    "engine",
    "engine_project",
    "held_base",
    "node_image",
    "podman",
    "pytest_terminal_summary",
    "registry",
    "sdk",
    "world",
]
