"""What the command line promises before any work begins: usage, exit statuses, and that the docs name every option."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import local

ROOT = Path(__file__).resolve().parents[2]


def subcommands() -> dict[str, argparse.ArgumentParser]:
    (action,) = [action for action in local.parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(action.choices)


def options() -> list[tuple[str, str]]:
    return [
        (name, option)
        for name, command in subcommands().items()
        for action in command._actions
        for option in action.option_strings
        if option.startswith("--") and option != "--help"
    ]


@pytest.mark.parametrize("name", subcommands())
def test_every_command_is_documented(name: str) -> None:
    assert f"local.py {name}" in (ROOT / "docs" / "laptop.md").read_text()
    assert f"local.py {name}" in (local.__doc__ or "")


@pytest.mark.parametrize(("name", "option"), options())
def test_every_option_is_documented(name: str, option: str) -> None:
    text = (ROOT / "docs" / "laptop.md").read_text()
    section = text.split(f"## `local.py {name}", 1)[1].split("\n## ", 1)[0]
    assert f"`{option}" in section


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["walk"],
        ["run"],
        ["check", "--chunk-size", "0", "samples/orders.csv"],
        ["check", "--chunk-size", "many", "samples/orders.csv"],
        ["run", "no-such-file.csv"],
        ["check", "samples"],
        ["check", "samples/orders.csv", "--contract", "no-such-contract.json"],
        ["check", "samples/orders.csv", "--dataset", "../orders"],
        ["infer", "no-such-file.csv"],
        ["serve", "samples/orders.csv"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_status_2_with_a_reason_and_nothing_on_stdout(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    try:
        status: object = local.main(arguments)
    except SystemExit as end:
        status = end.code
    captured = capsys.readouterr()
    assert status == 2
    assert captured.err.strip()
    assert captured.out == ""


@pytest.mark.parametrize(("text", "size"), [("1", 1), ("4000000", 4_000_000), ("512KiB", 524_288), ("8MiB", 8_388_608)])
def test_sizes(text: str, size: int) -> None:
    assert local.parser().parse_args(["serve", "--chunk-size", text]).chunk_size == size


def test_help_and_usage_errors_import_neither_pandas_nor_boto3_nor_rich() -> None:
    code = (
        "import sys, local\n"
        "assert local.main(['run', 'no-such-file.csv']) == 2\n"
        "loaded = {'pandas', 'pyarrow', 'boto3', 'botocore', 'rich', 'chalice'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(("name", "why"), [("a.csv", "File exists"), ("a.csv/out", "Not a directory")])
def test_an_output_folder_that_cannot_be_made_is_usage(
    command: str, name: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id\n1\n")
    out = tmp_path / name
    assert local.main([command, str(file), "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"local.py {command}: the output folder (--out) {out} cannot be made: {why}\n"


def test_a_draft_is_inferred_for_a_dataset_that_has_a_transform(capsys: pytest.CaptureFixture[str]) -> None:
    """The transform wants the contract's types, and the contract is what is being asked for."""
    assert local.main(["infer", str(ROOT / "samples" / "orders.csv")]) == 0
    printed = capsys.readouterr()
    draft = json.loads(printed.out)
    assert "orders.csv: 20 of 5,000 rows do not fit the draft: " in printed.err
    assert [draft["name"], draft["path"]] == ["orders", "orders.csv"]
    assert [field["name"] for field in draft["schema"]["fields"]][:2] == ["order_id", "customer_email"]


LATIN = b"id,name\n" + b"1,caf\xe9\n2,tea\n" * 6
TITLED = b"A title\nid,name\n1,a\n2,b\n"
LACKING = b"a,b,c\n" + b"1,2,3\n" * 79 + b"1\n"


@pytest.mark.parametrize(
    ("body", "told", "advice"),
    [
        (LATIN, "6 of 12 rows do not fit the draft: encoding-error 6", "among them, the file is of another encoding"),
        (b"\xef\xbb\xbf" + LATIN, "6 of 12 rows do not fit the draft: encoding-error 6", ""),
        (TITLED, "3 of 3 rows do not fit the draft: extra-cell 3", '"commentRows": [1]'),
        (TITLED.replace(b"title", b"title\n"), "3 of 4 rows do not fit the draft: extra-cell 3", '"commentRows": [1]'),
        (LACKING, "1 of 80 rows do not fit the draft: missing-cell 1", ""),
    ],
    ids=["Latin-1", "Latin-1 after a mark of UTF-8", "a title line", "a title and a blank", "two cells are missing"],
)
def test_rows_that_do_not_fit_the_draft_are_told_beside_it(
    body: bytes, told: str, advice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many as ``check`` with the draft then rejects."""
    file, draft = tmp_path / "new.csv", tmp_path / "new.json"
    file.write_bytes(body)
    assert local.main(["infer", str(file)]) == 0
    printed = capsys.readouterr()
    assert f"{file}: {told}\n" in printed.err
    assert advice in printed.err
    assert len(printed.err.splitlines()) == 1 + bool(advice)
    draft.write_text(printed.out)
    local.main(["check", str(file), "--contract", str(draft), "--out", str(tmp_path / "out"), "--json"])
    (job,) = json.loads(capsys.readouterr().out)
    assert told.startswith(f"{job['rows']['rejected']} of {job['rows']['read']} rows ")


PENS: list[dict[str, Any]] = [
    {"name": "id", "type": "integer"},
    {"name": "name", "type": "string"},
    {"name": "price", "type": "number"},
]


@pytest.mark.parametrize(
    ("body", "more"),
    [
        (b"Things for sale\nid,name,price\n1,ink,1.5\n2,pen,2.5\n", []),
        (b"sep=;\r\nThings for sale\r\nid;name;price\r\n1;ink;1.5\r\n2;pen;2.5\r\n", []),
        (b"Things for sale,,\nid,name,price\n1,ink,1.5\n2,pen,2.5\n", []),
        (b"sep=;\nThings for sale;;\nid;name;price\n1;ink;1.5\n2;pen;2.5\n", []),
        (b"id,name,price\n1,ink,1.5,\n2,pen,2.5,\n", [{"name": "nothing", "type": "string"}]),
        (b'id,name,price\n1,"the \\"best\\" ink",1.5\n2,"a \\"b, c\\" pen",2.5\n', []),
    ],
    ids=[
        "a title",
        "a title below sep=",
        "a title as wide as the rows",
        "a title as wide as the rows, below sep=",
        "every row ends in a delimiter",
        "backslashes before quotes",
    ],
)
def test_what_is_advised_beside_a_draft_helps(
    body: bytes, more: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, described = tmp_path / "pens.csv", tmp_path / "pens.json"
    file.write_bytes(body)
    assert local.main(["infer", str(file)]) == 0
    dialects = re.findall(r'"dialect": (\{.*?\})', capsys.readouterr().err)
    contract = {"name": "pens", "dialect": json.loads(dialects[-1]), "schema": {"fields": [*PENS, *more]}}
    described.write_text(json.dumps(contract))
    local.main(["check", str(file), "--contract", str(described), "--out", str(tmp_path / "out"), "--json"])
    (job,) = json.loads(capsys.readouterr().out)
    assert job["rows"] == {"read": 2, "valid": 2, "rejected": 0, "blank": 0}


@pytest.mark.parametrize("above", [b"", b"sep=,\n"], ids=["", "below sep="])
def test_a_header_that_does_not_look_like_one_is_named_where_it_is_advised(
    above: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, described = tmp_path / "pens.csv", tmp_path / "pens.json"
    file.write_bytes(above + b"home,away\nhome,draw\nlost,away\n")
    assert local.main(["infer", str(file)]) == 0
    printed = capsys.readouterr()
    draft = json.loads(printed.out)
    draft["dialect"] = json.loads(re.findall(r'"dialect": (\{.*?\})', printed.err)[0])
    draft["schema"]["fields"] = [{"name": name, "type": "string"} for name in ("home", "away")]
    described.write_text(json.dumps(draft))
    local.main(["check", str(file), "--contract", str(described), "--out", str(tmp_path / "out"), "--json"])
    (job,) = json.loads(capsys.readouterr().out)
    assert job["rows"] == {"read": 2, "valid": 2, "rejected": 0, "blank": 0}


EUROPEAN = b"id;paid;on;at;note\n1;1,5;31.12.2023;31.12.2023 10:00;1.2.3\n2;NA;01.02.2024;01.02.2024 11:00;030,5\n"


def test_what_is_told_of_numbers_and_dates_types_the_draft(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, described = tmp_path / "paid.csv", tmp_path / "paid.json"
    file.write_bytes(EUROPEAN)
    assert local.main(["infer", str(file)]) == 0
    printed = capsys.readouterr()
    told = re.findall(r'csv: "(\w+)": every text would be read if the field had (\{.*\})', printed.err)
    draft = json.loads(printed.out)
    assert [each["type"] for each in draft["schema"]["fields"]] == ["integer"] + ["string"] * 4
    assert [name for name, _ in told] == ["paid", "on", "at"]
    for field in draft["schema"]["fields"]:
        field |= json.loads(dict(told).get(field["name"], "{}"))
    described.write_text(json.dumps(draft))
    local.main(["check", str(file), "--contract", str(described), "--out", str(tmp_path / "out"), "--json"])
    (job,) = json.loads(capsys.readouterr().out)
    assert job["rows"] == {"read": 2, "valid": 2, "rejected": 0, "blank": 0}


@pytest.mark.parametrize(
    ("cell", "reason"),
    [(b"01/02/2024", "no text tells which is the day"), (b"1,234", "no text tells whether 1,234 is")],
)
def test_what_no_text_tells_is_not_guessed(
    cell: bytes, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new.csv"
    file.write_bytes(b"id;a;b\n" + b"1;%s;%s\n" % (cell, cell) * 3)
    assert local.main(["infer", str(file)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f'{file}: "a", "b": every text would be read if the field had {{')
    assert " or {" in line
    assert reason in line


@pytest.mark.parametrize("above", [b"", b"sep=,\n"], ids=["", "below sep="])
@pytest.mark.parametrize("header", [b"id, v\n", b"id,v\n", b""])
def test_spaces_behind_every_delimiter_are_told(
    header: bytes, above: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, described = tmp_path / "new.csv", tmp_path / "new.json"
    file.write_bytes(above + header + b"1, 5\n2, 6\n3,\n")
    assert local.main(["infer", str(file)]) == 0
    told = capsys.readouterr().err
    assert "every cell after a delimiter begins with a space" in told
    assert "spaces around labels" not in told
    fields = [{"name": name, "type": "integer"} for name in ("id", "v")]
    dialect = json.loads(re.findall(r'"dialect": (\{.*?\})\n', told)[-1])
    described.write_text(json.dumps({"name": "new", "dialect": dialect, "schema": {"fields": fields}}))
    local.main(["check", str(file), "--contract", str(described), "--out", str(tmp_path / "out"), "--json"])
    (job,) = json.loads(capsys.readouterr().out)
    assert job["rows"] == {"read": 3, "valid": 3, "rejected": 0, "blank": 0}


def test_spaces_behind_some_delimiters_are_a_part_of_their_cells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new.csv"
    file.write_bytes(b"id, v,w\n1, 5, 7\n2, 6,8\n")
    assert local.main(["infer", str(file)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "spaces around labels are taken for a part of the names" in line


def test_spaces_around_labels_are_told_and_need_not_be_in_the_draft(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, described = tmp_path / "new.csv", tmp_path / "new.json"
    file.write_bytes(b" id ;v \n1;2\n")
    assert local.main(["infer", str(file)]) == 0
    printed = capsys.readouterr()
    assert '" id ", "v ": the draft may call its fields "id", "v"' in printed.err
    draft = json.loads(printed.out)
    for field in draft["schema"]["fields"]:
        field["name"] = field["name"].strip()
    described.write_text(json.dumps(draft))
    local.main(["check", str(file), "--contract", str(described), "--out", str(tmp_path / "out"), "--json"])
    (job,) = json.loads(capsys.readouterr().out)
    assert job["rows"] == {"read": 1, "valid": 1, "rejected": 0, "blank": 0}


def test_a_few_rows_with_a_cell_too_many_tell_nothing_of_the_header(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new.csv"
    file.write_bytes(b"a,b\n" + b"1,2\n" * 40 + b"1,2,3\n")
    assert local.main(["infer", str(file)]) == 0
    assert capsys.readouterr().err == f"{file}: 1 of 41 rows do not fit the draft: extra-cell 1\n"


def test_a_draft_that_every_row_fits_comes_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new.csv"
    file.write_bytes(b"id,name\n1,a\n\n2,b\n")
    assert local.main(["infer", str(file)]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["name"] == "new"
    assert printed.err == ""


def test_a_file_of_which_no_draft_can_be_made_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"")
    assert local.main(["infer", str(file)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "empty-file: the file has no bytes" in printed.err


def test_a_check_again_leaves_no_more_and_loses_no_corrected_rejects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["check", str(ROOT / "samples" / "orders.csv"), "--out", str(out)]
    for _ in range(2):
        assert local.main(arguments) == 0
    (folder,) = out.iterdir()
    (folder / "report.html").touch()  # its time alone changes: the manifest says that it is as it was
    assert local.main(arguments) == 0
    (folder / "rejects.csv").write_text("corrected")
    assert "kept" not in capsys.readouterr().err
    assert local.main(arguments) == 0
    assert f"{folder} had been changed since it was written: it is kept as {folder}.1\n" in capsys.readouterr().err
    assert (out / f"{folder.name}.1" / "rejects.csv").read_text() == "corrected"
    assert (folder / "rejects.csv").read_text() != "corrected"


@pytest.mark.parametrize(
    ("before", "at_the_end"),
    [
        ("with process.importing(): pass", ""),
        ("with process.importing(): sys.modules['chalicelib.transforms.things'] = sys", "closed"),
        ("", "closed"),
        ("import gc; gc.freeze()", "closed"),  # as Python 3.12 begins
    ],
    ids=["check", "check with a transform", "run", "run with something frozen"],
)
def test_a_process_ends_with_its_status_and_all_that_it_said(before: str, at_the_end: str) -> None:
    code = f"""
import atexit, sys
from ops import process
atexit.register(lambda: print("closed", end=""))
{before}
print("said", end="")
process.leave(3)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, f"said{at_the_end}", "")


def test_a_reader_that_is_gone_is_told_of_as_usual() -> None:
    code = """
from ops import process
with process.importing():
    pass
print("x")
process.leave(0)
"""
    pipe, buffered = subprocess.PIPE, os.environ | {"PYTHONUNBUFFERED": ""}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, env=buffered, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait() == 120
        assert process.stderr is not None
        assert "BrokenPipeError" in process.stderr.read()


def test_what_a_transform_prints_stays_off_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where several chunks are transformed at a time, in threads (each one's own redirection would undo another's)
    or in processes.
    """

    def transform(frame: Any) -> Any:
        print("here")
        time.sleep(0.01)
        return frame

    monkeypatch.setattr("chalicelib.engine.delivery.transform.find", lambda _: transform)
    file = tmp_path / "things.csv"
    file.write_text("id\n" + "".join(f"{number}\n" for number in range(200)))
    contract = tmp_path / "things.json"
    contract.write_text('{"name": "things", "schema": {"fields": [{"name": "id", "type": "integer"}]}}')
    arguments = [str(file), "--contract", str(contract), "--out", str(tmp_path / "out"), "--chunk-size", "64", "--json"]
    assert local.main(["check", *arguments]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)[0]["rows"]["valid"] == 200
    assert "here" in printed.err
