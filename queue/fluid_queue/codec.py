"""How a value is stored: as it is, compressed, or compressed and encrypted. Bytes in, bytes out, and no word of Redis.

A value that is small and not encrypted is stored untouched. Everything else goes into an envelope:

    FD 01                              mark and version; FD begins no UTF-8 text, so neither JSON nor a line of a log
    flags                              1 compressed (zlib), 2 encrypted
    length of the key id, key id       only when encrypted
    nonce (12), ciphertext, tag (16)   when encrypted, else the body itself

The tag covers the header and the value's place, so that nobody who can write to Redis can alter a value, take off a
flag, or move a value to another job. What it does not stop: an older value of the same place put back, and a value left
out.
"""

from __future__ import annotations

import zlib

from fluid_queue.errors import CorruptValue, DecryptionFailed, NotEncrypted, UnknownKey
from fluid_queue.keyring import KeyRing

COMPRESS_FROM = 1024
"""Bytes below which compression saves too little to be worth its time."""

LARGEST = 16 * 1024 * 1024
"""Bytes that a stored value may unpack to; no limit of the queue allows more, so whatever does is not ours."""

_MARK = b"\xfd\x01"
_COMPRESSED, _ENCRYPTED = 1, 2

# Measured on mails and calendar events: higher levels save another 2 to 4 % for up to twice the time.
_LEVEL = 1
_WORTH_IT = 0.9


class Codec:
    """Encodes and decodes values. Without a key ring it encrypts nothing, and reads only what is not encrypted.

    `accept_plain`: values stored before encryption was switched on stay readable. Once none is left, False refuses
    them, so that nobody who can write to Redis can slip in a job of his own.
    """

    def __init__(self, keys: KeyRing | None = None, *, accept_plain: bool = True) -> None:
        if keys is None and not accept_plain:
            raise ValueError("a codec that accepts only encrypted values needs a key ring")
        self.keys = keys
        self._accept_plain = accept_plain

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Codec) and (self.keys, self._accept_plain) == (other.keys, other._accept_plain)

    def __hash__(self) -> int:
        return hash((self.keys, self._accept_plain))

    def leaves(self, value: bytes) -> bool:
        """Whether `encode` would store this value as it is."""
        return self.keys is None and len(value) < COMPRESS_FROM

    def encode(self, value: bytes, place: str) -> bytes:
        """The stored form of `value`. `place` says where it is stored; only there it can be decoded again."""
        flags, body = _packed(value)
        if self.keys is None:
            return value if not flags else _MARK + bytes([flags]) + body
        key_id = self.keys.current.encode()
        header = _MARK + bytes([flags | _ENCRYPTED, len(key_id)]) + key_id
        return header + self.keys.encrypt(body, place.encode(), header)

    def reads(self, stored: bytes) -> bool:
        """Whether `decode` would answer this as it is."""
        return self._accept_plain and not stored.startswith(_MARK[:1])

    def decode(self, stored: bytes, place: str) -> bytes:
        """The value. Raises UnknownKey, NotEncrypted, DecryptionFailed or CorruptValue, all UnreadableValue."""
        if not stored.startswith(_MARK[:1]):
            self._refuse_plain(place)
            return stored
        if not stored.startswith(_MARK) or len(stored) < 3:
            raise CorruptValue(place, "it begins as no value of this version does")
        flags, body = stored[2], stored[3:]
        if flags & ~(_COMPRESSED | _ENCRYPTED):
            raise CorruptValue(place, "it was written by a newer version")
        if not flags:
            raise CorruptValue(place, "it is marked, and neither compressed nor encrypted")
        if flags & _ENCRYPTED:
            body = self._decrypted(stored, place)
        else:
            self._refuse_plain(place)
        return _unpacked(body, place) if flags & _COMPRESSED else body

    def _refuse_plain(self, place: str) -> None:
        if not self._accept_plain:
            raise NotEncrypted(place)

    def _decrypted(self, stored: bytes, place: str) -> bytes:
        end = 4 + (stored[3] if len(stored) > 3 else 0)
        header, sealed = stored[:end], stored[end:]
        key_id = header[4:].decode("ascii", "replace")
        if self.keys is None or key_id not in self.keys:
            raise UnknownKey(place, key_id)
        value = self.keys.decrypt(key_id, sealed, place.encode(), header)
        if value is None:
            raise DecryptionFailed(place, key_id)
        return value


def _packed(value: bytes) -> tuple[int, bytes]:
    """Flags and body: compressed where that saves a tenth at least."""
    if len(value) < COMPRESS_FROM:
        return 0, value
    packed = zlib.compress(value, _LEVEL)
    return (_COMPRESSED, packed) if len(packed) < len(value) * _WORTH_IT else (0, value)


def _unpacked(body: bytes, place: str) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        value = unpacker.decompress(body, LARGEST)
    except zlib.error as error:
        raise CorruptValue(place, f"it cannot be decompressed: {error}") from error
    if not unpacker.eof or unpacker.unused_data:
        raise CorruptValue(place, f"it is cut off, or larger than {LARGEST} bytes")
    return value
