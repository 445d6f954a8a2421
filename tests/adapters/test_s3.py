"""What only S3 can do to its adapter: lost replies, cut bodies, version ids, multipart uploads and its error codes."""

from __future__ import annotations

import io
from typing import Any

import pytest
from botocore.response import StreamingBody

from chalicelib.aws import multipart
from chalicelib.aws.multipart import cut
from chalicelib.aws.objects import S3Objects
from chalicelib.errors import Terminal, Transient
from chalicelib.model import Source
from chalicelib.settings import MIB
from tests.adapters.support import Faulty, client_error, source_of

BODY = b"0123456789" * 10


@pytest.fixture
def objects(s3: Any) -> S3Objects:
    return S3Objects(s3)


def cut_short(real: Any) -> Any:
    """The connection breaks after half of the body."""
    response = real()
    whole = response["Body"].read()
    response["Body"] = StreamingBody(io.BytesIO(whole[: len(whole) // 2]), len(whole))
    return response


def silently_short(real: Any) -> Any:
    """As above, by a proxy that adjusts Content-Length."""
    response = real()
    half = response["Body"].read()[:-1]
    response["Body"] = StreamingBody(io.BytesIO(half), len(half))
    response["ContentLength"] = len(half)
    return response


def shifted(real: Any) -> Any:
    """Another range of the same length."""
    return real() | {"ContentRange": "bytes 7-16/100"}


def test_a_body_cut_short_is_asked_for_again(objects: S3Objects, s3: Faulty) -> None:
    source = source_of(objects.put("inbox", "k", BODY, "text/csv"))
    s3.fail("get_object", cut_short, cut_short)
    assert objects.read_range(source, 0, 10) == BODY[:10]
    assert len(s3.sent("get_object")) == 3
    s3.fail("get_object", cut_short)
    assert objects.get("inbox", "k") == BODY
    s3.fail("get_object", None, cut_short)
    assert b"".join(objects.stream(source, 7)) == BODY


@pytest.mark.parametrize("fault", [cut_short, silently_short, shifted])
def test_a_body_that_stays_wrong_is_an_error(objects: S3Objects, s3: Faulty, fault: Any) -> None:
    source = source_of(objects.put("inbox", "k", BODY, "text/csv"))
    s3.fail("get_object", *[fault] * 3)
    with pytest.raises(Transient, match="short-read"):
        objects.read_range(source, 0, 10)


def test_what_got_no_answer_at_all_is_not_asked_for_again(objects: S3Objects, s3: Faulty) -> None:
    """botocore has done that already."""
    source = source_of(objects.put("inbox", "k", BODY, "text/csv"))
    s3.fail("get_object", "before")
    with pytest.raises(Transient, match="aws-unavailable"):
        objects.read_range(source, 0, 10)
    assert len(s3.sent("get_object")) == 1


def test_a_server_that_ignores_ranges_is_understood(objects: S3Objects, s3: Faulty) -> None:
    source = source_of(objects.put("inbox", "k", BODY, "text/csv"))

    def everything(real: Any) -> Any:
        return s3._client.get_object(Bucket="inbox", Key="k")

    s3.fail("get_object", *[everything] * 3)
    assert objects.read_range(source, 0, 100) == BODY
    assert objects.read_range(source, 7, 13) == BODY[7:13]
    with pytest.raises(Terminal, match="invalid-range"):
        objects.read_range(source, 100, 101)
    s3.fail("get_object", *[everything] * 3)
    with pytest.raises(Transient, match="short-read"):
        objects.read_range(source, 99, 101)
    s3.fail("get_object", *[lambda real: cut_short(lambda: everything(real))] * 3)
    with pytest.raises(Transient, match="short-read"):
        objects.read_range(source, 90, 91)


def test_an_empty_range_asks_nothing(objects: S3Objects, s3: Faulty) -> None:
    assert objects.read_range(Source("inbox", "none", "v", 1, "e"), 5, 5) == b""
    assert s3.calls == []


@pytest.mark.parametrize("bucket", ["inbox", "plain"])
def test_only_a_real_version_id_is_sent(objects: S3Objects, s3: Faulty, bucket: str) -> None:
    source = source_of(objects.put(bucket, "k", BODY, "text/csv"))
    objects.read_range(source, 0, 1)
    list(objects.stream(source, 50))
    for request in s3.sent("get_object") + s3.sent("head_object"):
        assert request["IfMatch"] == f'"{source.etag}"'
        assert request.get("VersionId") == (source.version_id if bucket == "inbox" else None)


def test_a_pinned_version_outlives_the_objects_deletion(objects: S3Objects, s3: Any) -> None:
    source = source_of(objects.put("inbox", "k", BODY, "text/csv"))
    marker = s3.delete_object(Bucket="inbox", Key="k")["VersionId"]
    assert objects.read_range(source, 0, 5) == BODY[:5]
    with pytest.raises(Terminal, match="object-not-found"):
        objects.head("inbox", "k")
    with pytest.raises(Terminal, match="object-not-found"):
        objects.read_range(Source("inbox", "k", marker, 1, ""), 0, 5)
    assert objects.get_with_etag("inbox", "k") is None


def test_a_role_that_may_not_list_is_told_that_it_cannot_know(objects: S3Objects, s3: Faulty) -> None:
    s3.fail("get_object", client_error("AccessDenied", 403), client_error("AccessDenied", 403))
    s3.fail("head_object", client_error("403", 403))
    with pytest.raises(Terminal, match=r"object-not-found.*may not read"):
        objects.get("inbox", "k")
    with pytest.raises(Terminal, match="access-denied"):
        objects.get_with_etag("inbox", "k")
    with pytest.raises(Terminal, match=r"object-not-found.*may not read"):
        objects.head("inbox", "k")


@pytest.mark.parametrize("if_match", ["", None, "current"])
def test_a_put_whose_reply_was_lost_succeeds(objects: S3Objects, s3: Faulty, if_match: str | None) -> None:
    if if_match == "current":
        if_match = objects.put("plain", "k", b"old", "text/plain").etag
    s3.fail("put_object", "retried")
    written = objects.put("plain", "k", b"new", "text/plain", if_match=if_match)
    assert objects.get_with_etag("plain", "k") == (b"new", written.etag)
    s3.fail("put_object", "lost")
    with pytest.raises(Transient, match="aws-unavailable"):
        objects.put("plain", "other", b"x", "text/plain", if_match="")
    assert objects.put("plain", "other", b"x", "text/plain", if_match="").size_bytes == 1


def test_a_put_that_lost_to_another_says_so(objects: S3Objects, s3: Faulty) -> None:
    s3.fail("put_object", client_error("ConditionalRequestConflict", 409))
    with pytest.raises(Transient, match="precondition-failed"):
        objects.put("plain", "k", b"new", "text/plain", if_match="")


def test_every_put_carries_its_checksum(objects: S3Objects, s3: Faulty) -> None:
    objects.put("plain", "k", b"", "text/csv")
    (request,) = s3.sent("put_object")
    assert request["ChecksumSHA256"] == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert request["ContentType"] == "text/csv"


def test_a_small_stream_is_one_put(objects: S3Objects, s3: Faulty) -> None:
    objects.put_stream("plain", "k", [b"a", b"", b"b"], "text/plain")
    assert [name for name, _ in s3.calls] == ["put_object"]


def big() -> list[bytes]:
    return [bytes([number]) * MIB for number in range(20)]


def test_an_upload_whose_completion_got_no_reply_succeeds(objects: S3Objects, s3: Faulty) -> None:
    s3.fail("complete_multipart_upload", "retried")
    written = objects.put_stream("plain", "big", big(), "text/plain")
    assert objects.head("plain", "big").etag == written.etag
    assert objects.get("plain", "big") == b"".join(big())


def test_an_upload_that_vanished_is_not_taken_for_anothers_object(objects: S3Objects, s3: Faulty) -> None:
    objects.put("plain", "big", b"another", "text/plain")
    s3.fail("complete_multipart_upload", client_error("NoSuchUpload", 404))
    with pytest.raises(Terminal, match="upload-gone"):
        objects.put_stream("plain", "big", big(), "text/plain")
    assert objects.get("plain", "big") == b"another"


@pytest.mark.parametrize("operation", ["upload_part", "complete_multipart_upload"])
def test_a_failed_upload_is_aborted(objects: S3Objects, s3: Any, operation: str) -> None:
    s3.fail(operation, None if operation == "upload_part" else "before", "before")
    with pytest.raises(Transient, match="aws-unavailable"):
        objects.put_stream("plain", "big", big(), "text/plain")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="plain")


def test_an_upload_of_more_parts_than_s3_takes_is_refused_and_aborted(
    objects: S3Objects, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart, "MAX_PARTS", 2)
    with pytest.raises(Terminal, match="object-too-large"):
        objects.put_stream("plain", "big", big(), "text/plain")
    assert len(s3.sent("upload_part")) == 2
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="plain")


def test_the_first_failure_is_told_even_where_the_abort_fails_too(objects: S3Objects, s3: Faulty) -> None:
    s3.fail("upload_part", client_error("SlowDown", 503))
    s3.fail("abort_multipart_upload", client_error("AccessDenied", 403))
    with pytest.raises(Transient, match="SlowDown"):
        objects.put_stream("plain", "big", big(), "text/plain")


def test_parts_grow_so_that_ten_thousand_hold_more() -> None:
    sizes = [len(part) for part in cut((b"x" for _ in range(3500)), 1)]
    assert sizes == [1] * 1000 + [2] * 1000 + [3] * 166 + [2]


def test_a_large_copy_goes_by_parts(s3: Any) -> None:
    objects = S3Objects(s3, copy_limit_bytes=5 * MIB)
    written = objects.put_stream("inbox", "big +%ü", big(), "text/csv")
    copied = objects.copy("inbox", "big +%ü", "copy", written.etag, written.size_bytes)
    assert (copied.bucket, copied.key, copied.size_bytes) == ("inbox", "copy", 20 * MIB)
    assert objects.get("inbox", "copy") == b"".join(big())
    assert s3.head_object(Bucket="inbox", Key="copy")["ContentType"] == "text/csv"
    assert [request["CopySourceRange"] for request in s3.sent("upload_part_copy")][-1] == "bytes=15728640-20971519"
    s3.fail("upload_part_copy", None, client_error("PreconditionFailed", 412))
    with pytest.raises(Terminal, match="object-replaced"):
        objects.copy("inbox", "big +%ü", "second", written.etag, written.size_bytes)
    assert objects.get_with_etag("inbox", "second") is None


@pytest.mark.parametrize("limit,operation", [(5 * MIB, "upload_part_copy"), (64 * MIB, "copy_object")])
def test_a_source_replaced_while_it_is_copied_is_refused(s3: Faulty, limit: int, operation: str) -> None:
    """S3 is told which ETag to copy, for a check beforehand cannot see a later writer."""
    objects = S3Objects(s3, copy_limit_bytes=limit)  # type: ignore[arg-type]
    written = objects.put_stream("plain", "k", big(), "text/csv")
    s3.fail(operation, client_error("PreconditionFailed", 412))
    with pytest.raises(Terminal, match="object-replaced"):
        objects.copy("plain", "k", "target", written.etag, written.size_bytes)
    (request,) = s3.sent(operation)
    assert request["CopySourceIfMatch"] == f'"{written.etag}"'
    assert objects.get_with_etag("plain", "target") is None


def test_a_listing_goes_on_past_its_first_page(objects: S3Objects, s3: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    keys = [f"a b/{number:02}+ü" for number in range(7)]
    for key in keys:
        objects.put("plain", key, b"", "text/plain")
    assert [found.key for found in objects.list("plain", "a b/")] == keys
