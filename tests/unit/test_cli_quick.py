"""What a start puts off is there when it is asked for, and is what it would have been."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CODE = """
import json, sys
from hatchlock.cli.quick import quicken
quicken()
quicken()
{code}
print(json.dumps(found))
"""


def found_by(code: str) -> object:
    # without site, which loads some of it
    start = f"import sys\nsys.path += {[path for path in sys.path if path]!r}\n{CODE.format(code=code)}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", start], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import urllib.parse\nfound = urllib.parse.urlsplit('http://[::1]:1/').hostname", "::1"),
        ("import urllib.parse\nfound = urllib.parse.urlsplit('http://h/p').path", "/p"),
        ("import copy\nfirst = [[]]\nfound = [copy.deepcopy(first) == first, copy.deepcopy(first)[0] is first[0]]", [True, False]),
        ("from inspect import isclass\nfound = [isclass(int), isclass(1)]", [True, False]),
        ("import locale, copy\nlocale.getlocale, copy.copy\nfound = [type(sys.modules[n]).__name__ for n in ('locale', 'copy')]", ["module"] * 2),
        ("import urllib.parse\nurllib.parse.quote\nfound = type(sys.modules['ipaddress']).__name__", "_Later"),
        ("import copy\nfound = [hasattr(copy, 'nothing'), hasattr(copy, '__path__')]", [False, False]),
    ],
)  # fmt: skip
def test_what_a_module_has_is_there_when_it_is_asked_for(code: str, expected: object) -> None:
    assert found_by(code) == expected
