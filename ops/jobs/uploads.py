"""Which file goes where: from the arguments of a command to the keys of the inbox."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chalicelib.frozen import frozen
from chalicelib.model import INCOMING_PREFIX, contract_key, is_dataset
from ops.checkout import ROOT

CONTRACTS = (Path("contracts"), ROOT / "contracts")
"""Where contracts are looked for: in the current folder's, then in the checkout's."""

PACKED_SUFFIXES: Final = {"gzip": ".gz", "zstd": ".zst", "bzip2": ".bz2", "xz": ".xz", "zip": ".zip"}
"""Compression that the engine knows → what its files' names end with."""
_TEXT_SUFFIXES: Final = (".csv", ".tsv", ".txt")


class UsageError(Exception):
    """The command cannot start with these arguments; the message is for the person who typed them."""


@frozen
class Upload:
    """One file, the dataset it is uploaded to, and that dataset's contract, if there is one."""

    path: Path
    dataset: str
    contract: Path | None

    @property
    def key(self) -> str:
        return f"{INCOMING_PREFIX}{self.dataset}/{self.path.name}"

    @property
    def contract_key(self) -> str:
        return contract_key(self.dataset)


def plan(
    files: Sequence[Path],
    contract: Path | None = None,
    dataset: str | None = None,
    contracts: Sequence[Path] = CONTRACTS,
) -> list[Upload]:
    """One upload per file, in the order given.

    The dataset is the one named; else the name in the contract given; else the file's stem where one of the folders
    ``contracts`` has a contract of that name; else the stem made fit for a folder's name. The stem of ``orders.csv.gz``
    is ``orders``. Without a contract given, the dataset's own in the first of ``contracts`` that has it is taken, and
    where there is none the schema will be inferred.

    Errors: ``UsageError`` for a file or contract that cannot be read, and for a dataset no folder can be named.
    """
    for path in files:
        _must_be_readable(path, "file")
    if contract is not None:
        _must_be_readable(contract, "contract")
    if dataset is not None and not is_dataset(dataset):
        raise UsageError(
            f"{dataset!r} cannot be a dataset: letters, digits, '.', '_' and '-' only, beginning with a letter or digit"
        )
    named = dataset or (_name_in(contract) if contract else None)
    uploads = []
    for path in files:
        target = named or _dataset_for(path, contracts)
        uploads.append(Upload(path, target, contract or _own_contract(target, contracts)))
    return uploads


def names(uploads: Sequence[Upload]) -> list[str]:
    """What a person is shown of each: the file's name; where several have the same, its path as it was given."""
    times = Counter(upload.path.name for upload in uploads)
    return [upload.path.name if times[upload.path.name] == 1 else str(upload.path) for upload in uploads]


def make_folder(out: Path) -> None:
    """Make the folder of the outputs, where there is none. Errors: ``UsageError`` where it cannot be made."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the output folder (--out) {out} cannot be made: {error.strerror}") from error


def _must_be_readable(path: Path, kind: str) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder, not a {kind}")
    if not path.is_file() and (path.exists() or str(path) == "-"):
        # A file is read at several places, and more than once. To open a pipe may wait for ever.
        raise UsageError(f"the {kind} {path} is no file on disk: save it to one first, and name that")
    try:
        with path.open("rb"):
            return
    except OSError as error:
        raise UsageError(f"the {kind} {path} cannot be read: {error.strerror}") from error


def _name_in(contract: Path) -> str | None:
    """The contract's ``name``. A contract that cannot be understood is not refused here: the pipeline does so itself,
    and says where the fault is."""
    try:
        document = json.loads(contract.read_bytes())
    except ValueError:
        return None
    name = document.get("name") if isinstance(document, dict) else None
    return name if isinstance(name, str) and is_dataset(name) else None


def _own_contract(dataset: str, contracts: Sequence[Path]) -> Path | None:
    return next((path for folder in contracts if (path := folder / f"{dataset}.json").is_file()), None)


def _dataset_for(path: Path, contracts: Sequence[Path]) -> str:
    stem = _stem(path)
    if is_dataset(stem) and _own_contract(stem, contracts):
        return stem
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:64].rstrip("-")
    return slug or "data"


def _stem(path: Path) -> str:
    """The file's name without its suffix; of a packed one also without the suffix of what is packed, where it has one
    that is usual: ``sales.2026.gz`` is of ``sales.2026``.
    """
    inside = Path(path.stem)
    is_named = path.suffix.lower() in PACKED_SUFFIXES.values() and inside.suffix.lower() in _TEXT_SUFFIXES
    return inside.stem if is_named else path.stem
