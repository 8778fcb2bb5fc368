"""How values are stored: envelopes, key rings, and what an attacker with Redis in his hands cannot do."""

import base64
import os
import subprocess
import sys
import zlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_queue.codec import COMPRESS_FROM, LARGEST, Codec
from fluid_queue.errors import CorruptValue, DecryptionFailed, InvalidKeyRing, NotEncrypted, UnknownKey, UnreadableValue
from fluid_queue.keyring import KeyRing
from fluid_queue.values import Values

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
PLACE = "ns.default spec job-1"
SECRET = b'{"payload":{"token":"do-not-show"}}'


def line(key_id: str, key: bytes) -> str:
    return f"{key_id}: {base64.b64encode(key).decode()}"


def encrypting(**keys: bytes) -> Codec:
    return Codec(KeyRing(keys))


# -- envelopes --------------------------------------------------------------------------------------------------------

codecs = st.sampled_from([Codec(), encrypting(k1=OLD), Codec(KeyRing({"k2": NEW, "k1": OLD}), accept_plain=False)])
values = st.binary(max_size=50) | st.builds(
    lambda part, times: part * times, st.binary(min_size=1), st.integers(1, 900)
)
json_values = values.map(lambda value: orjson.dumps({"v": base64.b64encode(value).decode()}))


@given(codecs, json_values, st.text())
def test_every_value_comes_back_as_it_was(codec, value, place):
    place = place.encode("utf-8", "replace").decode()
    assert codec.decode(codec.encode(value, place), place) == value


def test_a_small_value_without_a_key_is_stored_as_it_is():
    assert Codec().encode(SECRET, PLACE) == SECRET


def test_a_large_value_is_compressed_when_that_helps():
    text = orjson.dumps({"text": "the same words again and again " * 100})
    noise = orjson.dumps({"noise": os.urandom(4000).hex()[:COMPRESS_FROM]}) + os.urandom(100_000)
    assert len(Codec().encode(text, PLACE)) < len(text) / 5
    assert Codec().encode(noise, PLACE) == noise


def test_a_large_value_is_compressed_before_it_is_encrypted():
    text = b'"' + b"the same words again and again " * 100 + b'"'
    assert len(encrypting(k1=OLD).encode(text, PLACE)) < len(text) / 5


def test_an_encrypted_value_shows_nothing_but_the_id_of_its_key():
    stored = encrypting(k1=OLD).encode(SECRET, PLACE)
    assert b"do-not-show" not in stored
    assert b"payload" not in stored
    assert b"k1" in stored


def test_the_same_value_never_looks_the_same_twice():
    codec = encrypting(k1=OLD)
    assert len({codec.encode(SECRET, PLACE) for _ in range(100)}) == 100


def test_a_value_from_before_encryption_stays_readable_until_plain_ones_are_refused():
    assert encrypting(k1=OLD).decode(SECRET, PLACE) == SECRET
    strict = Codec(KeyRing({"k1": OLD}), accept_plain=False)
    with pytest.raises(NotEncrypted):
        strict.decode(SECRET, PLACE)
    with pytest.raises(NotEncrypted):
        strict.decode(Codec().encode(b'{"v":"' + b"x" * 5000 + b'"}', PLACE), PLACE)


def test_refusing_plain_values_without_a_key_is_a_mistake():
    with pytest.raises(ValueError, match="key ring"):
        Codec(accept_plain=False)


# -- attacks ----------------------------------------------------------------------------------------------------------


@given(st.data())
def test_no_bit_of_an_encrypted_value_can_be_changed(data):
    codec = encrypting(k1=OLD)
    value = data.draw(st.sampled_from([SECRET, b'{"v":"' + b"x" * 5000 + b'"}']))
    stored = bytearray(codec.encode(value, PLACE))
    at = data.draw(st.integers(0, len(stored) - 1))
    stored[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = codec.decode(bytes(stored), PLACE)
    except UnreadableValue:
        return
    # A changed mark makes it a plain value: bytes that are no JSON, and so no job.
    assert at == 0
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(found)


@pytest.mark.parametrize("elsewhere", ["ns.default spec job-2", "ns.default result job-1", "other.default spec job-1"])
def test_a_value_cannot_be_moved_to_another_job_kind_or_key_space(elsewhere):
    codec = encrypting(k1=OLD)
    with pytest.raises(DecryptionFailed) as caught:
        codec.decode(codec.encode(SECRET, PLACE), elsewhere)
    assert (caught.value.place, caught.value.key_id) == (elsewhere, "k1")


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_never_a_crash(garbage):
    for codec in (Codec(), encrypting(k1=OLD)):
        with pytest.raises(UnreadableValue):
            codec.decode(b"\xfd" + garbage, PLACE)


@pytest.mark.parametrize("keep", range(1, 60, 3))
def test_a_value_that_is_cut_off_is_refused(keep):
    with pytest.raises(UnreadableValue):
        encrypting(k1=OLD).decode(encrypting(k1=OLD).encode(SECRET, PLACE)[:keep], PLACE)


def test_a_value_that_would_unpack_to_a_flood_is_refused():
    bomb = b"\xfd\x01\x01" + zlib.compress(b"x" * (LARGEST + 1))
    assert len(bomb) < 20_000
    with pytest.raises(CorruptValue, match="larger"):
        Codec().decode(bomb, PLACE)


def test_a_value_of_a_newer_version_says_so():
    with pytest.raises(CorruptValue, match="newer version"):
        Codec().decode(b"\xfd\x01\x04{}", PLACE)
    with pytest.raises(CorruptValue, match="this version"):
        Codec().decode(b"\xfd\x02\x00{}", PLACE)


# -- key rings --------------------------------------------------------------------------------------------------------


def test_the_first_key_encrypts_and_every_key_decrypts():
    before, after = encrypting(k1=OLD), Codec(KeyRing.parse(f"{line('k2', NEW)}\n{line('k1', OLD)}\n"))
    stored = before.encode(SECRET, PLACE)
    assert after.decode(stored, PLACE) == SECRET
    assert b"k2" in after.encode(SECRET, PLACE)


def test_a_rotation_never_leaves_a_reader_without_the_key():
    added = Codec(KeyRing.parse(f"{line('k1', OLD)}\n{line('k2', NEW)}"))
    turned = Codec(KeyRing.parse(f"{line('k2', NEW)}\n{line('k1', OLD)}"))
    for writer, reader in ((encrypting(k1=OLD), added), (added, encrypting(k1=OLD)), (turned, added), (added, turned)):
        assert reader.decode(writer.encode(SECRET, PLACE), PLACE) == SECRET


def test_a_value_under_an_unknown_key_names_the_key():
    stored = encrypting(k2=NEW).encode(SECRET, PLACE)
    for reader in (encrypting(k1=OLD), Codec()):
        with pytest.raises(UnknownKey, match="'k2'") as caught:
            reader.decode(stored, PLACE)
        assert caught.value.key_id == "k2"


def test_another_key_under_the_same_id_does_not_fit():
    with pytest.raises(DecryptionFailed, match="'k1'"):
        encrypting(k1=NEW).decode(encrypting(k1=OLD).encode(SECRET, PLACE), PLACE)


def test_a_key_ring_may_hold_comments_and_empty_lines():
    ring = KeyRing.parse(f"# of November\n\n  {line('2026-11', NEW)}  \n# of May\n{line('2026-05', OLD)}\n")
    assert ring.current == "2026-11"
    assert "2026-05" in ring


def test_key_rings_are_equal_when_keys_and_their_order_are():
    assert KeyRing({"k1": OLD, "k2": NEW}) == KeyRing({"k1": OLD, "k2": NEW})
    assert len({KeyRing({"k1": OLD}), KeyRing({"k1": OLD}), KeyRing({"k1": NEW})}) == 2
    assert KeyRing({"k1": OLD, "k2": NEW}) != KeyRing({"k2": NEW, "k1": OLD})
    assert KeyRing({"k1": OLD}) != "k1"


def test_a_key_ring_never_shows_a_key():
    ring = KeyRing.parse(line("k1", OLD))
    assert repr(ring) == "KeyRing(current='k1', ids=['k1'])"
    assert str(ring) == repr(ring)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no key"),
        ("# only a comment\n", "holds no key"),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "line 1: not `<key id>"),
        ("k1: not base64!", "line 1: what follows the colon is not base64"),
        ("k1: c2hvcnQ=", "line 1: the key has 5 bytes instead of 32"),
        (f"two words: {base64.b64encode(OLD).decode()}", "line 1: the key id is not"),
        (f"{line('k1', OLD)}\n\n{line('k1', NEW)}", "line 3: its key id stands in an earlier line too"),
    ],
)
def test_a_key_ring_that_cannot_be_used_says_where_and_why(text, problem):
    with pytest.raises(InvalidKeyRing, match=problem):
        KeyRing.parse(text)


def test_all_problems_of_a_key_ring_are_told_at_once_and_none_shows_a_key():
    with pytest.raises(InvalidKeyRing) as caught:
        KeyRing.parse("k1: c2VjcmV0LWtleQ==\nk2 c2VjcmV0LWtleQ==\nk 3: c2VjcmV0LWtleQ==")
    assert len(caught.value.problems) == 3
    assert "c2VjcmV0" not in str(caught.value)
    assert "secret-key" not in str(caught.value)


def test_a_producer_without_encryption_needs_no_cryptography():
    code = """if True:
        import sys
        sys.modules["cryptography"] = None
        from fluid_queue import Queue
        from fluid_queue.codec import Codec
        from fluid_queue.errors import MissingExtra
        from fluid_queue.keyring import KeyRing
        assert Codec().decode(Codec().encode(b"{}", "p"), "p") == b"{}"
        try:
            KeyRing({"k1": bytes(32)})
        except MissingExtra as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'fluid-jobs[encryption]'" in done.stdout, done.stderr


# -- the values of a job ----------------------------------------------------------------------------------------------


def test_an_error_keeps_its_type_in_the_open_and_hides_its_message():
    of_job = Values(encrypting(k1=OLD), "ns.default")
    error = orjson.dumps({"type": "SMTPError", "message": "550 <a@example.com> unknown", "attempt": 2})
    stored = of_job.write_error("job-1", error)
    assert b"example.com" not in stored
    assert orjson.loads(stored)["type"] == "SMTPError"
    assert of_job.read_error("job-1", orjson.loads(stored)) == orjson.loads(error)


def test_the_error_of_an_index_can_be_read_in_the_record_of_its_job():
    of_job = Values(encrypting(k1=OLD), "s")
    error = orjson.loads(of_job.write_error("job-1.7", b'{"type":"E","message":"m","attempt":1}'))
    assert of_job.read_error("job-1", error) == {"type": "E", "message": "m", "attempt": 1}


def test_an_error_that_redis_wrote_itself_is_read_as_it_is():
    error = {"type": "Stalled", "message": "its worker went away", "attempt": 3}
    assert Values(Codec(KeyRing({"k1": OLD}), accept_plain=False), "s").read_error("job-1", error) == error


def test_what_cannot_be_read_says_so_in_its_own_place():
    writer, reader = Values(encrypting(k2=NEW), "s"), Values(encrypting(k1=OLD), "s")
    result = orjson.loads(reader.read_result("j", writer.write("result", "j", b'{"sent":1}')))
    assert "'k2'" in result["dropped"]
    assert "'k2'" in reader.read_line("j", writer.write_line("j", "hello"))
    error = orjson.loads(writer.write_error("j", b'{"type":"E","message":"m","attempt":1}'))
    assert "'k2'" in reader.read_error("j", error)["message"]
    assert "base64" in reader.read_error("j", {"type": "E", "sealed": "?"})["message"]
    assert reader.read_progress("j", writer.write("progress", "j", b'{"percent":1}')) == b"null"


def test_a_line_of_a_log_may_hold_anything():
    for codec in (Codec(), Codec(KeyRing({"k1": OLD}), accept_plain=False)):
        of_job = Values(codec, "s")
        for text in ("", "ä€😀", "x" * 5000, chr(0x40000), '{"a":1}'):
            assert of_job.read_line("j", of_job.write_line("j", text)) == text
        assert of_job.read_line("j", of_job.write_line("j", "a\ud800b")) == "a?b"


def test_no_value_stays_no_value():
    assert Values(encrypting(k1=OLD), "s").write("result", "j", b"") == b""
    assert Values(encrypting(k1=OLD), "s").write_error("j", b"") == b""
