"""What comes out of a build: one form for one content, and nothing else than the package that was wanted."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from hatchlock.realise.builds.order import BadBuildResult, taken_wheel
from hatchlock.realise.builds.record import BuildRecord, BuildRecords, build_key
from hatchlock.realise.builds.wheel import normalised_wheel
from hatchlock.sources.python.metadata import WheelMetadata

INFO = "thing-1.0.dist-info"
FILE = "thing-1.0-py3-none-any.whl"
METADATA = (
    b"Metadata-Version: 2.1\nName: Thing\nVersion: 1.0\nRequires-Dist: anyio (>=4)\nRequires-Dist: x; extra == 'y'\n"
)
MEMBERS = {
    "thing/__init__.py": b"VALUE = 1\n",
    "thing/__pycache__/__init__.cpython-311.pyc": b"bytecode",
    f"{INFO}/METADATA": METADATA,
    f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n",
    f"{INFO}/RECORD": b"of another wheel",
}
SAID = WheelMetadata(requires_dist=("anyio>=4",))
KEY = "0" * 64


def wheel(
    path: Path, members: Iterable[tuple[str, bytes]], *, year: int = 1999, method: int = 8, mode: int = 0o644
) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name, (year, 2, 3, 4, 5, 6))
            info.external_attr = (0o100000 | mode) << 16
            info.compress_type = method
            archive.writestr(info, data)
    return path


def normal(
    tmp_path: Path,
    built: Path,
    *,
    file: str = FILE,
    said: WheelMetadata = SAID,
    package: str = "pypi:thing@1.0",
) -> bytes:
    out = tmp_path / "out"
    normalised_wheel(built, out, file=file, package=package, said=said)
    return out.read_bytes()


def test_equal_content_is_equal_bytes_whoever_packed_it_and_when(tmp_path: Path) -> None:
    one = wheel(tmp_path / "one", MEMBERS.items())
    two = wheel(tmp_path / "two", reversed(MEMBERS.items()), year=2020, method=0, mode=0o600)
    assert one.read_bytes() != two.read_bytes()
    assert normal(tmp_path, one) == normal(tmp_path, two)


def test_its_record_is_that_of_what_is_in_it_and_bytecode_is_not(tmp_path: Path) -> None:
    data = normal(tmp_path, wheel(tmp_path / "one", MEMBERS.items(), mode=0o700))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        rows = archive.read(f"{INFO}/RECORD").decode().splitlines()
    assert list(infos) == ["thing/__init__.py", f"{INFO}/METADATA", f"{INFO}/WHEEL", f"{INFO}/RECORD"]
    assert {info.date_time for info in infos.values()} == {(1980, 1, 1, 0, 0, 0)}
    assert infos["thing/__init__.py"].external_attr >> 16 == 0o100755
    digest = base64.urlsafe_b64encode(hashlib.sha256(MEMBERS["thing/__init__.py"]).digest()).rstrip(b"=").decode()
    assert rows[0] == f"thing/__init__.py,sha256={digest},10"
    assert rows[-1] == f"{INFO}/RECORD,,"


@pytest.mark.parametrize(
    ("change", "file", "why"),
    [
        ({}, "other-1.0-py3-none-any.whl", "it is thing 1.0 as other-1.0"),
        ({}, "thing-2.0-py3-none-any.whl", "it is thing 1.0 as thing-2.0"),
        ({f"{INFO}/METADATA": METADATA.replace(b"Version: 1.0", b"Version: 3")}, FILE, "it is thing 3"),
        ({}, "thing.whl", "no wheel of one package"),
        ({}, "thing-1.0-py3-none-any/../../other.whl", "no wheel of one package"),
        ({"../outside": b""}, FILE, "leads out of it"),
        ({"/etc/passwd": b""}, FILE, "leads out of it"),
        ({"other-1.dist-info/METADATA": b""}, FILE, "no wheel of one package"),
        (
            {f"{INFO}/METADATA": METADATA + b"Requires-Dist: requests\n"},
            FILE,
            "needs requests, which its source did not",
        ),
    ],
)
def test_another_package_and_what_the_lock_does_not_have_are_refused(
    tmp_path: Path, change: dict[str, bytes], file: str, why: str
) -> None:
    with pytest.raises(BadBuildResult, match=why):
        normal(tmp_path, wheel(tmp_path / "one", {**MEMBERS, **change}.items()), file=file)


@pytest.mark.parametrize("version", ["1.0+s0123456789ab", "1.0", "0+g0123456789ab"])
def test_the_version_of_a_project_is_the_locked_one_without_its_mark_if_that_could_be_read(
    tmp_path: Path, version: str
) -> None:
    built = wheel(tmp_path / "one", MEMBERS.items())
    assert normal(tmp_path, built, package=f"path:thing@{version}") == normal(tmp_path, built)


def test_another_version_of_a_project_is_refused(tmp_path: Path) -> None:
    built = wheel(tmp_path / "one", MEMBERS.items())
    for version in ("1.1+s0123456789ab", "1.0+local.s0123456789ab"):
        with pytest.raises(BadBuildResult, match=r"it is thing 1\.0"):
            normal(tmp_path, built, package=f"path:thing@{version}")
    with pytest.raises(BadBuildResult, match=r"it is thing 1\.0"):
        normal(tmp_path, built, package="pypi:thing@0")


def test_metadata_that_would_fill_the_memory_are_not_read(tmp_path: Path) -> None:
    built = wheel(tmp_path / "one", {**MEMBERS, f"{INFO}/METADATA": METADATA + bytes(17 << 20)}.items())
    assert built.stat().st_size < 100_000
    with pytest.raises(BadBuildResult, match="METADATA is too large"):
        normal(tmp_path, built)


def test_what_is_no_zip_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"nothing")
    with pytest.raises(BadBuildResult):
        normal(tmp_path, tmp_path / "one")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{}\n",
        b"[]\n",
        b'{"name": "a", "size": 0}\n',
        b'{"name": "a", "size": 1e999}\n',
        b"[" * 60_000 + b"\n",
        b'{"name": "a", "size": 4}\nabc',
        b'{"name": "a", "size": 2}\nabc',
    ],
)
def test_a_build_that_says_something_else_than_a_wheel_is_refused(tmp_path: Path, said: bytes) -> None:
    with pytest.raises(BadBuildResult):
        taken_wheel(io.BytesIO(said), tmp_path / "wheel", package="pypi:thing@1.0")


def test_results_of_one_input_are_compared_and_once_different_stay_so(tmp_path: Path) -> None:
    records = BuildRecords(tmp_path / "builds")
    one, two = (
        BuildRecord(package="pypi:thing@1.0", archive="a" * 64, file=FILE, sha256=digit * 64, size=9) for digit in "12"
    )
    assert records.find(KEY) is None
    assert records.note(KEY, one).rebuilt == ""
    assert records.note(KEY, one).rebuilt == "equal"
    assert records.note(KEY, two).rebuilt == "differs"
    assert records.note(KEY, two).rebuilt == "differs"
    found = records.find(KEY)
    assert found is not None
    assert (found.sha256, found.is_reproducible) == ("2" * 64, False)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": 2}', '{"format": 1, "package": "a", "file": "../a.whl", "sha256": "b", "size": 1}']
)
def test_a_record_that_is_none_is_the_same_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / f"{KEY}.json").write_text(text)
    assert BuildRecords(tmp_path).find(KEY) is None


def test_a_key_depends_on_everything_that_goes_in_and_on_no_order() -> None:
    given = {"package": "pypi:a@1", "archive": "1", "platform": "linux/amd64", "python": "3.11.2", "base": ""}
    keys = {build_key(**given, wheels=["2", "3"])}
    assert build_key(**given, wheels=["3", "2"]) in keys
    for name in given:
        keys.add(build_key(**{**given, name: "other"}, wheels=["2", "3"]))
    assert len(keys) == 1 + len(given)
