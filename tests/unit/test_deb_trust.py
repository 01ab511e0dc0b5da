"""Trusted certificates: the names that OpenSSL looks for, and what update-ca-certificates makes of a package."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hatchlock.realise.base_tree import BaseTree
from hatchlock.realise.debs.subject_hash import BadCertificate, certificates, subject_hash
from hatchlock.realise.tree import Entry
from support.deb_layers import base_of, content_of, layer_of
from support.debian_archive import Deb, Link
from support.unavailable import unavailable

CERTS = "etc/ssl/certs"
BUNDLE = f"{CERTS}/ca-certificates.crt"
SHARED = "usr/share/ca-certificates"
SETTINGS = "etc/ca-certificates.conf"

SUBJECTS = {
    "plain": "/C=DE/O=Example/CN=Plain Root",
    "blanks and cases": "/O=  EXAMPLE   Trust \t Services /CN=a  B",
    "beyond ascii": "/O=Ünïcode Ä/CN=Straße ǅ",
    "several at once": "/C=DE/O=Two+CN=Values+OU=Here",
    "an address": "/CN=x/emailAddress=Root@EXAMPLE.com",
}

Make = Callable[..., bytes]


@pytest.fixture(scope="session")
def openssl() -> str:
    return shutil.which("openssl") or unavailable("there is no openssl")


@pytest.fixture(scope="session")
def make(openssl: str, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes certificates that sign themselves, PEM."""
    directory = tmp_path_factory.mktemp("certificates")
    known: dict[tuple[str, ...], bytes] = {}

    def make(subject: str, *options: str, number: int = 1) -> bytes:
        key = (subject, *options, str(number))
        if key not in known:
            command = [
                *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *(
                    "-subj",
                    subject,
                    "-multivalue-rdn",
                    "-utf8",
                    "-keyout",
                    str(directory / "key"),
                    "-set_serial",
                    str(number),
                ),
            ]
            done = subprocess.run([*command, *options], capture_output=True, check=True)
            known[key] = done.stdout
        return known[key]

    return make


def by_openssl(openssl: str, pem: bytes) -> str:
    command = [openssl, "x509", "-noout", "-subject_hash"]
    return subprocess.run(command, input=pem, capture_output=True, check=True).stdout.decode().strip()


# the last one has no kind of string for everything
KINDS = [(mask, subject) for mask in ("utf8only", "default") for subject in SUBJECTS] + [("nombstr", "plain")]


@pytest.mark.parametrize(("mask", "subject"), KINDS)
def test_the_hash_of_a_subject_is_what_openssl_says(
    openssl: str, make: Make, tmp_path: Path, subject: str, mask: str
) -> None:
    """As UTF-8, and in older kinds of strings: BMPString for what is beyond Latin, T61String for Latin."""
    config = tmp_path / "openssl.cnf"
    config.write_text(f"[req]\ndistinguished_name = dn\nstring_mask = {mask}\n[dn]\n")
    pem = make(SUBJECTS[subject], "-config", str(config))
    (der,) = certificates(pem)
    assert subject_hash(der) == by_openssl(openssl, pem)


def test_what_is_no_certificate_is_refused(make: Make) -> None:
    (der,) = certificates(make(SUBJECTS["plain"]))
    for broken in (b"", b"hello", der[:40], der[:200], b"\x30\x84\xff\xff\xff\xff", b"\x30\x00"):
        with pytest.raises(BadCertificate):
            subject_hash(broken)
    with pytest.raises(BadCertificate):
        certificates(b"-----BEGIN CERTIFICATE-----\n***\n-----END CERTIFICATE-----")


def package(certs: dict[str, bytes], **facts: object) -> Deb:
    files = {f"{SHARED}/{name}": content for name, content in certs.items()}
    return Deb(name="ca-certificates", files=files, **facts)  # type: ignore[arg-type]


def links(layer: dict[str, Entry]) -> dict[str, str]:
    return {path.removeprefix(f"{CERTS}/"): entry.target for path, entry in layer.items() if entry.kind == "symlink"}


def test_a_bundle_links_and_settings_are_made(tmp_path: Path, openssl: str, make: Make) -> None:
    one, two = make(SUBJECTS["plain"]), make(SUBJECTS["an address"]).rstrip(b"\n")
    layer = layer_of(tmp_path, base_of(), package({"m/Zwei (2), x.crt": two, "m/Eins.crt": one}))
    assert content_of(layer[BUNDLE]) == one + two + b"\n"
    assert links(layer) == {
        "Eins.pem": f"/{SHARED}/m/Eins.crt",
        "Zwei_=2=__x.pem": f"/{SHARED}/m/Zwei (2), x.crt",
        f"{by_openssl(openssl, one)}.0": "Eins.pem",
        f"{by_openssl(openssl, two)}.0": "Zwei_=2=__x.pem",
    }
    lines = content_of(layer[SETTINGS]).decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["m/Eins.crt", "m/Zwei (2), x.crt"]


def test_links_are_those_of_openssl_rehash(tmp_path: Path, openssl: str, make: Make) -> None:
    """With two of one subject, the same one twice, and one file that has several."""
    one, again, other = make("/CN=Same"), make("/CN=Same", number=2), make("/CN=Other")
    certs = {"b.crt": one, "a.crt": again, "c.crt": one, "d.crt": other + one, "e.crt": other, "f.crt": b"none"}
    layer = layer_of(tmp_path, base_of(), package(certs))
    made = tmp_path / "made"
    made.mkdir()
    for name, content in certs.items():
        (made / name.replace(".crt", ".pem")).write_bytes(content)
    subprocess.run([openssl, "rehash", made], capture_output=True, check=False)
    expected = {path.name: str(path.readlink()) for path in made.iterdir() if path.is_symlink()}
    assert expected
    assert {name: target for name, target in links(layer).items() if not name.endswith(".pem")} == expected


def base_with(make: Make, settings: str) -> BaseTree:
    return base_of(
        {
            f"{CERTS}/old.pem": Link(f"/{SHARED}/old.crt"),
            f"{CERTS}/01234567.0": Link("old.pem"),
            f"{CERTS}/of-the-user.pem": b"",
            f"{CERTS}/89abcdef.0": Link("of-the-user.pem"),
            BUNDLE: b"",
            SETTINGS: settings,
            f"{SHARED}/kept.crt": make("/CN=Kept"),
            f"{SHARED}/unwanted.crt": make("/CN=Unwanted"),
            "usr/local/share/ca-certificates/house.crt": make("/CN=House"),
        },
        Deb(name="ca-certificates", files={f"{SHARED}/old.crt": b""}),
    )


def test_settings_and_own_certificates_of_the_base_stay(tmp_path: Path, make: Make) -> None:
    base = base_with(make, "# ours\nold.crt\n!unwanted.crt\nkept.crt\n")
    layer = layer_of(tmp_path, base, package({"new.crt": make("/CN=New")}, version="2"))
    assert content_of(layer[SETTINGS]) == b"# ours\nkept.crt\nnew.crt\n!unwanted.crt\n"
    assert content_of(layer[BUNDLE]) == make("/CN=Kept") + make("/CN=New") + make("/CN=House")
    gone = {path for path, entry in layer.items() if entry.kind == "whiteout"}
    assert gone == {f"{CERTS}/old.pem", f"{CERTS}/01234567.0", f"{SHARED}/old.crt"}


def test_another_package_may_bring_a_certificate_of_its_own(tmp_path: Path, make: Make) -> None:
    base = base_with(make, "old.crt\nkept.crt\n")
    deb = Deb(name="house", files={"usr/local/share/ca-certificates/team.crt": make("/CN=Team")})
    layer = layer_of(tmp_path, base, deb)
    assert make("/CN=Team") in content_of(layer[BUNDLE])
    assert "team.pem" in links(layer)


def test_nothing_of_it_is_made_where_no_certificate_comes(tmp_path: Path, make: Make) -> None:
    layer = layer_of(tmp_path, base_with(make, ""), Deb(name="one", files={"opt/x": ""}))
    assert not {BUNDLE, SETTINGS} & layer.keys()


def test_beginnings_without_an_end_do_not_take_for_ever() -> None:
    begun = time.process_time()
    assert certificates(b"-----BEGIN CERTIFICATE-----\n   " * 40_000) == []
    assert time.process_time() - begun < 2
