from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine.text import signatures
from chalicelib.model import NO_DATASET, dataset_of
from ops.checkout import ROOT
from ops.jobs.uploads import PACKED_SUFFIXES, Upload, UsageError, names, plan


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    folder = tmp_path / "contracts"
    folder.mkdir()
    (folder / "orders.json").write_text(json.dumps({"name": "orders"}))
    return folder


def made(tmp_path: Path, name: str, text: str = "a\n1\n") -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_named_like_a_contract_belongs_to_its_dataset(tmp_path: Path, contracts: Path) -> None:
    file = made(tmp_path, "orders.csv")
    assert plan([file], contracts=[contracts]) == [Upload(file, "orders", contracts / "orders.json")]


@pytest.mark.parametrize("name", ["orders.csv.gz", "orders.CSV.GZ", "orders.tsv.zst", "orders.zip", "orders.txt.bz2"])
def test_a_packed_file_belongs_to_the_dataset_of_what_is_packed(tmp_path: Path, contracts: Path, name: str) -> None:
    file = made(tmp_path, name)
    assert plan([file], contracts=[contracts]) == [Upload(file, "orders", contracts / "orders.json")]


def test_every_compression_that_the_engine_knows_has_a_suffix() -> None:
    assert PACKED_SUFFIXES.keys() == {name for name, _ in signatures._PACKED}


def test_a_contract_is_looked_for_in_each_folder_in_order(tmp_path: Path, contracts: Path) -> None:
    own = made(tmp_path, "own/orders.json", "{}")
    file = made(tmp_path, "orders.csv")
    assert plan([file], contracts=[own.parent, contracts])[0].contract == own
    assert plan([file], contracts=[tmp_path / "none", contracts])[0].contract == contracts / "orders.json"


def test_contracts_are_looked_for_in_the_current_folder_and_then_in_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = made(tmp_path, "orders.csv")
    monkeypatch.chdir(tmp_path)
    assert plan([file])[0].contract == ROOT / "contracts" / "orders.json"
    made(tmp_path, "contracts/orders.json", "{}")
    assert plan([file])[0].contract == Path("contracts/orders.json")


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("Sales 2026 (final).csv", "sales-2026-final"),
        ("été.csv", "ete"),
        ("week-07.csv.gz", "week-07"),
        ("sales.2026.gz", "sales-2026"),
        ("注文.csv", "data"),
        ("x" * 90 + ".csv", "x" * 64),
    ],
)
def test_another_file_makes_a_dataset_of_its_stem_and_has_no_contract(
    tmp_path: Path, contracts: Path, name: str, dataset: str
) -> None:
    file = made(tmp_path, name)
    assert plan([file], contracts=[contracts]) == [Upload(file, dataset, None)]


def test_the_contract_given_names_the_dataset_of_every_file(tmp_path: Path, contracts: Path) -> None:
    files = [made(tmp_path, "monday/a.csv"), made(tmp_path, "tuesday/a.csv")]
    contract = made(tmp_path, "c.json", '{"name": "returns"}')
    uploads = plan(files, contract, contracts=[contracts])
    assert [(upload.dataset, upload.contract, upload.key) for upload in uploads] == [
        ("returns", contract, "incoming/returns/a.csv")
    ] * 2
    assert uploads[0].contract_key == "contracts/returns.json"


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "a/b"}', '{"name": 5}', "{}"])
def test_a_contract_that_names_no_dataset_is_left_for_the_pipeline_to_refuse(
    tmp_path: Path, contracts: Path, text: str
) -> None:
    contract = made(tmp_path, "c.json", text)
    file = made(tmp_path, "orders.csv")
    assert plan([file], contract, contracts=[contracts]) == [Upload(file, "orders", contract)]


def test_the_dataset_given_wins_and_brings_its_own_contract(tmp_path: Path, contracts: Path) -> None:
    file = made(tmp_path, "week-07.csv")
    assert plan([file], dataset="orders", contracts=[contracts]) == [Upload(file, "orders", contracts / "orders.json")]


@pytest.mark.parametrize("dataset", ["", "..", "a/b", "-a", "a b", "(none)", "ä", "x" * 65])
def test_a_dataset_that_no_folder_can_be_named_is_refused(tmp_path: Path, contracts: Path, dataset: str) -> None:
    with pytest.raises(UsageError, match="cannot be a dataset"):
        plan([made(tmp_path, "a.csv")], dataset=dataset, contracts=[contracts])


def test_what_cannot_be_read_is_refused_before_anything_starts(tmp_path: Path, contracts: Path) -> None:
    file = made(tmp_path, "a.csv")
    with pytest.raises(UsageError, match=r"file .*gone\.csv cannot be read: No such file"):
        plan([file, tmp_path / "gone.csv"], contracts=[contracts])
    with pytest.raises(UsageError, match="is a folder, not a file"):
        plan([tmp_path], contracts=[contracts])
    with pytest.raises(UsageError, match=r"contract .*gone\.json cannot be read"):
        plan([file], tmp_path / "gone.json", contracts=[contracts])


@pytest.mark.parametrize("kind", ["file", "contract"])
@pytest.mark.parametrize("name", ["-", "fifo", "/dev/null"])
def test_a_pipe_or_a_device_is_refused_before_anything_is_read_of_it(tmp_path: Path, kind: str, name: str) -> None:
    stream = Path(name)
    if name == "fifo":
        stream = tmp_path / name
        os.mkfifo(stream)
    files, contract = ([stream], None) if kind == "file" else ([made(tmp_path, "a.csv")], stream)
    with pytest.raises(UsageError, match=f"the {kind} {stream} is no file on disk: save it to one first"):
        plan(files, contract)


def test_files_of_the_same_name_are_shown_by_their_paths() -> None:
    uploads = [Upload(Path(path), "x", None) for path in ("a/x.csv", "b/x.csv", "a/y.csv")]
    assert names(uploads) == ["a/x.csv", "b/x.csv", "y.csv"]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=80))
def test_every_file_name_gets_a_dataset_that_the_inbox_accepts(name: str) -> None:
    from ops.jobs.uploads import _dataset_for

    dataset = _dataset_for(Path("/x") / name, [Path("/no contracts")])
    assert dataset_of(f"incoming/{dataset}/{name}") == dataset != NO_DATASET
