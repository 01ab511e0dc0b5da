"""Answers to questions for names (RFC 1035): those of the list have their address, no other name is there."""

from __future__ import annotations

import socket
from collections.abc import Mapping

__all__ = ["answer"]

_HEADER = 12
_LONGEST_LABEL = 63
_ADDRESS = b"\x00\x01\x00\x01"  # type A, class IN
_POINTER = b"\xc0\x0c"  # to the name in the question
_TTL = b"\x00\x00\x00\x3c"


def answer(query: bytes, hosts: Mapping[str, str]) -> tuple[bytes, str]:
    """Return the answer to a question, and the name that was asked for in vain.

    Args:
        query: A packet as it came.
        hosts: Name -> IPv4 address.

    Returns:
        The packet to send back, empty if the question is none; and the name if it is not in `hosts`, else "".
    """
    name, end = _question(query)
    if not end:
        return b"", ""
    question = query[_HEADER:end]
    address = hosts.get(name.lower())
    found = address is not None and question.endswith(_ADDRESS)
    code = b"\x81\x80" if address is not None else b"\x81\x83"  # answer, recursion; no error, or no such name
    head = query[:2] + code + b"\x00\x01" + (b"\x00\x01" if found else b"\x00\x00") + b"\x00\x00\x00\x00"
    record = _POINTER + _ADDRESS + _TTL + b"\x00\x04" + socket.inet_aton(address) if found and address else b""
    return head + question + record, "" if address is not None else name


def _question(query: bytes) -> tuple[str, int]:
    """Return the name of a packet's one question and where the question ends; 0 if there is none."""
    if len(query) < _HEADER or query[4:6] != b"\x00\x01" or query[2] & 0x80:
        return "", 0
    labels = []
    at = _HEADER
    while at < len(query) and query[at]:
        size = query[at]
        if size > _LONGEST_LABEL:
            return "", 0
        labels.append(query[at + 1 : at + 1 + size].decode("ascii", errors="replace"))
        at += 1 + size
    end = at + 5
    return (".".join(labels), end) if end <= len(query) else ("", 0)
