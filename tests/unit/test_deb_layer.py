"""Layers of Debian packages as values: where things go, who has them, what goes away, and what dpkg's records say."""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.realise.debs.layer import deb_tree
from hatchlock.realise.debs.placing import BaseOverwritten, DebsClash
from hatchlock.realise.tree import Entry
from hatchlock.realise.unpack import BadArchive
from hatchlock.sources.debian.control import paragraphs
from support.deb_layers import base_of, content_of, layer_of, on_disk
from support.debian_archive import Deb, Link

STATUS = "var/lib/dpkg/status"
INFO = "var/lib/dpkg/info"
MERGED = {"lib": Link("usr/lib"), "bin": Link("usr/bin"), "usr/lib/x": None, "usr/bin/sh": b"", "var/run": Link("/run")}


def files(layer: dict[str, Entry]) -> list[str]:
    return [path for path, entry in layer.items() if entry.kind != "directory" and not path.startswith("var/lib/dpkg")]


def text(entry: Entry) -> str:
    return content_of(entry).decode()


def stanzas(layer: dict[str, Entry]) -> dict[str, dict[str, str]]:
    return {item["package"]: item for item in paragraphs(text(layer[STATUS]))}


# places


def test_files_go_through_every_symlink_of_the_base_and_directories_stay_links(tmp_path: Path) -> None:
    hello = Deb(
        name="hello",
        files={
            "bin/hello": "x",
            "lib/x/y/z": "x",
            "var/run/hello/pid": "x",
            "usr/lib/own": Link("/opt/own"),
            "opt/own": None,
            "usr/lib/own/thing": "x",
        },
    )
    layer = layer_of(tmp_path, base_of(MERGED), hello)
    assert files(layer) == ["opt/own/thing", "run/hello/pid", "usr/bin/hello", "usr/lib/own", "usr/lib/x/y/z"]
    assert not {"bin", "lib", "var/run"} & layer.keys()
    assert layer["usr/lib/own"].kind == "symlink"
    # dpkg knows paths as packages have them
    assert "/bin/hello\n" in text(layer[f"{INFO}/hello.list"])


def test_files_go_through_symlinks_that_other_packages_bring(tmp_path: Path) -> None:
    """Whichever comes first, and also where links lie behind links."""
    one = Deb(name="one", files={"usr/share/a/file": "1", "opt/deep/file": "2"})
    two = Deb(
        name="two", files={"usr/share/a": Link("../lib/a"), "usr/lib/a": None, "opt/deep": Link("/usr/share/a/in")}
    )
    layer = layer_of(tmp_path, base_of(), one, two)
    assert files(layer) == ["opt/deep", "usr/lib/a/file", "usr/lib/a/in/file", "usr/share/a"]


def test_links_that_lead_in_a_circle_are_refused(tmp_path: Path) -> None:
    one = Deb(name="one", files={"a": Link("b"), "b": Link("a")})
    two = Deb(name="two", files={"a/file": ""})
    with pytest.raises(BadArchive, match="circle"):
        layer_of(tmp_path, base_of(), one, two)


def test_a_directory_of_the_base_stays_where_a_package_has_a_link(tmp_path: Path) -> None:
    layer = layer_of(tmp_path, base_of({"usr/doc/x": b""}), Deb(name="one", files={"usr/doc": Link("share/doc")}))
    assert "usr/doc" not in layer


def test_a_diverted_path_goes_where_the_base_says(tmp_path: Path) -> None:
    base = base_of({"var/lib/dpkg/diversions": b"/bin/sh\n/bin/sh.distrib\nother\n/x\n/y\n:\n"})
    layer = layer_of(tmp_path, base, Deb(name="shell", files={"bin/sh": "new", "x": ""}), Deb(name="other"))
    assert files(layer) == ["bin/sh.distrib", "y"]
    assert "/bin/sh\n" in text(layer[f"{INFO}/shell.list"])
    own = layer_of(tmp_path, base, Deb(name="other", files={"bin/sh": "own"}))
    assert files(own) == ["bin/sh"]


# who has what


OLD = Deb(name="tool", files={"usr/bin/tool": "1", "usr/lib/tool/old": "1", "usr/share/both": "1", "etc/tool": "a"})
NEW = Deb(
    name="tool", version="2.0-1", files={"usr/bin/tool": "2", "etc/tool": "b"}, control={"conffiles": "/etc/tool\n"}
)


def test_an_upgraded_package_takes_its_old_files_away(tmp_path: Path) -> None:
    other = Deb(name="other", files={"usr/share/both": "1"})
    layer = layer_of(tmp_path, base_of({"usr/lib/x": b""}, OLD, other), NEW)
    gone = [path for path, entry in layer.items() if entry.kind == "whiteout"]
    assert gone == ["usr/lib/tool"]
    assert content_of(layer["etc/tool"]) == b"b"
    assert {name: item["version"] for name, item in stanzas(layer).items()} == {"other": "1.0-1", "tool": "2.0-1"}
    digest = hashlib.md5(b"b").hexdigest()
    assert stanzas(layer)["tool"]["conffiles"].split() == ["/etc/tool", digest]


def test_a_directory_that_something_is_left_in_stays(tmp_path: Path) -> None:
    layer = layer_of(tmp_path, base_of({"usr/lib/tool/of-nobody": b"", "usr/share/x": b""}, OLD), NEW)
    gone = [path for path, entry in layer.items() if entry.kind == "whiteout"]
    assert gone == ["usr/lib/tool/old", "usr/share/both"]


def test_records_of_the_old_version_go_away_if_the_new_one_has_none(tmp_path: Path) -> None:
    old = replace(OLD, name="libx", fields={"Multi-Arch": "same"})
    new = replace(NEW, name="libx")
    base = base_of(
        {f"{INFO}/libx:amd64.postinst": b"", f"{INFO}/libx:amd64.shlibs": b"", f"{INFO}/libx.y.list": b""}, old
    )
    layer = layer_of(tmp_path, base, new)
    assert {path: layer[path].kind for path in layer if path.startswith(f"{INFO}/")} == {
        f"{INFO}/libx.conffiles": "file",
        f"{INFO}/libx.list": "file",
        f"{INFO}/libx.md5sums": "file",
        f"{INFO}/libx:amd64.list": "whiteout",
        f"{INFO}/libx:amd64.postinst": "whiteout",
        f"{INFO}/libx:amd64.shlibs": "whiteout",
    }


def test_a_file_of_another_package_of_the_base_is_not_overwritten(tmp_path: Path) -> None:
    thief = Deb(name="thief", files={"usr/bin/tool": "mine"})
    with pytest.raises(BaseOverwritten) as caught:
        layer_of(tmp_path, base_of(None, OLD), thief)
    assert str(caught.value) == (
        "deb:thief 1.0-1 would overwrite /usr/bin/tool, which belongs to tool 1.0-1 of the base"
    )
    assert caught.value.hint


def test_a_file_of_no_package_of_the_base_is_not_overwritten_unless_it_is_the_same(tmp_path: Path) -> None:
    base = base_of({"opt/a": b"1", "etc/ld.so.conf": b"/x\n", "opt/link": Link("a")})
    with pytest.raises(BaseOverwritten, match="which belongs to no package of the base"):
        layer_of(tmp_path, base, Deb(name="one", files={"opt/a": "2"}))
    with pytest.raises(BaseOverwritten):
        layer_of(tmp_path, base, Deb(name="one", files={"opt/link": Link("b")}))
    same = Deb(name="one", files={"etc/ld.so.conf": "/x\n", "opt/link": Link("a")})
    assert files(layer_of(tmp_path, base, same)) == ["etc/ld.so.conf", "opt/link"]


def test_a_directory_of_the_base_is_not_overwritten_by_a_file(tmp_path: Path) -> None:
    with pytest.raises(BaseOverwritten):
        layer_of(tmp_path, base_of({"opt/a/b": b""}), Deb(name="one", files={"opt/a": "x"}))


@pytest.mark.parametrize(
    ("relation", "is_allowed"), [("tool", True), ("tool (<< 2)", True), ("tool (<< 1.0-1)", False)]
)
def test_who_says_that_it_replaces_a_package_takes_its_file(tmp_path: Path, relation: str, is_allowed: bool) -> None:
    heir = Deb(name="heir", files={"usr/bin/tool": "mine"}, fields={"Replaces": relation})
    if not is_allowed:
        with pytest.raises(BaseOverwritten):
            layer_of(tmp_path, base_of(None, OLD), heir)
        return
    layer = layer_of(tmp_path, base_of(None, OLD), heir)
    # else `dpkg --verify` would find it changed
    assert "/usr/bin/tool\n" not in text(layer[f"{INFO}/tool.list"])
    assert "/usr/lib/tool/old\n" in text(layer[f"{INFO}/tool.list"])


def test_the_same_content_belongs_to_both(tmp_path: Path) -> None:
    sums = f"{hashlib.md5(b'1').hexdigest()}  usr/bin/tool\n"
    base = base_of({f"{INFO}/tool.md5sums": sums}, OLD)
    layer = layer_of(tmp_path, base, Deb(name="twin", files={"usr/bin/tool": "1"}))
    assert f"{INFO}/tool.list" not in layer


def test_a_file_may_move_from_an_upgraded_package_to_another_one(tmp_path: Path) -> None:
    layer = layer_of(tmp_path, base_of(None, OLD), NEW, Deb(name="split", files={"usr/lib/tool/old": "moved"}))
    assert content_of(layer["usr/lib/tool/old"]) == b"moved"


def test_two_packages_with_one_file_clash_unless_one_replaces_the_other(tmp_path: Path) -> None:
    one, two = Deb(name="one", files={"opt/a": "1"}), Deb(name="two", files={"opt/a": "2"})
    with pytest.raises(DebsClash) as caught:
        layer_of(tmp_path, base_of(), two, one)
    assert str(caught.value) == "/opt/a is in both deb:one 1.0-1 and deb:two 1.0-1"
    for heir, other in ((one, two), (two, one)):
        layer = layer_of(tmp_path, base_of(), replace(heir, fields={"Replaces": other.name}), other)
        assert content_of(layer["opt/a"]) == str(heir.files["opt/a"]).encode()
        assert "/opt/a\n" in text(layer[f"{INFO}/{heir.name}.list"])
        assert "/opt/a\n" not in text(layer[f"{INFO}/{other.name}.list"])
    assert "opt/a" in layer_of(tmp_path, base_of(), one, Deb(name="same", files={"opt/a": "1"}))
    with pytest.raises(DebsClash):
        layer_of(tmp_path, base_of(), one, Deb(name="odd", files={"opt/a/b": "1"}))


# records


def test_the_status_has_everything_that_the_package_says(tmp_path: Path) -> None:
    fields = {"Depends": "libc6", "Homepage": "https://example.com", "Essential": "no", "Description": "a\n b\n ."}
    base = base_of(None, Deb(name="zlib", files={"z": ""}), Deb(name="apt", files={"a": ""}))
    layer = layer_of(tmp_path, base, Deb(name="hello", fields=fields))
    found = text(layer[STATUS])
    assert list(stanzas(layer)) == ["apt", "hello", "zlib"]
    assert found.endswith("\n")
    (own,) = [item for item in found.split("\n\n") if item.startswith("Package: hello\n")]
    assert own == (
        "Package: hello\nEssential: no\nStatus: install ok installed\nPriority: optional\n"
        "Maintainer: The Example Team <team@example.com>\nArchitecture: amd64\nVersion: 1.0-1\nDepends: libc6\n"
        "Description: a\n b\n .\nHomepage: https://example.com"
    )


def test_control_files_are_kept_with_their_modes(tmp_path: Path) -> None:
    deb = Deb(name="libx", fields={"Multi-Arch": "same"}, control={"postinst": "#!/bin/sh\n", "shlibs": "x\n"})
    layer = layer_of(tmp_path, base_of(), deb)
    modes = {path.rpartition(".")[2]: entry.mode for path, entry in layer.items() if f"{INFO}/libx:amd64." in path}
    assert modes == {"list": 0o644, "md5sums": 0o644, "postinst": 0o755, "shlibs": 0o644}


def test_who_waits_for_triggers_is_recorded(tmp_path: Path) -> None:
    triggers = "interest-noawait /usr/share/fonts\ninterest update-x\nactivate ldconfig\n# no\n"
    deb = Deb(name="fonts", control={"triggers": triggers}, version="2")
    folder = "var/lib/dpkg/triggers"
    base = base_of({f"{folder}/File": b"/a other\n/usr/share/old fonts\n", f"{folder}/other": b"x\n"})
    layer = layer_of(tmp_path, base, deb)
    assert text(layer[f"{folder}/File"]) == "/a other\n/usr/share/fonts fonts/noawait\n"
    assert text(layer[f"{folder}/update-x"]) == "fonts\n"
    assert f"{folder}/other" not in layer


def test_a_base_that_was_made_without_dpkg_gets_records_in_its_own_form(tmp_path: Path) -> None:
    folder = "var/lib/dpkg/status.d"
    sums = "0123456789abcdef0123456789abcdef  usr/lib/libssl.so.1\n0123456789abcdef0123456789abcdef  usr/lib/old\n"
    base = base_of(
        {
            f"{folder}/ssl": b"Package: libssl\nVersion: 1\nArchitecture: amd64\n",
            f"{folder}/ssl.md5sums": sums,
            "usr/lib/libssl.so.1": b"",
            "usr/lib/libssl.so": Link("libssl.so.1"),
            "usr/lib/old": b"",
        }
    )
    base = replace(base, paths={path: item for path, item in base.paths.items() if path != STATUS})
    base = replace(base, files={path: item for path, item in base.files.items() if path != STATUS})
    upgrade = Deb(name="libssl", version="2", files={"usr/lib/libssl.so.1": "2", "usr/lib/libssl.so": Link("other")})
    layer = layer_of(tmp_path, base, upgrade, Deb(name="hello", files={"usr/bin/hello": ""}))
    assert STATUS not in layer
    assert f"{folder}/libssl" not in layer
    assert "Version: 2\n" in text(layer[f"{folder}/ssl"])
    assert "Status" not in text(layer[f"{folder}/hello"])
    assert text(layer[f"{folder}/hello.md5sums"]).split()[1:] == ["usr/bin/hello"]
    assert layer["usr/lib/old"].kind == "whiteout"


# the same everywhere


def test_order_umask_time_and_place_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    debs = [
        NEW,
        Deb(name="one", files={"usr/share/a/file": "1", "etc/one": "x"}, control={"conffiles": "/etc/one\n"}),
        Deb(name="two", files={"usr/share/a": Link("../lib/a"), "usr/lib/a": None}),
    ]
    found = set()
    for number, order in enumerate(itertools.permutations(debs)):
        directory = tmp_path / f"place-{number}"
        scratch = directory / "scratch"
        before = os.umask([0o022, 0o077, 0o002][number % 3])
        monkeypatch.setenv("TZ", ["UTC", "Asia/Tokyo"][number % 2])
        time.tzset()
        try:
            scratch.mkdir(parents=True)
            entries = deb_tree(on_disk(directory, *order), base=base_of(MERGED, OLD), scratch=scratch)
        finally:
            os.umask(before)
        found.add(tuple((item.path, item.kind, item.mode, item.target, content_of(item)) for item in entries))
    monkeypatch.undo()
    time.tzset()
    assert len(found) == 1
