"""Certificates that a server is to trust, and that have gone since it was applied."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.launch import LaunchRecord
from hatchlock.serve.missing import PathMissing, check_certificates


def test_certificates_that_are_gone_are_named_and_none_are_none(tmp_path: Path) -> None:
    plain = LaunchRecord(project="p", server="s", runtime="process", argv=("/bin/s",), key="k")
    record = replace(plain, ca=str(tmp_path / "own.pem"))
    check_certificates(plain)
    with pytest.raises(PathMissing, match=r"the file of certificates .*/own\.pem does not exist"):
        check_certificates(record)
    (tmp_path / "own.pem").touch()
    check_certificates(record)
