"""What is to be done with one object, and the tasks that do it: data that ValidateData writes and workers read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, Literal, Self

from chalicelib.engine import contract as contracts
from chalicelib.engine.checks.formulas import restored_labels
from chalicelib.engine.contract import Contract, binding
from chalicelib.engine.contract.binding import Binding
from chalicelib.engine.contract.dialect import Dialect
from chalicelib.engine.records.automaton import Grammar
from chalicelib.engine.records.lenient import Layout
from chalicelib.engine.records.split import divided
from chalicelib.engine.text.dialect import UTF8_BOM, Sniffed
from chalicelib.engine.text.encodings import UTF8, Original
from chalicelib.engine.text.header import read_header
from chalicelib.errors import Terminal
from chalicelib.frozen import frozen
from chalicelib.model import JSON, Source

Mode = Literal["survey", "process"]

WIDE_COLUMNS: Final = 64
"""A file of more columns is read in larger blocks and chunks: every step costs something for each column of each of
them, and a block of 200 columns would have but 4,000 rows to share it."""
WIDE_FACTOR: Final = 3
"""How many times as large. A file of 200 columns takes a quarter less time, and a worker 110 MB more."""

_BLOCK_CELLS: Final = 12 << 20
"""The most cells that a block's rows have room for. A row takes memory for each column, also for those that it lacks:
of 32 MiB of rows of one letter, under a contract of 20 columns, a worker took 3.8 GB."""
_CELLS_BESIDES: Final = 8
"""As many cells as take what a row takes besides its own."""

_SHARED_CHUNK_BYTES: Final = 8 << 20
"""For a smaller one no other worker is started: a file of 16 MiB takes two of them a tenth less time than one, but a
file of 4 MiB longer."""


@frozen
class Text:
    """The file as UTF-8: the upload itself, or what ValidateData made of one that cannot be cut by bytes."""

    source: Source
    """What chunks are ranges of."""
    encoding: str = UTF8
    """The file's own; one of ``encodings.SUPPORTED``."""
    encoding_confidence: float = 1.0
    """0 to 1: how sure a detected encoding is."""
    compression: str | None = None
    original_bytes: int = 0
    """Size of the file, unpacked, in its own encoding."""
    origins: tuple[int, ...] = ()
    """For each chunk, the offset in the (unpacked) file of the first character at or after the chunk's start; empty
    where offsets in the text are those in the file."""
    variants: Mapping[str, str] = field(default_factory=dict)
    """See ``encodings.Original``."""
    resembles: tuple[str, ...] = ()
    """See ``charset.Charset``."""

    @classmethod
    def from_json(cls, document: JSON) -> Self:
        tuples = {key: tuple(document.get(key, ())) for key in ("origins", "resembles")}
        return cls(**document | tuples | {"source": Source.from_json(document["source"])})

    @property
    def rewritten(self) -> bool:
        """Whether offsets in the text are others than those in the file."""
        return self.encoding != UTF8

    @property
    def original(self) -> Original:
        return Original(self.encoding, self.variants)


@dataclass(frozen=True)  # no slots: what is worked out once is kept
class Plan:
    """Everything that the workers of a job share."""

    source: Source
    """The upload."""
    text: Text
    contract: Contract | None
    """None until a dataset without a contract has been surveyed."""
    labels: tuple[str, ...]
    """The header's labels; for a file without a header, the fields' names."""
    dialect: Dialect
    dialect_confidence: float
    dialect_chosen: tuple[str, ...]
    marked: bool
    """Whether the file begins with a byte order mark, which decides its encoding: no contract may say another."""
    data_start: int
    """Offset of the first record after the byte order mark and the header."""
    header_lines: int
    """Physical lines before ``data_start``."""
    chunk_size_bytes: int
    record_limit_bytes: int
    block_size_bytes: int
    """How much of a chunk is parsed and checked at a time."""
    padding: int = 0
    """Blank labels behind these, of a rejects.csv that a spreadsheet has padded: see ``binding.padding``."""
    schema: str | None = None
    """The delivered rows' Arrow schema (IPC message in base64), once the chunks have to agree on one."""
    references: tuple[str, ...] = ()
    """Keys of the objects that hold what the contract's foreign keys refer to, one per foreign key, in order."""

    @property
    def layout(self) -> Layout:
        labels = self.labels
        if self.contract is not None:
            # Findings name fields, which a label need not do letter by letter.
            names = [each.name for each in self.contract.fields]
            bound = zip(labels, self.binding.fields, strict=True)
            labels = tuple(label if at is None else names[at] for label, at in bound)
        return Layout(labels, self.dialect, self.text.encoding, self.record_limit_bytes)

    @property
    def block_rows(self) -> int:
        """How many rows of a chunk are parsed and checked at a time, at the most."""
        return max(_BLOCK_CELLS // (len(self.labels) + self.padding + _CELLS_BESIDES), 1)

    @property
    def grammar(self) -> Grammar:
        return Grammar.of(self.dialect, self.record_limit_bytes)

    @cached_property
    def binding(self) -> Binding:
        """Errors: ``Terminal("header-mismatch")``."""
        if self.contract is None:
            raise ValueError("a plan without a contract binds nothing")
        return bind(self.contract, self.labels, self.dialect)

    def with_contract(self, contract: Contract) -> Plan:
        return replace(self, contract=contract)

    def to_json(self) -> JSON:
        document = asdict(replace(self, contract=None))
        document["contract"] = contracts.to_document(self.contract) if self.contract else None
        document["inferred"] = self.contract is not None and self.contract.inferred
        # A function of the release before, which a deployment may replace later, does not know these.
        if not self.padding:
            del document["padding"]
        if not self.text.resembles:
            del document["text"]["resembles"]
        return document

    @classmethod
    def from_json(cls, document: JSON) -> Self:
        known: dict[str, Any] = dict(document)
        inferred = known.pop("inferred")
        if known["contract"] is not None:
            known["contract"] = replace(contracts.parse(known["contract"]), inferred=inferred)
        known["source"] = Source.from_json(known["source"])
        known["text"] = Text.from_json(known["text"])
        known["dialect"] = Dialect.from_json(known["dialect"])
        known["labels"] = tuple(known["labels"])
        known["dialect_chosen"] = tuple(known["dialect_chosen"])
        known["references"] = tuple(known["references"])
        return cls(**known)


def bind(contract: Contract, labels: Sequence[str], dialect: Dialect) -> Binding:
    """Which column holds which field. Errors: ``Terminal("header-mismatch")``."""
    if dialect.header:
        return binding.bind(contract, labels)
    return binding.bind_positions(contract, len(labels))


@frozen
class Task:
    """One chunk to be done in one round: an item of the Distributed Map."""

    plan: str
    """Key of the plan."""
    round: int
    mode: Mode
    index: int
    start: int
    end: int
    """The chunk is the bytes ``[start, end)`` of the text."""
    first_record: int | None = None
    """Offset of the first record at or after ``start``, once proven (it may lie beyond ``end``); None: speculate."""
    repeats: str | None = None
    """Key of the list of the chunk's records whose key stands in an earlier chunk already."""

    def to_json(self) -> JSON:
        return asdict(self)

    @classmethod
    def from_json(cls, document: JSON) -> Self:
        return cls(**document)


def chunk_size(size_bytes: int, most_bytes: int, workers: int) -> int:
    """Of how many bytes a file's chunks are at the most, that each of some workers gets as many as the others."""
    count = divided(size_bytes, max(most_bytes, 1))
    for_all = min(workers * divided(count, workers), size_bytes // _SHARED_CHUNK_BYTES)
    return most_bytes if for_all <= count else divided(size_bytes, for_all)


def cut(size_bytes: int, chunk_size_bytes: int, max_chunks: int) -> list[tuple[int, int]]:
    """Ranges that tile ``[0, size_bytes)``, no larger than a chunk may be but where there were too many, and alike to a
    byte: workers that begin together end together.
    """
    count = min(divided(size_bytes, max(chunk_size_bytes, 1)), max_chunks)
    return list(pairwise(size_bytes * index // count for index in range(count + 1))) if count else []


def _ranges(text: Text, chunk_size_bytes: int, max_chunks: int) -> list[tuple[int, int]]:
    size_bytes = text.source.size_bytes
    if not text.rewritten:
        return cut(size_bytes, chunk_size_bytes, max_chunks)
    # Where each chunk is in the file was noted when nobody knew yet how much text there would be.
    return list(pairwise((*(chunk_size_bytes * index for index in range(len(text.origins))), size_bytes)))


def first_tasks(plan: Plan, plan_key: str, mode: Mode, max_chunks: int) -> list[Task]:
    """The first round: every chunk once. Those before the first record know where it is, the others speculate."""
    return [
        Task(plan_key, 1, mode, index, start, end, plan.data_start if start <= plan.data_start else None)
        for index, (start, end) in enumerate(_ranges(plan.text, plan.chunk_size_bytes, max_chunks))
    ]


def draw(
    source: Source,
    text: Text,
    head: bytes,
    sniffed: Sniffed,
    contract: Contract | None,
    *,
    chunk_size_bytes: int,
    record_limit_bytes: int,
    block_size_bytes: int,
    workers: int,
) -> Plan:
    """The plan for a file whose text starts with ``head``; ``chunk_size_bytes``, ``block_size_bytes``: at the most, of
    a file that is not wide; ``workers``: see ``Settings``.

    Errors: ``Terminal("empty-file")``, ``Terminal("header-too-long")``, ``Terminal("header-mismatch")``.
    """
    whole = len(head) >= text.source.size_bytes
    dialect = sniffed.dialect
    grammar = Grammar.of(dialect, record_limit_bytes)
    header = read_header(head, sniffed.bom_bytes, dialect, grammar, whole=whole, original=text.original)
    if not header.labels and (dialect.header or contract is None):
        raise _unlabelled(head[header.data_start :])
    labels = restored_labels(header.labels) if dialect.header else _names(contract, len(header.labels))
    padding = binding.padding(contract, labels)
    labels = labels[: len(labels) - padding]
    factor = WIDE_FACTOR if len(labels) > WIDE_COLUMNS else 1
    chunk_size_bytes *= factor
    if text.rewritten:
        text = replace(text, origins=text.origins[::factor])
    else:
        chunk_size_bytes = chunk_size(text.source.size_bytes, chunk_size_bytes, workers)
    plan = Plan(
        source=source,
        text=text,
        contract=contract,
        labels=labels,
        dialect=dialect,
        dialect_confidence=sniffed.confidence,
        dialect_chosen=sniffed.chosen,
        marked=sniffed.bom_bytes > 0,
        data_start=header.data_start,
        header_lines=header.lines,
        chunk_size_bytes=chunk_size_bytes,
        record_limit_bytes=record_limit_bytes,
        block_size_bytes=block_size_bytes * factor,
        padding=padding,
    )
    if contract is not None:
        bind(contract, plan.labels, dialect)
    elif dialect.header:
        binding.drafted_names(plan.labels, dialect)  # what no draft could name is refused before the file is read
    return plan


def _unlabelled(rest: bytes) -> Terminal:
    """Why nothing tells what the columns are. ``rest``: the head after the preamble."""
    if rest.removeprefix(UTF8_BOM).strip(b"\r\n"):
        return Terminal("header-too-long", f"no sound record within {len(rest)} bytes tells how many columns there are")
    return Terminal("empty-file", "the file has no record: nothing but blank lines, or comments")


def _names(contract: Contract | None, width: int) -> tuple[str, ...]:
    """What the columns of a file without a header are called; ``width``: the cells of its first sound record, which may
    have more or fewer than there are columns; 0 where there is none.
    """
    bound = tuple([None] * width) if contract is None else binding.bind_positions(contract, width).fields
    return tuple(
        binding.unlabelled(place) if at is None or contract is None else contract.fields[at].name
        for place, at in enumerate(bound, start=1)
    )
