"""Fixtures that several tests share."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

from support.base_image import base_image, node_image
from support.dockerfiles import busybox
from support.engine import engine
from support.engine_images import held_base, sdk
from support.engine_project import docker_project, podman_project
from support.hostile_count import show_attempts
from support.hosts import world
from support.kill_count import show_kills
from support.memory import memory
from support.podman import podman
from support.registry import registry
from support.shared_out import pytest_runtestloop

__all__ = [
    "base_image",
    "busybox",
    "docker_project",
    "engine",
    "held_base",
    "memory",
    "node_image",
    "podman",
    "podman_project",
    "pytest_runtestloop",
    "pytest_terminal_summary",
    "registry",
    "sdk",
    "world",
]

# how long an example takes is the machine's affair, and so it is in CI, where hypothesis does the same by itself
settings.register_profile("any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# what a shell starts in the background, and all that this starts, is deaf to Ctrl-C, and some tests are about Ctrl-C
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have counted."""
    show_attempts(terminalreporter)
    show_kills(terminalreporter)
