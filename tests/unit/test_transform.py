"""User code: found by the dataset's name, given typed rows, counted and held to account."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib import steps
from chalicelib.engine.delivery import transform as transforms
from chalicelib.model import Rows, Status
from tests import pipeline
from tests.pipeline import Outcome, contract

THINGS = contract(
    {"name": "id", "type": "integer"},
    {"name": "size", "type": "number"},
    sluice={"aggregates": [{"name": "all", "groupBy": [], "measures": {"rows": {"count": "*"}}}]},
)
BODY = b"id,size\n1,1.5\n2,\n3,2.5\n4,3.5\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty package of transforms in the place of the project's own."""
    folder = tmp_path / "transforms_under_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(transforms, "PACKAGE", folder.name)
    yield folder
    for name in [name for name in sys.modules if name.startswith(folder.name)]:
        del sys.modules[name]


def run(package: Path, code: str, **options: Any) -> Outcome:
    (package / "things.py").write_text(f"import pandas as pd\n\ndef transform(df):\n{code}\n")
    return pipeline.run(BODY, THINGS, **options)


def test_columns_are_added_with_their_types_and_nulls(package: Path) -> None:
    outcome = run(package, "    return df.assign(twice=df['size'] * 2)")
    assert outcome.table.to_pylist()[:2] == [
        {"id": 1, "size": 1.5, "twice": 3.0},
        {"id": 2, "size": None, "twice": None},
    ]
    assert str(outcome.table.schema.field("id").type) == "int64"


@pytest.mark.parametrize(
    ("code", "delivered"), [("    return df[df['id'] > 2]", 2), ("    return pd.concat([df, df])", 8)]
)
@pytest.mark.parametrize("chunk_size", [7, 1 << 20])
def test_the_record_tells_the_delivered_rows(package: Path, code: str, delivered: int, chunk_size: int) -> None:
    outcome = run(package, code, chunk_size=chunk_size)
    assert (outcome.job.rows.valid, outcome.job.delivered) == (4, delivered)
    assert outcome.table.num_rows == outcome.document("summary.json")["delivered"] == delivered


@pytest.mark.parametrize(("code", "distinct"), [("    return pd.concat([df, df])", 4), ("    return df", 4)])
def test_where_a_transform_was_no_column_is_known_to_be_unique(package: Path, code: str, distinct: int) -> None:
    (package / "things.py").write_text(f"import pandas as pd\n\ndef transform(df):\n{code}\n")
    key, _ = pipeline.run(BODY, THINGS | {"schema": THINGS["schema"] | {"primaryKey": ["id"]}}).document(
        "summary.json"
    )["profile"]
    assert (key["unique"], key["approxDistinct"]) == (False, distinct)


def test_of_a_failed_job_no_row_is_delivered(package: Path) -> None:
    refused = THINGS | {"sluice": {"tolerance": {"maxRejectedRows": 0}}}
    outcome = pipeline.run(BODY + b"x,1\n", refused)
    assert outcome.job.error is not None
    assert outcome.job.delivered is None


def test_dropped_rows_are_counted(package: Path) -> None:
    outcome = run(package, "    return df[df['id'] > 2]", chunk_size=4)
    assert outcome.job.rows == Rows(read=4, valid=4)
    assert outcome.document("summary.json")["delivered"] == 2
    assert outcome.document("manifest.json")["ledger"]["delivered"] == 2
    assert outcome.document("summary.json")["aggregates"]["all"] == [{"rows": 2}]


def test_the_types_of_no_rows_do_not_count(package: Path) -> None:
    """A frame without rows has what types its columns were made of: here texts, where all rows are dropped."""
    code = "    kept = df[df['id'] > 2]\n    return kept.assign(one=1 if len(kept) else pd.Series([], dtype='string'))"
    outcome = run(package, code, chunk_size=10)
    assert outcome.job.error is None
    assert [row["one"] for row in outcome.table.to_pylist()] == [1, 1]


def test_added_rows_are_counted(package: Path) -> None:
    outcome = run(package, "    return pd.concat([df, df])", chunk_size=4)
    assert outcome.document("manifest.json")["ledger"]["delivered"] == 8
    assert outcome.table.num_rows == 8


def test_a_failing_transform_names_dataset_chunk_records_and_no_value(package: Path) -> None:
    outcome = run(package, "    raise ValueError(f'secret {df.id.iloc[0]}')", chunk_size=1000)
    assert outcome.job.status is Status.FAILED
    assert outcome.job.error is not None
    assert outcome.job.error.code == "transform-failed"
    assert outcome.job.error.message == (
        "dataset things, chunk 0, records 1 to 4 of the chunk: ValueError in the transform (records 1 to 4 of the file)"
    )
    assert outcome.published == []


@pytest.mark.parametrize("chunk_size", [1, 5, 9, 30, 1000])
def test_a_failing_transform_is_told_the_records_of_the_file(package: Path, chunk_size: int) -> None:
    """Also behind a chunk that guessed wrong how many records it has."""
    (package / "things.py").write_text("def transform(df):\n    assert 5 not in df.id.tolist()\n    return df\n")
    described = contract({"name": "id", "type": "integer"}, {"name": "size", "type": "string"})
    body = b'id,size\n1,"\n2,fake\n3,fake\n",x\n2,"\n2,fake\n3,fake\n"\n4,d\n\n5,e\n'
    error = pipeline.run(body, described, chunk_size=chunk_size).job.error
    assert error is not None
    assert error.code == "transform-failed"
    first, last = error.message.rpartition("(records ")[2].removesuffix(" of the file)").split(" to ")
    assert int(first) <= 5 == int(last)
    assert chunk_size > 5 or int(first) == 5


def test_a_failure_on_inferred_types_says_that_they_were_inferred(package: Path) -> None:
    (package / "things.py").write_text("def transform(df):\n    return df.assign(twice=df['size'] / df['id'])\n")
    outcome = pipeline.run(BODY + b"x,y\n")
    assert outcome.job.error is not None
    assert "no contract, so it was given inferred types" in outcome.job.error.message


@pytest.mark.parametrize("code", ["    return 5", "    return None", "    return df[[]]", "    raise SystemExit(3)"])
def test_what_is_no_frame_is_refused(package: Path, code: str) -> None:
    outcome = run(package, code)
    assert outcome.job.error is not None
    assert outcome.job.error.code == "transform-failed"


@pytest.mark.parametrize("code", ["import nothing_of_this_name", "raise SystemExit(main())", "raise SystemExit(0)"])
def test_a_transform_that_cannot_be_loaded_fails_the_job_at_once(package: Path, code: str) -> None:
    (package / "things.py").write_text(f"{code}\n")
    outcome = pipeline.run(BODY, THINGS)
    assert outcome.job.error is not None
    assert outcome.job.error.code == "bad-transform"
    assert outcome.job.chunks.planned == 0


def test_chunks_whose_rows_came_out_with_other_types_are_done_again_alike(package: Path) -> None:
    code = "    return df.assign(extra=1 if df['id'].max() < 3 else 1.5)"
    outcome = run(package, code, chunk_size=10)
    assert outcome.job.status is Status.SUCCEEDED
    assert outcome.job.chunks.repaired > 0
    assert str(outcome.table.schema.field("extra").type) == "double"


@pytest.mark.parametrize("repaired, type_name", [("1.5", "double"), ("2.0", "double"), ("'a'", None)])
def test_a_repaired_chunk_may_have_other_types_than_those_agreed_on_without_it(
    package: Path, repaired: str, type_name: str | None
) -> None:
    """The second chunk guesses wrong; meanwhile the others agree on 64-bit integers, which cannot hold its values."""
    (package / "things.py").write_text(
        "import pandas as pd\n\ndef transform(df):\n"
        "    if 2 in df.id.tolist():\n"
        f"        return df.assign(extra={repaired})\n"
        "    return df.assign(extra=pd.array([1] * len(df), dtype='int32' if 1 in df.id.tolist() else 'int64'))\n"
    )
    described = contract({"name": "id", "type": "integer"}, {"name": "size", "type": "string"})
    body = b'id,size\n1,"aaaaa\n9,fake\n9,fake\n9,fake\n9,fake\n"\n2,b\n4,d\n5,e\n6,f\n7,g\n8,hhhhhhhh\n'
    outcome = pipeline.run(body, described, chunk_size=26)
    if type_name is None:
        assert outcome.job.error is not None
        assert outcome.job.error.code == "transform-schema"
    else:
        assert str(outcome.table.schema.field("extra").type) == type_name
        assert max(chunk["round"] for chunk in outcome.document("manifest.json")["ledger"]["chunks"]) == 3


def test_a_repaired_chunk_may_have_another_column_than_those_agreed_on_without_it(package: Path) -> None:
    (package / "things.py").write_text(
        "def transform(df):\n"
        "    ids = df.id.tolist()\n"
        "    return df.assign(**{'more' if 2 in ids else 'extra' if 1 in ids else 'other': 1})\n"
    )
    described = contract({"name": "id", "type": "integer"}, {"name": "size", "type": "string"})
    body = b'id,size\n1,"aaaaa\n9,fake\n9,fake\n9,fake\n9,fake\n"\n2,b\n4,d\n5,e\n6,f\n7,g\n8,hhhhhhhh\n'
    table = pipeline.run(body, described, chunk_size=26).table
    assert set(table.column_names) == {"id", "size", "extra", "other", "more"}
    assert [row["more"] for row in table.to_pylist() if row["id"] == 2] == [1]


LARGE = [1234567890123456789 + row for row in range(601)]
CHANGING = {
    "integers": ("df['large'].to_numpy(na_value=float('nan'))", ["int64", "double"]),
    "decimals": ("df['exact'].astype('float64[pyarrow]') if odd else df['exact']", ["decimal128(30, 2)", "double"]),
    "lists": ("[[1.5 if odd else each] for each in df['large']]", ["list<int64>", "list<double>"]),
    "structures": ("[{'x': 1.5 if odd else each} for each in df['large']]", ["struct"]),
    "moments": (
        "pd.Series(['2026-01-01' if odd else '9999-12-31'] * len(df))"
        ".astype('datetime64[ns]' if odd else 'datetime64[us]')",
        ["timestamp[us]", "timestamp[ns]"],
    ),
    "texts": ("'a' if odd else df['large']", ["string", "int64"]),
}
"""A column → its expression, where ``odd`` tells that a row of the block has an empty cell; the types that are told."""


@pytest.mark.parametrize(("block_size", "chunk_size"), [(1 << 20, 4000), (4000, 1 << 20), (1000, 9000)])
@pytest.mark.parametrize("column", CHANGING)
def test_a_type_that_cannot_hold_all_values_fails_the_job_however_it_is_cut(
    package: Path, monkeypatch: pytest.MonkeyPatch, column: str, block_size: int, chunk_size: int
) -> None:
    expression, types = CHANGING[column]
    monkeypatch.setattr(steps, "BLOCK_SIZE_BYTES", block_size)
    (package / "things.py").write_text(
        f"import pandas as pd\n\ndef transform(df):\n"
        f"    odd = df['large'].hasnans\n    return df.assign(ref={expression})\n"
    )
    fields = [{"name": "large", "type": "integer"}, {"name": "exact", "type": "number"}]
    described = contract(*fields, sluice={"decimals": {"exact": {"precision": 30, "scale": 2}}})
    rows = [f"{'' if row == 300 else value},{value * 1000}.01\n" for row, value in enumerate(LARGE)]
    body = "large,exact\n" + "".join(rows)
    error = pipeline.run(body.encode(), described, chunk_size=chunk_size).job.error
    assert error is not None
    assert error.code == "transform-schema"
    assert '"ref"' in error.message
    assert "cast it to one type in the transform" in error.message
    assert [each for each in types if each not in error.message] == []
    assert "12345678901" not in error.message


def test_types_that_do_not_go_together_fail_the_job(package: Path) -> None:
    outcome = run(package, "    return df.assign(extra='a' if df['id'].max() < 3 else 1.5)", chunk_size=10)
    assert outcome.job.error is not None
    assert outcome.job.error.code == "transform-schema"


FAR = 4611686018427387904
_ARRAY = "pd.arrays.ArrowExtensionArray(pa.array({} * len(df), pa.int64()).view(pa.{}))"
UNHELD = {
    "seconds": (f"np.array([{FAR}] * len(df)).view('M8[s]')", "timestamp[s]", "294,246"),
    "milliseconds": (f"np.array([-{FAR}] * len(df)).view('M8[ms]')", "timestamp[ms]", "-290,307"),
    "zoned": (
        f"pd.Series(np.array([{FAR}] * len(df)).view('M8[s]'), df.index).dt.tz_localize('UTC')",
        "timestamp[s, tz=UTC]",
        "294,246",
    ),
    "categories": (f"pd.Categorical(np.array([{FAR}] * len(df)).view('M8[s]'))", "timestamp[s]", "294,246"),
    "parts of a day": (_ARRAY.format(f"[{FAR}]", "date64()"), "date64[ms]", "none of this type"),
    "times": (_ARRAY.format(f"[{FAR}]", "time64('us')"), "time64[us]", "none of this type"),
    "no text": (
        "pd.arrays.ArrowExtensionArray(pa.array([b'\\xff'] * len(df)).view(pa.string()))",
        "string",
        "none of this type",
    ),
    "in lists": (
        f"pd.arrays.ArrowExtensionArray(pa.array([[{FAR}]] * len(df)).cast(pa.list_(pa.timestamp('s'))))",
        "list<timestamp[s]>",
        "Parquet cannot hold",
    ),
    "scale": (
        "pd.arrays.ArrowExtensionArray(pa.array([Decimal(100)] * len(df), pa.decimal128(5, -2)))",
        "decimal128(5, -2)",
        "Parquet cannot hold",
    ),
}
"""A column's values → their expression, the type that is told, and what is told of them."""


@pytest.mark.parametrize("column", UNHELD)
def test_a_value_that_cannot_be_delivered_fails_the_job_by_the_name_of_its_column(package: Path, column: str) -> None:
    expression, type_name, told = UNHELD[column]
    imports = "    from decimal import Decimal\n    import numpy as np\n    import pyarrow as pa\n"
    outcome = run(package, f"{imports}    return df.assign(ref={expression})")
    error = outcome.job.error
    assert error is not None
    assert error.code == "transform-schema"
    assert f'"ref" of type {type_name}' in error.message
    assert told in error.message
    assert str(FAR)[:10] not in error.message
    assert outcome.published == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("pd.Timestamp.max", "2262-04-11T23:47:16.854775807"),
        ("pd.Timestamp.min", "1677-09-21T00:12:43.145224193"),
        ("pd.Timedelta.max", 2**63 - 1),
    ],
)
def test_the_last_moment_of_a_type_is_profiled(package: Path, value: str, text: str | int) -> None:
    """Whoever wants "for ever" takes it; the edge that ends a histogram would be past it."""
    outcome = run(package, f"    return df.assign(until={value})")
    assert outcome.job.error is None
    (profile,) = (each for each in outcome.document("summary.json")["profile"] if each["name"] == "until")
    assert profile["max"] == text
    assert profile["histogram"]["counts"] == [4]


@pytest.mark.parametrize("code", ["pd.concat([df, df], axis=1)", "df.set_axis([1, '1'], axis=1)"])
def test_two_columns_of_one_name_are_refused_by_it(package: Path, code: str) -> None:
    """Of 1 and "1" the file was written, and nobody could read it."""
    error = run(package, f"    return {code}").job.error
    assert error is not None
    assert error.code == "transform-schema"
    assert "several columns of the name" in error.message


def test_categories_with_parts_are_delivered_as_they_are(package: Path) -> None:
    outcome = run(package, "    return df.assign(pair=pd.Categorical([(1, 2)] * len(df)))")
    assert outcome.table.column("pair").to_pylist() == [[1, 2]] * 4


@pytest.mark.parametrize("dataset", ["things", "daily-things", "daily.things"])
def test_a_dataset_finds_its_module(package: Path, dataset: str) -> None:
    name = dataset.replace("-", "_").replace(".", "_")
    (package / f"{name}.py").write_text("def transform(df):\n    return df\n")
    assert transforms.find(dataset) is not None
    assert transforms.find("others") is None


@pytest.mark.parametrize("dataset", ["new-partner", "sales.2026"])
def test_a_file_that_is_not_found_by_its_name_fails_the_job_and_says_how_to_call_it(
    package: Path, dataset: str
) -> None:
    """Its rows were delivered as if there were no transform."""
    (package / f"{dataset}.py").write_text("def transform(df):\n    return df\n")
    outcome = pipeline.run(BODY, THINGS, key=f"incoming/{dataset}/a.csv")
    assert outcome.job.error is not None
    assert outcome.job.error.code == "bad-transform"
    name = dataset.replace("-", "_").replace(".", "_")
    assert outcome.job.error.message == f"transforms/{dataset}.py is not found by this name: call the file {name}.py"
    (package / f"{dataset}.py").rename(package / f"{name}.py")
    assert pipeline.run(BODY, THINGS, key=f"incoming/{dataset}/a.csv").job.status is Status.SUCCEEDED


def test_a_failure_on_what_are_no_rows_fails_nothing(package: Path) -> None:
    """A chunk that guesses wrong sees rows inside a quoted cell; what its transform says of them does not count."""
    (package / "things.py").write_text(
        "def transform(df):\n    if (df['id'] == 999).any():\n        raise ValueError('no such row')\n    return df\n"
    )
    described = contract({"name": "id", "type": "integer"}, {"name": "note", "type": "string"})
    body = b'id,note\n1,"\n999,x\n999,y\n"\n2,z\n'
    repaired = 0
    for chunk_size in range(1, len(body) + 1):
        outcome = pipeline.run(body, described, chunk_size=chunk_size)
        assert outcome.job.error is None, (chunk_size, outcome.job.error)
        assert outcome.job.rows == Rows(read=2, valid=2)
        repaired += outcome.job.chunks.repaired
    assert repaired > 0


@pytest.mark.parametrize("body", [b"id,size\n", b"id,size\n1,1.5\n"], ids=["no rows", "none delivered"])
def test_a_partition_column_of_the_transform_may_have_no_rows(package: Path, body: bytes) -> None:
    """An export of a day without orders; the job failed with an internal error, after all its chunks were done."""
    (package / "things.py").write_text("def transform(df):\n    return df[df['id'] > 2].assign(month='2024-01')\n")
    described = THINGS | {"sluice": THINGS["sluice"] | {"partitionBy": ["month"]}}
    outcome = pipeline.run(body, described)
    assert outcome.job.status is Status.SUCCEEDED
    assert outcome.table.column_names == ["id", "size"]
    assert outcome.table.num_rows == 0


def test_the_first_failing_chunk_is_named_whatever_the_others_say(package: Path) -> None:
    outcome = run(package, "    raise KeyError(str(df['id'].iloc[0]))", chunk_size=10)
    assert outcome.job.error is not None
    assert outcome.job.error.message.startswith("dataset things, chunk 0, ")


def test_the_log_tells_where_in_the_transform_but_no_value(package: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(package, "    raise ValueError(f'secret {df.id.iloc[0]}')")
    assert "things.py" in caplog.text
    assert "line 4, in transform" in caplog.text
    assert "ValueError" in caplog.text
    assert "secret 1" not in caplog.text


def test_a_named_index_is_a_column(package: Path) -> None:
    outcome = run(package, "    return df.set_index('id')")
    assert outcome.table.column("id").to_pylist() == [1, 2, 3, 4]


def test_current_rows_are_those_delivered(package: Path) -> None:
    outcome = run(package, "    return df[df['id'] > 2]")
    found = outcome.ports.objects.get_with_etag(pipeline.RESULTS, "datasets/things/current.json")
    assert found is not None
    assert json.loads(found[0])["jobs"][0]["rows"] == 2


def test_a_type_that_parquet_has_not_fails_the_job(package: Path) -> None:
    code = "    return df.assign(odd=[{}] * len(df))"
    outcome = run(package, code)
    assert outcome.job.error is not None
    assert outcome.job.error.code == "transform-schema"
    assert "Parquet" in outcome.job.error.message
