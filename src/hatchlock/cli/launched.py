"""What the launcher starts: Python without `site`, told where hatchlock and what it needs are (`usecases/launcher`)."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Do what `hatchlock` does. For every command but `run`, what an environment's own files say holds as well."""
    if sys.argv[1:2] != ["run"]:
        import site

        site.main()
    from hatchlock.cli.main import main as hatchlock

    sys.exit(hatchlock())
