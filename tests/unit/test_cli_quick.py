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
VALUES = """
import dataclasses
from hatchlock.launch_parts import Mount
from hatchlock.process import ProcessFailed
one, same, other = Mount(source="/a", target="/b"), Mount(target="/b", source="/a"), Mount(source="/a", target="/c")
found = [repr(one), one == same, one == other, len({one, same, other}), dataclasses.replace(one, target="/c") == other]
error = ProcessFailed(argv=("x",), status=1, output="", address="a")
found += [str(error), error.address, error == ProcessFailed(argv=("x",), status=1, output="", address="a")]
for wrong in (lambda: setattr(one, "source", "/c"), lambda: delattr(one, "source"), lambda: Mount(nothing=1)):
    try:
        wrong()
    except (AttributeError, TypeError) as refused:
        found.append(type(refused).__name__)
"""


def found_by(code: str, *, quick: bool = True) -> object:
    program = CODE.format(code=code)
    if not quick:
        program = program.replace("quicken()\n", "")
    # without site, which loads some of it
    start = f"import sys\nsys.path += {[path for path in sys.path if path]!r}\n{program}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", start], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_our_values_and_errors_are_what_they_are_otherwise() -> None:
    assert found_by(VALUES) == found_by(VALUES, quick=False)
    assert found_by(VALUES) == [
        *("Mount(source='/a', target='/b', mode='ro', relabel='')", True, False, 2, True),
        *("x ended with status 1", "a", False, "FrozenInstanceError", "FrozenInstanceError", "TypeError"),
    ]


def test_methods_are_compiled_when_they_are_called() -> None:
    counting = """
import builtins, dataclasses
texts = []
vars(dataclasses)["exec"] = lambda text, *places: (texts.append(text), builtins.exec(text, *places))
from hatchlock.launch_parts import Mount
found = [len(texts)]
Mount(source="/a", target="/b")
Mount(source="/a", target="/c")
found.append(len(texts))
"""
    assert found_by(counting) == [0, 1]


def test_values_of_others_are_left_alone() -> None:
    code = """
import dataclasses
@dataclasses.dataclass
class Other:
    "Somebody else's."
    name: str
import inspect
found = [Other.__init__.__code__.co_varnames, list(inspect.signature(Other).parameters)]
"""
    assert found_by(code) == [["self", "name"], ["name"]]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import pathlib\nfound = pathlib.Path('/a b').as_uri()", "file:///a%20b"),
        ("import pathlib\nfound = type(sys.modules['urllib.parse']).__name__", "_Later"),
        ("import urllib.parse\nfound = urllib.parse.urlsplit('http://[::1]:1/').hostname", "::1"),
        ("import urllib.parse\nfound = urllib.parse.urlsplit('http://h/p').path", "/p"),
        ("from urllib.parse import quote\nimport urllib.parse\nfound = [quote('a b'), urllib.parse.quote is quote]", ["a%20b", True]),
        ("import copy\nfirst = [[]]\nfound = [copy.deepcopy(first) == first, copy.deepcopy(first)[0] is first[0]]", [True, False]),
        ("from inspect import isclass\nfound = [isclass(int), isclass(1)]", [True, False]),
        ("import locale, copy\nlocale.getlocale, copy.copy\nfound = [type(sys.modules[n]).__name__ for n in ('locale', 'copy')]", ["module"] * 2),
        ("import urllib.parse\nurllib.parse.quote\nfound = type(sys.modules['ipaddress']).__name__", "_Later"),
        ("import copy\nfound = [hasattr(copy, 'nothing'), hasattr(copy, '__path__')]", [False, False]),
    ],
)  # fmt: skip
def test_what_a_module_has_is_there_when_it_is_asked_for(code: str, expected: object) -> None:
    assert found_by(code) == expected
