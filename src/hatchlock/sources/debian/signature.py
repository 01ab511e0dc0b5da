"""Signatures in the clear on Release files, OpenPGP's cleartext signature framework, checked by Sequoia."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    import pysequoia

__all__ = ["BadKeyring", "BadSignature", "Signed", "checked_signature"]


@dataclass(kw_only=True, eq=False)
class BadSignature(HatchlockError):
    """A file is not signed by a key that is trusted for it.

    Attributes:
        url: Its address.
        why: As a clause.
        keys: Fingerprints of the keys that it says it is signed with, where they are not in the keyring.
    """

    code: ClassVar[str] = "bad-signature"

    url: str
    why: str
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"the signature of {self.url} is not valid: {self.why}"

    def _hint(self) -> str:
        if self.keys:
            return (
                "if you trust that key, name its file as `keyring` below [indexes.debian], or in the base as the "
                "`Signed-By` of its apt source"
            )
        return "ask again with --refresh; if it stays, do not use this archive or mirror: what it serves was changed"


@dataclass(kw_only=True, eq=False)
class BadKeyring(HatchlockError):
    """A keyring that holds no OpenPGP certificates."""

    code: ClassVar[str] = "bad-keyring"

    name: str
    why: str

    def __str__(self) -> str:
        return f"the keyring {self.name} cannot be used: {self.why}"

    def _hint(self) -> str:
        return "name a file of OpenPGP public keys, binary or ASCII-armored, as apt's `Signed-By` does"


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """What a signed file says.

    Attributes:
        text: The signed part, and nothing around it.
        keys: Fingerprints of the certificates with a valid signature, sorted, lower case.
    """

    text: str
    keys: tuple[str, ...]


def checked_signature(
    data: bytes, *, url: str, keyrings: Sequence[tuple[str, bytes]], only: Collection[str] = ()
) -> Signed:
    """Check a cleartext-signed file and return its content.

    Args:
        data: The file.
        url: Its address, for errors.
        keyrings: Name and content of each: certificates, binary or armored.
        only: Fingerprints (of primary keys or subkeys, upper or lower case, a `!` behind them allowed) of which one has
            to be the signer's; empty for any of the keyrings.

    Raises:
        BadSignature: No signature of a trusted key is valid.
        BadKeyring: A keyring cannot be read.
    """
    import pysequoia  # noqa: PLC0415  15 ms that only a lock with Debian packages pays

    certificates = [item for name, content in keyrings for item in _certificates(name, content)]
    asked: list[str] = []

    def store(ids: Sequence[str]) -> list[pysequoia.Cert]:
        asked.extend(ids)
        return certificates

    try:
        found = pysequoia.verify(bytes=data, store=store)
    except RuntimeError as error:
        raise _refusal(error, url, asked, certificates) from None
    wanted = {item.rstrip("!").lower() for item in only}
    signers = {
        item.certificate for item in found.valid_sigs if not wanted or wanted & {item.certificate, item.signing_key}
    }
    if not signers or found.bytes is None:
        raise BadSignature(url=url, why="it is signed by other keys than its apt source names", keys=tuple(asked))
    try:
        text = bytes(found.bytes).decode()
    except UnicodeDecodeError:
        raise BadSignature(url=url, why="what is signed is no text") from None
    return Signed(text=text, keys=tuple(sorted(signers)))


def _certificates(name: str, content: bytes) -> list[pysequoia.Cert]:
    import pysequoia  # noqa: PLC0415  loaded by now

    try:
        return pysequoia.Cert.split_bytes(content) if content else []
    except RuntimeError as error:
        raise BadKeyring(name=name, why=_first_line(error)) from None


def _refusal(
    error: RuntimeError, url: str, asked: Sequence[str], certificates: Sequence[pysequoia.Cert]
) -> BadSignature:
    known = {key for certificate in certificates for key in _fingerprints(certificate)}
    unknown = tuple(item for item in dict.fromkeys(asked) if not any(key.endswith(item) for key in known))
    if asked and len(unknown) == len(set(asked)):
        return BadSignature(url=url, why=f"the keyring does not have the key {', '.join(unknown)}", keys=unknown)
    if asked:
        return BadSignature(url=url, why="what it says was changed after it was signed, or its key has expired")
    return BadSignature(url=url, why=_first_line(error))


def _fingerprints(certificate: pysequoia.Cert) -> list[str]:
    from pysequoia.packet import PacketPile  # noqa: PLC0415  loaded by now

    packets = PacketPile.from_bytes(bytes(certificate))
    return [packet.fingerprint for packet in packets if packet.fingerprint]


def _first_line(error: RuntimeError) -> str:
    # behind it comes the library's own backtrace
    return (str(error).splitlines() or ["it cannot be read"])[0].rstrip(".")
