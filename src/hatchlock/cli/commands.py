"""Which function does a command. A module of commands is loaded only for its own."""

from __future__ import annotations

import argparse
from importlib import import_module
from keyword import iskeyword

from hatchlock.cli.ui import Ui

__all__ = ["MODULES", "handle"]

MODULES: dict[str, str] = {
    **dict.fromkeys(["init", "add", "remove", "validate", "schema", "lock", "tree", "why"], "manifest_commands"),
    "import": "import_command",
    **dict.fromkeys(["plan", "show"], "plan_commands"),
    **dict.fromkeys(["apply", "up"], "apply_commands"),
    **dict.fromkeys(["status", "doctor"], "status_commands"),
    **dict.fromkeys(["run", "logs"], "server_commands"),
    "probe": "probe_command",
    "quarantine": "quarantine_command",
    "serve": "serve_commands",
    "try": "trial_commands",
    "report": "report_command",
    **dict.fromkeys(["start", "stop", "restart", "top"], "keeper_commands"),
    **dict.fromkeys(["fetch", "cache"], "store_commands"),
    "verify": "verify_commands",
    "audit": "audit_commands",
    **dict.fromkeys(["history", "rollback", "destroy"], "generation_commands"),
    "gc": "gc_commands",
    "export": "export_commands",
    "info": "info_commands",
    "client": "client_commands",
    "secret": "secret_commands",
    **dict.fromkeys(["login", "logout"], "login_commands"),
    "search": "registry_commands",
    "new": "hatch_commands",
    **dict.fromkeys(["env", "exec"], "environment_commands"),
    **dict.fromkeys(["diff", "outdated"], "lock_commands"),
    "pin": "pin_commands",
}


def handle(arguments: argparse.Namespace, ui: Ui) -> int:
    """Do the command that was parsed, and return its exit status."""
    module = import_module(f"hatchlock.cli.{MODULES[arguments.command]}")
    name = f"{arguments.command}_" if iskeyword(arguments.command) else arguments.command
    status: int = getattr(module, name)(arguments, ui)
    return status
