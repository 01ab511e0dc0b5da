"""The name under which OpenSSL looks for a certificate: a hash of its subject, found by a short walk through its DER."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

__all__ = ["BadCertificate", "certificates", "subject_hash"]

_PEM = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----([^-]*)-----END ")
_BLANKS = re.compile(rb"[ \t\n\v\f\r]+")

_UTF8 = 0x0C
_SEQUENCE = 0x30
_SET = 0x31
_VERSION = 0xA0
_LONG = 0x80
# Kinds of strings that are compared as text, and how their bytes are read.
_TEXTS = {
    0x0C: "utf-8",
    0x13: "latin-1",  # PrintableString
    0x14: "latin-1",  # T61String, which OpenSSL reads so
    0x16: "latin-1",  # IA5String
    0x1A: "latin-1",  # VisibleString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}


class BadCertificate(ValueError):
    """What is no certificate of X.509."""


def certificates(pem: bytes) -> list[bytes]:
    """Return the certificates of a PEM file, DER.

    Raises:
        BadCertificate: One is no base64.
    """
    try:
        return [base64.b64decode(b"".join(match.split()), validate=True) for match in _PEM.findall(pem)]
    except binascii.Error as error:
        raise BadCertificate(str(error)) from error


def subject_hash(der: bytes) -> str:
    """Return what `openssl x509 -subject_hash` says of a certificate, 8 hex digits.

    That is of the SHA-1 of the subject's canonical form: each value that is a text as UTF-8, in lower case of ASCII,
    without blanks at its ends and with one blank for several; the sets one after another, without what holds them.

    Raises:
        BadCertificate: It is none.
    """
    try:
        (certificate,) = _items(der, _SEQUENCE)
        signed = next(_elements(certificate))[1]
        parts = [part for part in _elements(signed) if part[0] != _VERSION]
        subject = parts[4][1]
        canonical = b"".join(_canonical_set(content) for _, content in _elements(subject))
    except (IndexError, StopIteration, UnicodeDecodeError, ValueError) as error:
        raise BadCertificate(str(error) or "it ends too early") from error
    return f"{int.from_bytes(hashlib.sha1(canonical, usedforsecurity=False).digest()[:4], 'little'):08x}"


def _canonical_set(content: bytes) -> bytes:
    # an order of their own, as DER asks of sets
    return _encoded(_SET, b"".join(sorted(_canonical_pair(pair) for _, pair in _elements(content))))


def _canonical_pair(content: bytes) -> bytes:
    (_, name), (tag, value) = _elements(content)
    if tag in _TEXTS:
        text = value.decode(_TEXTS[tag]).encode()
        # bytes of ASCII only: `lower` and `strip` of bytes are that
        tag, value = _UTF8, _BLANKS.sub(b" ", text.strip(b" \t\n\v\f\r")).lower()
    return _encoded(_SEQUENCE, _encoded(0x06, name) + _encoded(tag, value))


def _items(data: bytes, wanted: int) -> list[bytes]:
    return [content for tag, content in _elements(data) if tag == wanted][:1]


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of what stands one after another."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length >= _LONG:
            digits = length - _LONG
            length, at = int.from_bytes(data[at : at + digits], "big"), at + digits
        if at + length > len(data):
            raise ValueError("it ends too early")
        yield tag, data[at : at + length]
        at += length


def _encoded(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < _LONG:
        return bytes([tag, size]) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG | len(digits)]) + digits + content
