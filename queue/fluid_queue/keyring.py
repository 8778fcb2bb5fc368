"""The keys that encrypt what a job carries. Knows AES-GCM, and nothing of jobs, envelopes or Redis.

A key ring is a text of lines, as it stands in a Secret or a file:

    # made by: openssl rand -base64 32
    2026-11: <32 random bytes as base64>
    2026-05: <those of the last time>

The first line encrypts, every line decrypts. To rotate: add the new line as the *second* everywhere, so that all can
read what it will encrypt; then move it to the top; take the old one out when nothing that it encrypted is left.

No value is encrypted under a key of the ring itself, but under one derived from it for the value's place. Random nonces
are safe for some 2^32 values under one key, which a busy queue reaches within weeks; under a key of their own, the
values of one place never come near that.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from fluid_queue.errors import InvalidKeyRing, MissingExtra

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16

_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DERIVE = b"fluid-jobs value key 1\n"


class KeyRing:
    """Keys of 32 bytes by id; the first is the one that encrypts. Raises InvalidKeyRing, and MissingExtra where the
    `cryptography` package is not installed."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        problems = [
            f"key {number}: {found}" for number, item in enumerate(keys.items(), 1) for found in _problems(*item)
        ]
        if not keys:
            problems.append("it holds no key: add a line `<key id>: <32 bytes as base64>`")
        if problems:
            raise InvalidKeyRing(problems)
        self._aesgcm = _aesgcm()
        self._keys = dict(keys)
        self.current = next(iter(self._keys))
        """The id of the key that encrypts."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read lines of `<key id>: <base64>`; empty lines and those that begin with # are skipped. Raises
        InvalidKeyRing with every problem, none of which shows a key."""
        keys: dict[str, bytes] = {}
        problems: list[str] = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            key_id, key, problem = _read(line)
            if key_id in keys:
                problem = "its key id stands in an earlier line too"
            if problem:
                problems.append(f"line {number}: {problem}")
            keys[key_id] = key
        if problems:
            raise InvalidKeyRing(problems)
        return cls(keys)

    def __contains__(self, key_id: object) -> bool:
        return key_id in self._keys

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyRing) and list(self._keys.items()) == list(other._keys.items())

    def __hash__(self) -> int:
        return hash(tuple(self._keys))

    def __repr__(self) -> str:
        return f"KeyRing(current={self.current!r}, ids={list(self._keys)!r})"

    def encrypt(self, value: bytes, place: bytes, header: bytes) -> bytes:
        """The nonce and the ciphertext of `value` under the current key, bound to its place and header."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher(self.current, place).encrypt(nonce, value, header + place)

    def decrypt(self, key_id: str, sealed: bytes, place: bytes, header: bytes) -> bytes | None:
        """What `encrypt` was given; None unless key, place, header and every bit are the same."""
        from cryptography.exceptions import InvalidTag

        nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        if len(ciphertext) < TAG_BYTES:
            return None
        try:
            return self._cipher(key_id, place).decrypt(nonce, ciphertext, header + place)
        except InvalidTag:
            return None

    def _cipher(self, key_id: str, place: bytes) -> AESGCM:
        return self._aesgcm(hmac.digest(self._keys[key_id], _DERIVE + place, "sha256"))


def _read(line: str) -> tuple[str, bytes, str]:
    """Key id, key and problem of one line; the text after the colon is in no problem, because it may be the key."""
    key_id, colon, encoded = line.partition(":")
    if not colon:
        return "", b"", "not `<key id>: <32 bytes as base64>`"
    try:
        key = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return key_id.strip(), b"", "what follows the colon is not base64"
    return key_id.strip(), key, "; ".join(_problems(key_id.strip(), key))


def _problems(key_id: str, key: bytes) -> list[str]:
    problems = []
    if not _KEY_ID.fullmatch(key_id):
        problems.append("the key id is not 1 to 64 letters, digits, dots, dashes or underscores")
    if len(key) != KEY_BYTES:
        problems.append(f"the key has {len(key)} bytes instead of {KEY_BYTES}: make one with `openssl rand -base64 32`")
    return problems


def _aesgcm() -> type[AESGCM]:
    """Imported on use: a producer without encryption needs no more than the Redis client."""
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ModuleNotFoundError as error:
        raise MissingExtra("encryption", "cryptography") from error
    return AESGCM
