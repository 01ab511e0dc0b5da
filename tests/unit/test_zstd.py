"""Zstandard streams: every frame of them, and no more memory than is allowed."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from hatchlock.realise.zstd import ZSTD_HEAD, DamagedZstd, is_zstd, open_zstd
from support.compressed import SKIPPED, zstd

TEXT = b"a line of text\n" * 20_000
WHOLE = zstd(TEXT)


def read(data: bytes) -> bytes:
    return open_zstd(io.BytesIO(data)).read()


@pytest.mark.parametrize("head", [b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b"\x5f\x2a\x4d\x18"])
def test_a_stream_is_known_by_its_first_frame(head: bytes) -> None:
    assert len(head) == ZSTD_HEAD
    assert is_zstd(head)


@pytest.mark.parametrize("head", [b"", b"\x28\xb5\x2f", b"\x60\x2a\x4d\x18", b"\x1f\x8b\x08\x00", b"PK\x03\x04"])
def test_other_streams_are_not_taken_for_one(head: bytes) -> None:
    assert not is_zstd(head)


def test_all_frames_are_read_and_those_to_skip_are_skipped() -> None:
    assert read(SKIPPED + WHOLE + zstd(b"") + SKIPPED + zstd(b"more") + SKIPPED) == TEXT + b"more"


def test_it_can_be_read_in_pieces_and_again() -> None:
    stream = open_zstd(io.BytesIO(WHOLE))
    assert (stream.read(6), stream.tell()) == (b"a line", 6)
    assert stream.seek(0, os.SEEK_END) == len(TEXT)
    assert stream.seek(2) == 2
    assert stream.read() == TEXT[2:]


@pytest.mark.parametrize("cut", [4, len(WHOLE) // 2, len(WHOLE) - 1])
def test_what_is_cut_off_is_told(cut: int) -> None:
    with pytest.raises(EOFError):
        read(WHOLE[:cut])
    with pytest.raises(EOFError):
        open_zstd(io.BytesIO(WHOLE[:cut])).seek(0, os.SEEK_END)


def test_what_is_damaged_or_followed_by_something_else_is_told() -> None:
    for data in (WHOLE[:-1] + bytes([WHOLE[-1] ^ 1]), WHOLE + b"else", WHOLE[:20] + b"\xff" * 20 + WHOLE[40:]):
        with pytest.raises(DamagedZstd):
            read(data)
        with pytest.raises(DamagedZstd):
            open_zstd(io.BytesIO(data)).seek(0, os.SEEK_END)


def test_a_window_of_128_mib_is_the_widest() -> None:
    assert read(zstd(TEXT, window_log=27)) == TEXT
    with pytest.raises(DamagedZstd, match="too much memory"):
        read(zstd(TEXT, window_log=28))


def test_the_library_is_loaded_by_the_first_stream() -> None:
    program = """
import io, sys
from hatchlock.realise import archives, zstd
from hatchlock.images import archive, layers_read, packed
names = {"backports.zstd", "compression.zstd"}
assert not names & set(sys.modules)
zstd.open_zstd(io.BytesIO())
assert names & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
