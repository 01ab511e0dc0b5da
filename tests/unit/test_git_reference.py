"""What may stand behind `git:`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatchlock.address import BadSource
from hatchlock.sources.projects.git import GitReference
from hatchlock.sources.projects.git_reference import repository_url

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("spec", "url", "ref"),
    [
        ("https://Example.com/owner/repo", "https://example.com/owner/repo", ""),
        ("https://example.com/owner/repo.git/", "https://example.com/owner/repo.git", ""),
        ("https://example.com:8443/owner/repo@main", "https://example.com:8443/owner/repo", "main"),
        ("git+https://example.com/owner/repo@v1.2", "https://example.com/owner/repo", "v1.2"),
        ("https://example.com/owner/repo@HEAD", "https://example.com/owner/repo", ""),
        ("https://example.com/owner/repo@feature/a/b", "https://example.com/owner/repo", "feature/a/b"),
        ("https://example.com/o/r@@scope/pkg@1.0.0", "https://example.com/o/r", "@scope/pkg@1.0.0"),
        ("https://example.com/%40team/repo@main", "https://example.com/%40team/repo", "main"),
        (f"https://example.com/owner/repo@{COMMIT}", "https://example.com/owner/repo", COMMIT),
        ("https://example.com/owner/repo@refs/pull/7/head", "https://example.com/owner/repo", "refs/pull/7/head"),
        ("https://example.com/owner/repo@issue%2342", "https://example.com/owner/repo", "issue#42"),
        ("ssh://git@example.com/owner/repo@main", "ssh://git@example.com/owner/repo", "main"),
        ("ssh://git@example.com:2222/~/repo", "ssh://git@example.com:2222/~/repo", ""),
        ("ssh://example.com/repo", "ssh://example.com/repo", ""),
        ("git+ssh://git@example.com/owner/repo", "ssh://git@example.com/owner/repo", ""),
        ("git@example.com:owner/repo.git@v1", "git@example.com:owner/repo.git", "v1"),
        ("git@example.com:/srv/repo", "git@example.com:/srv/repo", ""),
        ("http://127.0.0.1:8000/repo", "http://127.0.0.1:8000/repo", ""),
        ("http://localhost/repo@x", "http://localhost/repo", "x"),
        ("http://[::1]:80/repo@x", "http://[::1]:80/repo", "x"),
        ("file:///srv/my%20repo@x", "file:///srv/my%20repo", "x"),
        ("/srv/my repo/@x", "file:///srv/my%20repo", "x"),
    ],
)
def test_what_is_accepted_and_its_normal_form(spec: str, url: str, ref: str) -> None:
    reference = GitReference.parse(spec)
    assert (reference.url, reference.ref) == (url, ref)
    assert GitReference.parse(str(reference)) == reference


def test_options_behind_the_hash() -> None:
    text = "https://example.com/o/r@main#subdirectory=packages/./my%20server/&submodules=true&as=node"
    reference = GitReference.parse(text)
    assert (reference.subdirectory, reference.submodules, reference.as_) == ("packages/my server", True, "node")
    assert str(reference) == "https://example.com/o/r@main#subdirectory=packages/my%20server&submodules=true&as=node"


def test_pips_egg_says_nothing_and_false_is_the_default() -> None:
    reference = GitReference.parse("git+https://example.com/o/r#egg=name&submodules=false&subdirectory=.")
    assert str(reference) == "https://example.com/o/r"


REFUSED = {
    "": "there is no repository's address",
    "owner/repo": "no repository's address",
    "example.com/owner/repo": "no repository's address",
    "./repo": "no repository's address",
    "https://": "no host",
    "https:///path": "no host",
    "https://example.com": "no path",
    "https://example.com/": "no path",
    "https://example.com/o/r?x=1": "has no `?`",
    "https://example.com:port/o/r": "no number as port",
    "https://-oProxyCommand=x/o/r": "no host",
    "https://exa%6dple.com/o/r": "no host",
    "ssh://-oProxyCommand=touch%20x/o/r": "no host",
    "ssh://-x@example.com/o/r": "user name",
    "-x@example.com:o/r": "no user@host:path",
    "git@-oProxyCommand=x:o/r": "no user@host:path",
    "git@example.com:--upload-pack=x": "no repository's address",
    "--upload-pack=touch x": "there is no repository's address",
    "http://example.com/o/r": "can be read and changed",
    "git://example.com/o/r": "git:// is no way",
    "ext::sh -c id": "there is no repository's address",
    "ext::sh": "no repository's address",
    "ftp://example.com/o/r": "ftp:// is no way",
    "fd::17/foo": "no repository's address",
    "file://example.com/srv/r": "has no host",
    "https://example.com/a b": "there is no repository's address",
    "https://example.com/a%0ab": "cannot be printed",
    "https://example.com/o/r@--upload-pack=x": "is no name of a ref",
    "https://example.com/o/r@a..b": "is no name of a ref",
    "https://example.com/o/r@a:b": "is no name of a ref",
    "https://example.com/o/r@main^{tree}": "is no name of a ref",
    "https://example.com/o/r@a%20b": "is no name of a ref",
    "https://example.com/o/r@a*": "is no name of a ref",
    "https://example.com/o/r@x.lock": "is no name of a ref",
    "https://example.com/o/r@/x": "is no name of a ref",
    "https://example.com/o/r#main": "behind the # says nothing",
    "https://example.com/o/r#branch=main": "'branch' is unknown",
    "https://example.com/o/r#as=node&as=python": "'as' is unknown or twice",
    "https://example.com/o/r#as=": "as= is not known",
    "https://example.com/o/r#as=ruby": "as=ruby is not known",
    "https://example.com/o/r#submodules=yes": "submodules=yes is not known",
    "https://example.com/o/r#subdirectory=../x": "not a directory in the repository",
    "https://example.com/o/r#subdirectory=/x": "not a directory in the repository",
    "https://example.com/o/r#subdirectory=a/.git/b": "not a directory in the repository",
    "https://example.com/o/r#subdirectory=a%00b": "not a directory in the repository",
}


@pytest.mark.parametrize("spec", sorted(REFUSED))
def test_what_is_refused_with_advice(spec: str) -> None:
    with pytest.raises(BadSource) as caught:
        GitReference.parse(spec)
    assert REFUSED[spec] in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "spec",
    [
        "https://token-4711@example.com/o/r",
        "https://me:token-4711@example.com/o/r@main",
        "https://me:token-4711@example.com:443/o/r#as=ruby",
        "https://me:to/token-4711@example.com/o/r",
        "git+https://me:token-4711@example.com/o/r#subdirectory=../x",
        "https://me:token-4711@example.com/o/r@a..b",
        "http://me:token-4711@example.com/o/r",
        "ssh://git:token-4711@example.com/o/r",
        "file://me:token-4711@/srv/r",
    ],
)
def test_credentials_are_refused_and_not_shown(spec: str) -> None:
    with pytest.raises(BadSource) as caught:
        GitReference.parse(spec)
    assert "token-4711" not in f"{caught.value} {caught.value.hint}"


def test_the_hint_for_credentials_says_where_git_keeps_them() -> None:
    with pytest.raises(BadSource) as caught:
        GitReference.parse("https://me:secret@example.com/o/r")
    assert "credential helper" in caught.value.hint
    assert "netrc" in caught.value.hint


@pytest.mark.parametrize(
    ("spec", "name", "publisher"),
    [
        ("https://example.com/owner/my-repo.git@v1", "my-repo", "example.com/owner"),
        ("git@example.com:owner/sub/repo.git", "repo", "example.com/owner/sub"),
        ("ssh://git@example.com:22/owner/repo", "repo", "example.com:22/owner"),
        ("git@example.com:repo", "repo", "example.com"),
        ("/srv/git/repo.git", "repo", ""),
    ],
)
def test_its_name_and_who_publishes_it(spec: str, name: str, publisher: str) -> None:
    reference = GitReference.parse(spec)
    assert (reference.name, reference.publisher) == (name, publisher)


WORD = st.text("abcXYZ019_-+@~.% é#&=", min_size=1, max_size=8)


@given(
    base=st.sampled_from(["https://example.com/", "ssh://git@example.com/", "git@example.com:", "/srv/", "file:///"]),
    path=st.lists(WORD, min_size=1, max_size=3),
    ref=st.lists(WORD, max_size=3),
    fragment=WORD,
)
def test_anything_is_refused_or_has_a_normal_form(base: str, path: list[str], ref: list[str], fragment: str) -> None:
    text = base + "/".join(path) + (f"@{'/'.join(ref)}" if ref else "")
    for spec in (text, f"{text}#subdirectory={fragment}"):
        try:
            reference = GitReference.parse(spec)
        except BadSource:
            continue
        assert GitReference.parse(str(reference)) == reference
        assert repository_url(reference.url) == reference.url


@pytest.mark.parametrize(
    ("spec", "local"),
    [
        ("/srv/a", True),
        ("file:///srv/a@main", True),
        ("file://localhost/srv/a", True),
        ("https://example.com/a", False),
        ("git@example.com:a/b", False),
    ],
)
def test_directories_of_this_machine_are_known(spec: str, local: bool) -> None:
    assert GitReference.parse(spec).is_local is local
