"""A launch record as a profile of macOS's Seatbelt, as text. Not run on a Mac: none of our machines is one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.engines.process import isolation_system
from hatchlock.launch import LaunchRecord, Mount, Sandbox
from hatchlock.security.sandbox import SandboxUnsupported
from hatchlock.security.seatbelt import Seatbelt, seatbelt_argv, seatbelt_problems, seatbelt_profile
from hatchlock.serve.local import start_confined

RECORD = LaunchRecord(
    project="p",
    server="s",
    runtime="process",
    argv=("/store/envs/k/bin/tool", "--flag"),
    key="k",
    read_only_paths=("/store/envs/k", "/opt/python"),
)
SCRATCH = "/private/var/folders/x/hatchlock-1"
GOLDEN = """\
(version 1)
(deny default)
(deny file-write-setugid)
(allow process-fork)
(allow process-info* (target self))
(allow signal (target same-sandbox))
(allow sysctl-read)
(allow ipc-posix-sem)
(allow mach-lookup (global-name "com.apple.system.opendirectoryd.libinfo"))
(allow process-exec (subpath "/bin") (subpath "/usr/bin") (subpath "/usr/sbin") (subpath "/sbin") \
(subpath "/usr/libexec") (subpath "/Library/Apple/usr/libexec/oah") (subpath "/opt/python") (subpath "/store/envs/k") \
(subpath "/store/envs/k/bin/tool"))
(allow file-read* (literal "/"))
(allow file-read-metadata (literal "/etc") (literal "/tmp") (literal "/var") (literal "/dev") (literal "/Library") \
(literal "/Library/Apple") (literal "/Library/Apple/System") (literal "/System") (literal "/System/Volumes") \
(literal "/System/Volumes/Preboot") (literal "/opt") (literal "/private") (literal "/private/etc") \
(literal "/private/var") (literal "/private/var/db") (literal "/private/var/folders") \
(literal "/private/var/folders/x") (literal "/private/var/select") (literal "/store") (literal "/store/envs") \
(literal "/store/envs/k") (literal "/store/envs/k/bin") (literal "/usr"))
(allow file-read* (subpath "/bin") (subpath "/usr/bin") (subpath "/usr/sbin") (subpath "/sbin") \
(subpath "/usr/libexec") (subpath "/Library/Apple/usr/libexec/oah") (subpath "/usr/lib") (subpath "/usr/share") \
(subpath "/System/Library") (subpath "/System/Cryptexes") (subpath "/System/Volumes/Preboot/Cryptexes") \
(subpath "/Library/Apple/System/Library") (subpath "/private/var/db/dyld") (subpath "/private/var/db/timezone") \
(subpath "/private/etc/localtime") (subpath "/private/var/select/sh") (subpath "/opt/python") \
(subpath "/store/envs/k") (subpath "/store/envs/k/bin/tool"))
(allow file-read* file-write-data file-ioctl (literal "/dev/null") (literal "/dev/zero") (literal "/dev/random") \
(literal "/dev/urandom") (literal "/dev/dtracehelper") (literal "/dev/tty") (literal "/dev/stdin") \
(literal "/dev/stdout") (literal "/dev/stderr"))
(allow file-read* file-write-data (subpath "/dev/fd"))
(allow file-read* file-write* (subpath "/private/var/folders/x/hatchlock-1"))
"""


def lines(record: LaunchRecord = RECORD, **more: object) -> list[str]:
    return seatbelt_profile(record, scratch=SCRATCH, **more).splitlines()  # type: ignore[arg-type]


def rules(start: str, record: LaunchRecord = RECORD, **more: object) -> str:
    return "\n".join(line for line in lines(record, **more) if line.startswith(f"(allow {start}"))


def test_the_default_profile_word_for_word() -> None:
    assert seatbelt_profile(RECORD, scratch=SCRATCH) == GOLDEN


def test_mounts_are_read_or_written_to_and_nothing_else_is() -> None:
    mounts = (Mount(source="/work/in", target="/work/in"), Mount(source="/work/out", target="/work/out", mode="rw"))
    record = replace(RECORD, sandbox=Sandbox(mounts=mounts))
    assert '(subpath "/work/in")' in rules("file-read* (subpath", record)
    assert rules("file-read* file-write*", record) == (
        f'(allow file-read* file-write* (subpath "{SCRATCH}") (subpath "/work/out"))'
    )
    assert seatbelt_problems(record) == ()


def test_programs_are_not_run_from_where_it_can_write() -> None:
    assert SCRATCH not in rules("process-exec")


def test_secrets_are_read_and_not_written() -> None:
    assert '(subpath "/secrets/1")' in rules("file-read* (subpath", secrets="/secrets/1")
    assert "/secrets/1" not in rules("file-read* file-write*", secrets="/secrets/1")


def test_there_is_no_network_but_the_one_that_is_asked_for() -> None:
    assert "network" not in "".join(lines())
    assert rules("network", ports=(4143, 443)).splitlines() == [
        '(allow network-outbound (remote ip "localhost:443"))',
        '(allow network-outbound (remote ip "localhost:4143"))',
    ]
    online = replace(RECORD, sandbox=Sandbox(network=("internet",)))
    assert "(allow network*)" in lines(online)


def test_a_path_cannot_end_the_word_that_it_stands_in() -> None:
    hostile = replace(RECORD, read_only_paths=('/x") (allow default) ("', "/y\\"))
    text = rules("file-read* (subpath", hostile)
    assert '(subpath "/x\\") (allow default) (\\"")' in text
    assert '(subpath "/y\\\\")' in text


def test_what_macos_cannot_do_is_refused() -> None:
    sandbox = Sandbox(
        network=("api.example.com:443",),
        mounts=(Mount(source="/a", target="/data"),),
        writable=("/cache",),
        seccomp="./own.json",
    )
    record = replace(RECORD, sandbox=sandbox)
    assert [problem.split(" ")[0] for problem in seatbelt_problems(record)] == ["the", "a", "writable", "a"]
    with pytest.raises(SandboxUnsupported, match="sees it where it is"):
        start_confined(record, Seatbelt(program="/usr/bin/sandbox-exec"), env={"HOME": "/"}, group=0)


def test_a_mac_isolates_if_it_has_the_program(tmp_path: Path) -> None:
    program = tmp_path / "sandbox-exec"
    assert isolation_system({}, platform="darwin", seatbelt=str(program)) == "macOS's sandbox-exec is not there"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert isolation_system({}, platform="darwin", seatbelt=str(program)) == Seatbelt(program=str(program))


def test_the_server_is_started_under_its_profile_with_its_variables_and_limits(tmp_path: Path) -> None:
    program = tmp_path / "sandbox-exec"
    program.write_text(
        '#!/bin/sh\n[ "$1" = -p ] || exit 9\nprofile=$2\nshift 2\nprintf "%s" "$profile" >"$HOME/profile"\nexec "$@"\n'
    )
    program.chmod(0o755)
    record = replace(RECORD, argv=("/bin/sh", "-c", "ulimit -n; echo $A"), read_only_paths=())
    seatbelt = Seatbelt(program=str(program))
    server = start_confined(record, seatbelt, env={"HOME": str(tmp_path), "A": "1"}, group=0)
    said: list[bytes] = []
    server.end_input()
    for read in server.readers(said.append, said.append):
        read()
    assert server.wait() == 0
    assert b"".join(said) == b"1024\n1\n"
    scratch = os.path.realpath(tmp_path)
    assert (tmp_path / "profile").read_text().rstrip("\n") == seatbelt_argv(record, seatbelt, scratch=scratch)[
        2
    ].rstrip("\n")
    server.close()
