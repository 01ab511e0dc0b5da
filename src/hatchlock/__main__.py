"""`python -m hatchlock`."""

from __future__ import annotations

import sys

from hatchlock.cli.main import main

sys.exit(main())
