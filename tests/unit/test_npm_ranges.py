"""Versions and ranges, against npm's own semver."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hatchlock.sources.npm.ranges import BadNpmRange, BadNpmVersion, NpmRange, NpmVersion

# one question a line: [range, [version, ...]] -> null if it is no range, else per version [in it, in it with prereleases]
SEMVER = """
const semver = require(process.argv[1])
const loose = { loose: true }
require('readline').createInterface({ input: process.stdin }).on('line', line => {
  const [range, versions] = JSON.parse(line)
  let answer = null
  if (range === null) {
    answer = versions.filter(version => semver.valid(version, loose)).sort((a, b) => semver.compareBuild(a, b, loose))
  } else if (semver.validRange(range, loose) !== null) {
    answer = versions.map(version => [
      semver.satisfies(version, range, loose),
      semver.satisfies(version, range, { loose: true, includePrerelease: true }),
    ])
  }
  console.log(JSON.stringify(answer))
})
"""
Ask = Callable[[str | None, list[str]], Any]

VERSIONS = [
    *("0.0.0-0", "0.0.0", "0.0.1", "0.2.3", "0.2.9-0", "1.0.0-0", "1.2.2", "1.2.3-alpha", "1.2.3-beta", "1.2.3-beta.2"),
    *(
        "1.2.3-beta.11",
        "1.2.3-rc.1",
        "1.2.3",
        "1.2.4-beta.1",
        "1.2.4",
        "1.3.0-0",
        "1.3.0",
        "1.10.0",
        "2.0.0-0",
        "2.0.0",
    ),
    *("2.0.1-0", "3.0.0-rc.1", "3.0.0", "10.0.0", "1.2.3+build", "99999.0.0"),
]
RANGES = [
    *(
        "",
        "*",
        "x",
        "X",
        "1",
        "1.x",
        "1.2.x",
        "1.2.*",
        "1.X.x",
        "^1.2.3",
        "^1.2",
        "^1",
        "^0.2.3",
        "^0.0.1",
        "^0",
        "^0.0",
    ),
    *("^*", "^1.2.3-beta.2", "^0.0.1-0", "~1", "~1.2", "~1.2.3", "~>1.2", "~> 1.2.3", "~ 1.2", "~*", "~1.2.3-beta.2"),
    *("1.2 - 2", "1.2.3 - 2.0.0", "1.2.3-beta - 2", "* - 2", "1 - *", "v1.2.3 - =2", "1.2.3 -2.0.0", "1.x - 2.x"),
    *(
        "> 1.2",
        ">1",
        ">=1.2 <2",
        ">= 1.2.3 < 3",
        "<1",
        "<=1",
        "<=1.2",
        "<1.2.x",
        ">1.2.3-beta",
        ">=1.2.3-beta.2",
        "<x",
        ">x",
    ),
    *(
        "=1.2.3",
        "= 1.2",
        "v1.2.3",
        "v 1.2.3",
        "==1.2.3",
        "1.2.3beta",
        "^1.2.3beta",
        ">01.02.03",
        "1.2.3+build",
        "^1.2.3+b",
    ),
    *(
        "1.x || >=2.5.0 || 5.0.0 - 7.2.3",
        "^1 ||",
        "||",
        "* || 1.2.3-beta",
        ">=0.0.0",
        ">=0.0.0 || 1.2.3-beta",
        "~1.2.3-rc.1 || 2",
    ),
    *(
        "latest",
        "next-11",
        "a || 1",
        "a || b",
        "1 latest",
        "> latest",
        ">",
        "^",
        "1.2.3.4",
        "x.1",
        "1.x.3",
        "^x.1",
        "-1",
    ),
    *(
        "99999999999999999999.0.0",
        ">=1.2.3 <1.2.3",
        ">=1 >=1",
        "1 2",
        "<2 || >3",
        "git+https://example.com/a.git",
        "workspace:*",
    ),
]


@pytest.fixture(scope="module")
def semver() -> Iterator[Ask]:
    npm = shutil.which("npm")
    node = shutil.which("node")
    assert npm
    assert node
    root = Path(npm).resolve().parents[1] / "node_modules" / "semver"
    assert root.is_dir()
    with subprocess.Popen(
        [node, "-e", SEMVER, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        asks, answers = process.stdin, process.stdout
        assert asks is not None
        assert answers is not None

        def ask(text: str | None, versions: list[str]) -> Any:
            asks.write(json.dumps([text, versions]) + "\n")
            return json.loads(answers.readline())

        yield ask
        asks.close()


def ours(text: str, versions: list[str]) -> list[list[bool]] | None:
    try:
        found = NpmRange.parse(text)
        parsed = [NpmVersion.parse(version) for version in versions]
        return [[found.contains(version), found.contains(version, prereleases=True)] for version in parsed]
    except BadNpmRange:
        return None


@pytest.mark.parametrize("text", RANGES)
def test_a_range_holds_what_npm_says(semver: Ask, text: str) -> None:
    assert ours(text, VERSIONS) == semver(text, VERSIONS)


def test_combinations_of_common_forms_hold_what_npm_says(semver: Ask) -> None:
    operators = ["", "^", "~", "~>", ">", ">=", "<", "<=", "=", "> ", "~ ", "^v", ">= v"]
    parts = ["0", "1", "0.0", "0.2", "1.2", "2.x", "1.2.3", "0.0.0", "0.2.3", "0.0.1", "1.2.3-beta.2", "1.2.4-0", "*"]
    terms = [operator + part for operator, part in product(operators, parts)]
    texts = [*terms, *(f"{a} {b}" for a, b in zip(terms, reversed(terms), strict=True))]
    assert len(texts) * len(VERSIONS) > 5_000
    wrong = [text for text in texts if ours(text, VERSIONS) != semver(text, VERSIONS)]
    assert wrong == []


NUMBERS = st.sampled_from(["0", "1", "2", "3", "10", "00"])
IDENTIFIERS = st.sampled_from(["0", "1", "11", "a", "beta", "rc-1", "b2", "-", "2a"])
PRERELEASES = st.lists(IDENTIFIERS, min_size=1, max_size=3).map(".".join)
RELEASES = st.tuples(NUMBERS, NUMBERS, NUMBERS).map(".".join)


def behind(mark: st.SearchStrategy[str], texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.just("") | st.builds(str.__add__, mark, texts)


FULL = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "", "v", "="]),
    RELEASES,
    behind(st.sampled_from(["-", "-", ""]), PRERELEASES),
    behind(st.just("+"), PRERELEASES),
)
PART = st.sampled_from(["0", "1", "2", "3", "x", "*"])
PARTIAL = st.lists(PART, min_size=1, max_size=3).map(".".join)
OPERATOR = st.sampled_from(["", "", "^", "~", "~>", ">", ">=", "<", "<=", "=", "^ ", "> ", "~ ", "v"])
TERM = st.builds(str.__add__, OPERATOR, FULL | PARTIAL) | st.sampled_from(["latest", "", "  "])
SPAN = st.builds("{} - {}".format, FULL | PARTIAL, FULL | PARTIAL)
ALTERNATIVE = SPAN | st.lists(TERM, min_size=1, max_size=3).map(" ".join)
RANGE = st.lists(ALTERNATIVE, min_size=1, max_size=3).map(" || ".join) | st.lists(ALTERNATIVE, max_size=2).map(
    "||".join
)


@settings(max_examples=150, deadline=None)
@given(text=RANGE, versions=st.lists(FULL, min_size=4, max_size=8))
@example(text="1.2.3- - 2", versions=["1.2.3--"])
def test_any_range_holds_what_npm_says(semver: Ask, text: str, versions: list[str]) -> None:
    assert ours(text, versions) == semver(text, versions)


@settings(max_examples=50, deadline=None)
@given(versions=st.lists(FULL, min_size=2, max_size=12, unique_by=lambda text: str(NpmVersion.parse(text))))
def test_versions_sort_as_npm_sorts_them(semver: Ask, versions: list[str]) -> None:
    theirs = [NpmVersion.parse(text) for text in semver(None, versions)]
    assert sorted(map(NpmVersion.parse, versions)) == theirs


@pytest.mark.parametrize(
    "text", ["", "1", "1.2", "latest", "1.2.3.4", "^1.2.3", "1.2.x", "9007199254740992.0.0", "1" * 257]
)
def test_what_is_no_version_is_refused(semver: Ask, text: str) -> None:
    assert semver(None, [text]) == []
    with pytest.raises(BadNpmVersion) as caught:
        NpmVersion.parse(text)
    assert caught.value.hint


def test_versions_and_ranges_are_written_in_one_form() -> None:
    assert [str(NpmVersion.parse(text)) for text in ("v1.2.3", "=1.2.3-beta.1+x.y", "1.2.3beta")] == [
        *("1.2.3", "1.2.3-beta.1+x.y", "1.2.3-beta")
    ]
    assert str(NpmRange.parse("  >=1   <2 ")) == ">=1 <2"
    assert NpmVersion.parse("1.0.0+a") != NpmVersion.parse("1.0.0+b")
    assert len({NpmVersion.parse("v1.0.0"), NpmVersion.parse("1.0.0")}) == 1
