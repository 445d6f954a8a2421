"""What every implementation of ``ports.Objects`` does: S3 with and without versioning (on moto), and the folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import pytest

from chalicelib.errors import SluiceError, Terminal, Transient
from chalicelib.model import Source
from chalicelib.ports import Objects
from chalicelib.settings import MIB
from tests.adapters.support import source_of

Place = tuple[Objects, str]

KEYS = [
    "incoming/orders/a.csv",
    "incoming/orders/two words.csv",
    "incoming/orders/1+1=2&3%20%2F.csv",
    "incoming/orders/Ünïcode/日本語 🚰.csv",
    "incoming/orders/?#;:@$,~'()*!.csv",
]

BODY = bytes(range(256)) * 4


@pytest.mark.parametrize("key", KEYS)
def test_what_is_put_is_found_read_and_listed(place: Place, key: str) -> None:
    objects, bucket = place
    written = objects.put(bucket, key, BODY, "text/csv")
    assert written.checksum_sha256 == hashlib.sha256(BODY).hexdigest()
    found = objects.head(bucket, key)
    assert (found.bucket, found.key, found.size_bytes, found.etag) == (bucket, key, len(BODY), written.etag)
    assert found.version_id == written.version_id != ""
    assert objects.head(bucket, key, found.version_id).etag == written.etag
    assert objects.get(bucket, key) == BODY
    assert objects.get_with_etag(bucket, key) == (BODY, written.etag)
    assert objects.read_range(source_of(found), 3, 300) == BODY[3:300]
    assert [(listed.key, listed.size_bytes, listed.etag) for listed in objects.list(bucket, "incoming/")] == [
        (key, len(BODY), written.etag)
    ]


@pytest.mark.parametrize("start,end", [(0, 1), (0, 1024), (1, 1023), (1023, 1024), (512, 512), (0, 0), (1024, 1024)])
def test_a_range_is_exactly_its_bytes(place: Place, start: int, end: int) -> None:
    objects, bucket = place
    source = source_of(objects.put(bucket, "k", BODY, "text/csv"))
    assert objects.read_range(source, start, end) == BODY[start:end]


def test_a_range_past_the_end_is_an_error_never_shorter_data(place: Place) -> None:
    objects, bucket = place
    source = source_of(objects.put(bucket, "k", BODY, "text/csv"))
    with pytest.raises(Transient, match="short-read"):
        objects.read_range(source, 1000, 1025)
    with pytest.raises(Terminal, match="invalid-range"):
        objects.read_range(source, 1024, 1025)
    with pytest.raises(ValueError, match="range"):
        objects.read_range(source, 5, 4)


@pytest.mark.parametrize("size,piece", [(0, 1), (1, 1), (10, 3), (9, 3), (8 * MIB, 3 * MIB), (8 * MIB + 1, 8 * MIB)])
def test_a_stream_has_the_whole_object_in_equal_pieces(place: Place, size: int, piece: int) -> None:
    objects, bucket = place
    body = (BODY * (size // len(BODY) + 1))[:size]
    source = source_of(objects.put(bucket, "k", body, "text/csv"))
    pieces = list(objects.stream(source, piece))
    assert b"".join(pieces) == body
    assert [len(part) for part in pieces] == [piece] * (size // piece) + [size % piece] * (size % piece > 0)


def reads(objects: Objects, source: Source) -> list[Callable[[], object]]:
    return [lambda: objects.read_range(source, 0, 1), lambda: list(objects.stream(source, 4))]


def test_another_etag_at_the_same_version_is_refused(place: Place) -> None:
    objects, bucket = place
    written = objects.put(bucket, "k", BODY, "text/csv")
    version = written.version_id if written.version_id != written.etag else "0" * 32
    source = Source(bucket, "k", version, len(BODY), "0" * 32)
    for read in reads(objects, source):
        with pytest.raises(Terminal, match="object-replaced"):
            read()


def test_a_replaced_object_is_either_read_as_it_was_or_refused(place: Place) -> None:
    objects, bucket = place
    source = source_of(objects.put(bucket, "k", BODY, "text/csv"))
    objects.put(bucket, "k", BODY[::-1], "text/csv")
    if bucket == "inbox":
        assert objects.read_range(source, 0, 9) == BODY[:9]
        assert b"".join(objects.stream(source, 100)) == BODY
        return
    for read in reads(objects, source):
        with pytest.raises(Terminal, match="object-replaced"):
            read()
    with pytest.raises(Terminal, match="object-not-found"):
        objects.head(bucket, "k", source.version_id)


def test_what_does_not_exist_is_not_found(place: Place) -> None:
    objects, bucket = place
    for read in [
        *reads(objects, Source(bucket, "none", "", 1, "")),
        *reads(objects, Source(bucket, "none", "0" * 32, 1, "0" * 32)),
        lambda: objects.head(bucket, "none"),
        lambda: objects.head(bucket, "none", "0" * 32),
        lambda: objects.get(bucket, "none"),
        lambda: objects.copy(bucket, "none", "target", "0" * 32, 1),
    ]:
        with pytest.raises(Terminal, match="object-not-found"):
            read()
    assert objects.get_with_etag(bucket, "none") is None
    assert list(objects.list(bucket, "none")) == []


def test_a_put_that_must_create_creates_once(place: Place) -> None:
    objects, bucket = place
    first = objects.put(bucket, "k", b"one", "text/plain", if_match="")
    with pytest.raises(Transient, match="precondition-failed"):
        objects.put(bucket, "k", b"two", "text/plain", if_match="")
    again = objects.put(bucket, "k", b"one", "text/plain", if_match="")
    assert (again.etag, again.size_bytes, again.checksum_sha256) == (first.etag, 3, first.checksum_sha256)
    assert objects.get(bucket, "k") == b"one"


def test_what_is_put_in_pieces_is_put_whole(place: Place) -> None:
    objects, bucket = place
    whole = objects.put(bucket, "whole", BODY, "text/plain")
    for number, pieces in enumerate([[BODY], [b"", BODY[:1], BODY[1:]], (BODY[:600], BODY[600:], b"")]):
        stored = objects.put(bucket, f"k{number}", pieces, "text/plain", if_match="")
        assert (stored.size_bytes, stored.checksum_sha256) == (len(BODY), whole.checksum_sha256)
        assert objects.get(bucket, f"k{number}") == BODY
        again = objects.put(bucket, f"k{number}", pieces, "text/plain", if_match="")
        assert (again.etag, again.size_bytes) == (stored.etag, len(BODY))
        with pytest.raises(Transient, match="precondition-failed"):
            objects.put(bucket, f"k{number}", [*pieces, b"more"], "text/plain", if_match="")
    assert objects.put(bucket, "none", [], "text/plain").size_bytes == 0


def test_a_put_on_an_etag_wins_once(place: Place) -> None:
    objects, bucket = place
    first = objects.put(bucket, "k", b"one", "text/plain")
    second = objects.put(bucket, "k", b"two", "text/plain", if_match=first.etag)
    assert second.etag != first.etag
    with pytest.raises(Transient, match="precondition-failed"):
        objects.put(bucket, "k", b"three", "text/plain", if_match=first.etag)
    assert objects.put(bucket, "k", b"two", "text/plain", if_match=first.etag).etag == second.etag
    assert objects.get(bucket, "k") == b"two"
    with pytest.raises(Transient, match="precondition-failed"):
        objects.put(bucket, "absent", b"four", "text/plain", if_match=first.etag)
    assert objects.get_with_etag(bucket, "absent") is None


def in_pieces(body: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.mark.parametrize("size", [0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 16 * MIB, 17 * MIB + 5])
def test_a_stream_of_any_size_is_written_whole(place: Place, size: int) -> None:
    objects, bucket = place
    body = (BODY * (size // len(BODY) + 1))[:size]
    written = objects.put_stream(bucket, "big", in_pieces(body, 3 * MIB), "application/octet-stream")
    assert (written.bucket, written.key, written.size_bytes) == (bucket, "big", size)
    assert written.checksum_sha256 == hashlib.sha256(body).hexdigest()
    found = objects.head(bucket, "big")
    assert (found.etag, found.version_id, found.size_bytes) == (written.etag, written.version_id, size)
    assert b"".join(objects.stream(source_of(found), 4 * MIB)) == body


@pytest.mark.parametrize("good_bytes", [0, 1, 17 * MIB])
def test_a_stream_that_breaks_leaves_the_old_object(place: Place, good_bytes: int) -> None:
    objects, bucket = place
    objects.put(bucket, "big", b"old", "text/plain")

    def pieces() -> Iterator[bytes]:
        yield from in_pieces(bytes(good_bytes), MIB)
        raise Terminal("not-csv", "the producer gave up")

    with pytest.raises(Terminal, match="not-csv"):
        objects.put_stream(bucket, "big", pieces(), "text/plain")
    assert objects.get(bucket, "big") == b"old"
    assert len(list(objects.list(bucket, ""))) == 1


@pytest.mark.parametrize("key", KEYS)
def test_a_copy_is_the_object_that_was_meant(place: Place, key: str) -> None:
    objects, bucket = place
    written = objects.put(bucket, key, BODY, "text/csv")
    target = f"copy of/{key}"
    for _ in range(2):
        copied = objects.copy(bucket, key, target, written.etag, written.size_bytes)
        assert (copied.bucket, copied.key, copied.size_bytes) == (bucket, target, len(BODY))
        assert copied.etag == objects.head(bucket, target).etag
    assert objects.get(bucket, target) == BODY == objects.get(bucket, key)
    with pytest.raises(Terminal, match="object-replaced"):
        objects.copy(bucket, key, "other", "0" * 32, len(BODY))
    assert objects.get_with_etag(bucket, "other") is None
    objects.put(bucket, key, b"new", "text/csv")
    assert objects.get(bucket, target) == BODY


def test_a_listing_is_by_prefix_and_in_byte_order(place: Place) -> None:
    objects, bucket = place
    keys = ["a/b", "a/c/d", "a-b", "ab", "b/é", "b/z", "b/Z", "a/c/e f"]
    for key in keys:
        objects.put(bucket, key, b"", "text/plain")
    for prefix in ("", "a", "a/", "a/c", "a/c/", "b/", "c"):
        expected = sorted((key for key in keys if key.startswith(prefix)), key=str.encode)
        assert [found.key for found in objects.list(bucket, prefix)] == expected


def test_errors_never_hold_an_objects_bytes(place: Place) -> None:
    objects, bucket = place
    objects.put(bucket, "k", b"old words", "text/plain", if_match="")
    with pytest.raises(SluiceError) as caught:
        objects.put(bucket, "k", b"secret words", "text/plain", if_match="")
    assert "words" not in str(caught.value)
