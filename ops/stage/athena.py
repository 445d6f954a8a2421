"""``deploy.py athena``: the SQL that makes a dataset a table in Athena. Nothing is executed.

The table reads the list of files that every job brings up to date (``publication.symlink_key``), so it is created once,
and again only when the columns change. The statement is Hive's, as Athena takes it:
https://docs.aws.amazon.com/athena/latest/ug/create-table.html
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from chalicelib import publication
from chalicelib.engine.arrays import shown
from chalicelib.engine.delivery.partition import NULL_PARTITION, in_folders
from chalicelib.errors import SluiceError
from chalicelib.frozen import frozen
from chalicelib.ports import Objects
from ops import ports
from ops.target import OperatorError, Target

_NAME_BYTES: Final = 255
"""https://docs.aws.amazon.com/athena/latest/ug/tables-databases-columns-names.html"""
_REFUSED_IN_NAMES: Final = re.compile(r"[.:,`\x00-\x1f]|\A\$")
"""Hive takes a name apart at some of these, and cannot quote a backtick; ``$path`` and the like are Athena's own."""
_PLAIN_NAME: Final = re.compile("[a-z_][a-z0-9_]*")

_TYPES: Final[Mapping[str, str]] = {
    "bool": "boolean",
    "int8": "tinyint",
    "int16": "smallint",
    "int32": "int",
    "int64": "bigint",
    "float": "float",
    "double": "double",
    "string": "string",
    "large_string": "string",
    "binary": "binary",
    "large_binary": "binary",
    "date32[day]": "date",
}
"""Arrow's type → that of a column in Athena, for those without a parameter:
https://docs.aws.amazon.com/athena/latest/ug/data-types.html
"""


@frozen
class Statements:
    """What is to be executed, one after the other, and which columns there are no words for."""

    sql: tuple[str, ...]
    left_out: Mapping[str, str]
    """Column → why the table has none of the name."""
    in_some_folders: tuple[str, ...] = ()
    """Columns that the table tells for some files only: they stand in those folders' names, or in all but those files.
    ``partitionBy`` was changed."""


def statements(schema: pa.Schema, folders: Sequence[str], location: str, table: str) -> Statements:
    """``schema``: of a Parquet file; ``folders``: the columns that stand in its folders' names (``partitionBy``);
    ``location``: the URI of the folder that holds the list of files, with a slash at the end; ``table``: its name,
    perhaps behind that of a database and a dot.

    Columns in folders are read from each file's path, by a view of the table's name on a table ``…_files``: a list of
    files has no partitions.
    """
    left_out: dict[str, str] = {}
    of_folders: list[str] = []
    for name in folders:
        if not _is_refused(name, of_folders, left_out):
            of_folders.append(name)
    columns: dict[str, str] = {}
    for field in schema:
        kind = _type(field.type)
        if kind is None:
            left_out[field.name] = f"Athena has no type for {shown(field.type)}"
        elif not _is_refused(field.name, [*of_folders, *columns], left_out):
            columns[field.name] = kind
    if not columns:
        raise OperatorError("Athena has a type for none of the columns, or takes none of their names")
    if not of_folders:
        return Statements((_table(columns, location, table),), left_out)
    return Statements((_table(columns, location, f"{table}_files"), _view(of_folders, table)), left_out)


def _is_refused(name: str, others: Iterable[str], left_out: dict[str, str]) -> bool:
    """Whether Athena has no column of this name, or would not find it in the file; says why in ``left_out``."""
    if name.lower() in map(str.lower, others):
        left_out[name] = "Athena does not tell capital letters from small ones, and another has that name"
    elif not name or _REFUSED_IN_NAMES.search(name) or len(name.encode()) > _NAME_BYTES:
        left_out[name] = "Athena takes no such name"
    return name in left_out


def _type(kind: pa.DataType) -> str | None:
    """None where Athena has none: for times, for one. An Arrow dictionary is in the file what its values are."""
    if pa.types.is_decimal128(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_dictionary(kind):
        return _type(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        item = _type(kind.value_type)
        return None if item is None else f"array<{item}>"
    if pa.types.is_struct(kind):
        inner = {each.name.lower(): _type(each.type) for each in kind}
        if len(inner) < kind.num_fields or not all(
            each and _PLAIN_NAME.fullmatch(name) for name, each in inner.items()
        ):
            return None
        return f"struct<{','.join(f'`{name}`:{each}' for name, each in inner.items())}>"
    return _TYPES.get(str(kind))


def _table(columns: Mapping[str, str], location: str, table: str) -> str:
    lines = ",\n".join(f"  `{name.lower()}` {kind}" for name, kind in columns.items())
    return f"""CREATE EXTERNAL TABLE {_quoted(table, "`")} (
{lines}
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION '{location}'"""


def _view(folders: Sequence[str], table: str) -> str:
    """A view's SQL is Trino's."""
    columns = ",\n".join(f"  {_from_path(name)} AS {_quoted(name.lower())}" for name in folders)
    return f"CREATE OR REPLACE VIEW {_quoted(table)} AS\nSELECT *,\n{columns}\nFROM {_quoted(f'{table}_files')}"


def _from_path(name: str) -> str:
    """The text that stands in the folder's name (``delivery.partition``), null for Hive's word for that."""
    folder = re.escape(quote(name, safe=""))
    return f"url_decode(nullif(regexp_extract(\"$path\", '/{folder}=([^/]*)/', 1), '{NULL_PARTITION}'))"


def _quoted(name: str, mark: str = '"') -> str:
    """``name``: of a column, or of a table, perhaps behind its database's."""
    return ".".join(f"{mark}{part.replace(mark, mark * 2)}{mark}" for part in name.split("."))


def statements_of(objects: Objects, bucket: str, dataset: str, table: str) -> Statements:
    """Of a dataset as its newest current job with rows delivered it. ``bucket``: the results bucket.

    Errors: ``OperatorError`` where there is none.
    """
    found = objects.get_with_etag(bucket, publication.symlink_key(dataset))
    if found is None:
        raise OperatorError(
            f"the dataset {dataset} has no list of files in {bucket}: its first job, or its next, puts it"
        )
    files = found[0].decode().splitlines()
    if not files:
        raise OperatorError(f"the dataset {dataset} has no current rows in {bucket}")
    key = files[-1].removeprefix(f"s3://{bucket}/")
    schema = pq.read_schema(pa.BufferReader(objects.get(bucket, key)))
    folder = publication.symlink_key(dataset).rpartition("/")[0]
    made = statements(schema, list(in_folders(key)), f"s3://{bucket}/{folder}/", table)
    kinds = {frozenset(in_folders(uri)) for uri in files}
    return replace(made, in_some_folders=tuple(sorted(frozenset.union(*kinds) - frozenset.intersection(*kinds))))


def add_command(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "athena", parents=[common], help="print the SQL that makes a dataset a table in Athena"
    )
    parser.add_argument("dataset", metavar="DATASET")
    parser.add_argument(
        "--table", type=_table_name, metavar="NAME", help="of the table, or database.table (default: the dataset's)"
    )


def _table_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not of small letters, digits and _, or two such with a dot")
    return text


def command(target: Target, options: argparse.Namespace, out: Console, log: Console) -> int:
    """Errors: those of ``statements_of``."""
    table = options.table or re.sub("[^a-z0-9_]", "_", options.dataset.lower())
    try:
        made = statements_of(ports.objects(target), target.names.bucket("results"), options.dataset, table)
    except SluiceError as error:
        raise OperatorError(str(error)) from error
    if options.json:
        told = {"dataset": options.dataset, "statements": list(made.sql), "left_out": dict(made.left_out)}
        out.print_json(data={"stage": target.stage} | told | {"in_some_folders": list(made.in_some_folders)})
    else:
        out.print(";\n\n".join(made.sql) + ";", markup=False, emoji=False)
    for name, why in made.left_out.items():
        log.print(f"left out: {name}: {why}", markup=False, emoji=False)
    for name in made.in_some_folders:
        why = "it stands in the folders' names of some files and not of others (partitionBy was changed)"
        log.print(f"null for some jobs: {name}: {why}", markup=False, emoji=False)
    return 0
