"""What is said of a file with too many rejected rows, and that what it advises helps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests import pipeline
from tests.pipeline import contract

FIELDS = ({"name": "id", "type": "integer"}, {"name": "name", "type": "string"}, {"name": "price", "type": "number"})
STRICT: dict[str, Any] = {"tolerance": {"maxRejectedRatio": 0.05}}
CLEAN = b"id,name,price\n1,ink,1.5\n2,pen,2.5\n3,nib,3.5\n"
UMLAUTS = b"id,name\n" + b"".join(b"%d,M\xc3\xbcller\n" % number for number in range(38)) + b"38,Caf\xe9\n" * 3
"""UTF-8 with three damaged rows."""


def message(body: bytes, described: Any = None) -> str:
    error = pipeline.run(body, described).job.error
    assert error is not None
    assert error.code == "tolerance-exceeded"
    return error.message


def advice(body: bytes, described: Any = None) -> dict[str, Any]:
    """The contract's keys that are advised, none where nothing is."""
    _, _, keys = message(body, described).partition("the contract: ")
    found: dict[str, Any] = json.loads("{" + keys.partition("; ")[0] + "}")
    return found


@pytest.mark.parametrize("described", [None, contract(*FIELDS, sluice=STRICT, encoding="utf-8")])
def test_a_file_in_an_old_encoding_is_advised_to_state_it(described: Any) -> None:
    # Most rows are plain ASCII, and good: those that are not tell of the encoding.
    body = CLEAN + "4,Käse,4.5\n5,crème,5.5\n".encode("cp1252")
    assert advice(body, described) == {"encoding": "cp1252"}
    outcome = pipeline.run(body, contract(*FIELDS, **advice(body, described)))
    assert outcome.table.column("name").to_pylist()[3:] == ["Käse", "crème"]


NAMED = ({"name": "n", "type": "integer"}, {"name": "s", "type": "string"})
CITIES = {
    "cp1250": "Łódź Gdańsk Kraków Wrocław Świdnica",
    "cp1251": "Москва Казань Тверь Нижний Новгород",
    "mac-roman": "Müller Köln Käse Straße",
    "cp1253": "Αθήνα Θεσσαλονίκη Πάτρα",
    "cp949": "서울 부산 대구 광주 인천",
}


def listed(names: str, encoding: str) -> bytes:
    return b"n,s\n" + "".join(f"{at},{name}\n" for at, name in enumerate(names.split() * 3)).encode(encoding)


@pytest.mark.parametrize("encoding", ["cp1250", "cp1251", "mac-roman"])
@pytest.mark.parametrize("described", [None, contract(*NAMED, sluice=STRICT, encoding="utf-8")])
def test_an_encoding_whose_letters_the_bytes_are_is_advised(encoding: str, described: Any) -> None:
    body = listed(CITIES[encoding], encoding)
    assert advice(body, described) == {"encoding": encoding}
    outcome = pipeline.run(body, contract(*NAMED, **advice(body, described)))
    assert outcome.table.column("s").to_pylist() == CITIES[encoding].split() * 3


@pytest.mark.parametrize(
    "encoding, told", [("cp1253", "; they would be text in cp1253 or iso8859-7;"), ("cp949", ' as "encoding";')]
)
def test_where_the_bytes_do_not_tell_the_encoding_none_is_proposed(encoding: str, told: str) -> None:
    said = message(listed(CITIES[encoding], encoding))
    assert "ask whoever made it for its encoding, which the bytes do not tell" in said
    assert told in said
    assert "cp1252" not in said
    assert '"encoding":' not in said
    assert not [name for name in CITIES[encoding].split() if name in said]


@pytest.mark.parametrize("others, advised", [(1, {"encoding": "cp1252"}), (2, {})])
def test_nearly_every_row_is_nine_of_ten(others: int, advised: dict[str, Any]) -> None:
    body = b"id,name,price\n" + b"1,K\xe4se,1\n" * 9 + b"x,ink,1\n" * others
    assert advice(body, contract(*FIELDS, sluice=STRICT, encoding="utf-8")) == advised


def test_how_to_tell_an_old_encoding_from_damaged_rows_is_said_before_it_is_advised() -> None:
    # Stated as cp1252, this file would be delivered whole, with "MÃ¼ller" in every row that was good.
    said = message(UMLAUTS)
    condition, _, _ = said.partition('state its encoding in the contract: "encoding": "cp1252"')
    assert condition != said
    assert "if every row with ü, é and the like is among them, the file is not UTF-8" in condition
    assert said.endswith("if other rows have such letters, too, it is UTF-8, and the rejected rows are damaged")


@pytest.mark.parametrize("described", [None, contract(*FIELDS[:2], sluice=STRICT, encoding="utf-8")])
def test_a_file_that_a_byte_order_mark_says_to_be_utf_8_is_advised_no_other_encoding(described: Any) -> None:
    assert message(b"\xef\xbb\xbf" + UMLAUTS, described).endswith("% may be")


@pytest.mark.parametrize("first", ["Things for sale", "Things for sale{0} "])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_line_before_the_header_is_advised_to_be_passed_over(first: str, delimiter: str) -> None:
    body = first.format(delimiter).encode() + b"\n" + CLEAN.replace(b",", delimiter.encode())
    advised = advice(body)
    given = {} if delimiter == "," else {"delimiter": delimiter}
    assert advised == {"dialect": given | {"commentRows": [1], "headerRows": [2]}}
    outcome = pipeline.run(body, contract(*FIELDS, **({"sluice": STRICT} | advised)))
    assert outcome.table.column("name").to_pylist() == ["ink", "pen", "nib"]


def test_a_title_below_excels_line_is_advised_to_be_passed_over_with_it() -> None:
    body = b"sep=;\nThings for sale\n" + CLEAN.replace(b",", b";")
    advised = advice(body)
    assert advised == {"dialect": {"delimiter": ";", "commentRows": [1, 2], "headerRows": [3]}}
    outcome = pipeline.run(body, contract(*FIELDS, **({"sluice": STRICT} | advised)))
    assert outcome.table.column("name").to_pylist() == ["ink", "pen", "nib"]


@pytest.mark.parametrize(
    "body, described",
    [
        pytest.param(CLEAN + b"4,cap,4.5,blue\n", None, id="one row has a cell too many"),
        pytest.param(CLEAN + b"4,cap,4.5" + b",blue" * 9 + b"\n", None, id="and a row has many of them"),
        pytest.param(CLEAN.replace(b"1.5", b"x"), contract(*FIELDS, sluice=STRICT), id="another cause"),
        pytest.param(
            CLEAN.replace(b"1.5", b"x").replace(b"2.5", b"y") + b"4,K\xe4se,4.5\n",
            contract(*FIELDS, sluice=STRICT),
            id="one of three has another encoding",
        ),
        pytest.param(
            b"K\xe4se,1,2\n" * 3,
            contract(*FIELDS, sluice=STRICT, encoding="ascii", dialect={"header": False}),
            id="an encoding that cp1252 cannot stand for by default",
        ),
        pytest.param(b"id,name\n" + b"1,ink,\n" * 9, None, id="every row ends in a delimiter"),
        pytest.param(b"id,name,price\n" + b"1,ink\n" * 9, None, id="every row lacks its last cell"),
        pytest.param(b"1,2\n" + b"1,2,\n" * 9, None, id="there is no header"),
        pytest.param(b"\xef\xbb\xbfname\n" + b"ink\n" * 9 + b"K\xe4se\n", None, id="a header of one cell is no title"),
        pytest.param(
            CLEAN.partition(b"\n")[2].replace(b",", b";"),
            contract(*FIELDS, sluice=STRICT, dialect={"header": False}),
            id="a contract says that there is no header",
        ),
    ],
)
def test_nothing_is_advised_where_the_cause_is_another(body: bytes, described: Any) -> None:
    assert message(body, described).endswith("% may be")


def test_an_encoding_of_other_letters_is_not_alone_where_a_script_fits_as_well() -> None:
    """Of Latin letters any may be common: Arabic bytes are some of mac-roman's."""
    said = message(b"n,s\n" + "1,مرحبا\n2,سلام\n".encode("cp1256") * 20)
    assert '"encoding":' not in said
    assert "mac-roman or cp1256" in said
