"""Encodings: names, the way to text and back over every pair of bytes, and which one a file is taken to have."""

from __future__ import annotations

from itertools import product

import pytest

from chalicelib.engine.text import charset, encodings, resemblance
from chalicelib.engine.text.encodings import Original, Variants, to_text
from chalicelib.engine.text.rewrite import Rewriter
from chalicelib.errors import Terminal

BYTEWISE = [name for name in encodings.SUPPORTED if not name.startswith("utf")]


@pytest.mark.parametrize(
    "name, known",
    [
        ("UTF8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("UTF-16LE", "utf-16-le"),
        ("latin-1", "iso8859-1"),
        ("Windows-1252", "cp1252"),
        ("Shift_JIS", "cp932"),
        ("GBK", "gb18030"),
        ("gb2312", "gb18030"),
        ("iso-2022-jp", None),
        ("utf-7", None),
        ("base64", None),
    ],
)
def test_names(name: str, known: str | None) -> None:
    assert encodings.canonical(name) == known


@pytest.mark.parametrize("name", ["utf-9", "a\0b", ""])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(LookupError):
        encodings.canonical(name)


@pytest.mark.parametrize("name", encodings.SUPPORTED)
def test_every_supported_encoding_is_its_own_name(name: str) -> None:
    assert encodings.canonical(name) == name


@pytest.mark.parametrize("name", BYTEWISE)
def test_all_pairs_of_bytes_come_back(name: str) -> None:
    pairs = [bytes(pair) for pair in product(range(256), repeat=2)]
    # A file that writes one character in two ways has its own limits: there, each pair is a file.
    for data in pairs if name in ("cp932", "big5") else [b"\n".join(pairs)]:
        text = to_text(data, name)
        variants = Variants(name)
        variants.look(data, text.decode("utf-8", "surrogatepass"))
        assert Original(name, variants.found).of(text) == data


@pytest.mark.parametrize("name", BYTEWISE)
def test_no_byte_swallows_a_delimiter_quote_or_line_break(name: str) -> None:
    """A damaged character costs its own bytes: what structures the file stands after it as it did before."""
    for lead, sign in product(range(128, 256), b',;\t"\r\n'):
        assert to_text(bytes((lead, sign)), name).endswith(bytes((sign,)))


def test_gb18030s_four_bytes_come_back() -> None:
    for lead, second, third in product(range(0x81, 0x85), range(0x30, 0x3A), range(0x81, 0xFF)):
        data = b"".join(bytes((lead, second, third, last)) for last in range(0x30, 0x3A))
        assert Original("gb18030").of(to_text(data, "gb18030")) == data


@pytest.mark.parametrize(
    "name, data, text",
    [
        pytest.param("utf-16-le", b"a\0\x00\xd8,\0", "a\udc00\udcd8,", id="half of a surrogate pair"),
        pytest.param("utf-16-le", b"a\0b", "a\udc62", id="half of a character"),
        pytest.param("utf-16-be", b"\xd8\x00", "\udcd8\udc00", id="half of a pair at the end"),
        pytest.param("utf-32-le", b"\0\0\x11\0a\0\0\0", "\udc00\udc00\udc11\udc00a", id="beyond Unicode"),
        pytest.param("cp1252", b"a\x81b", "a\udc81b", id="a place without a character"),
        pytest.param("cp932", b"\x81\n,", "\udc81\n,", id="a second byte that is none"),
        pytest.param("gb18030", b"\x81\x30\x81", "\udc81\udc30\udc81", id="a character that the end cuts"),
    ],
)
def test_what_is_no_character_is_escaped(name: str, data: bytes, text: str) -> None:
    escaped = to_text(data, name)
    assert escaped == text.encode("utf-8", "surrogatepass")
    with pytest.raises(UnicodeDecodeError):
        escaped.decode()
    assert Original(name).of(escaped) == data
    assert encodings.readable(escaped).count("\ufffd") == sum("\udc00" <= each <= "\udcff" for each in text)


def test_a_kanji_that_windows_writes_in_another_way_comes_back() -> None:
    data = "髙橋,﨑\n".encode("cp932").replace("髙".encode("cp932"), b"\xfb\xfc")
    rewriter = Rewriter("cp932", 100)
    text = b"".join(rewriter.text([data[:1], data[1:]]))
    assert text.decode() == "髙橋,﨑\n"
    assert rewriter.variants == {"髙": "fbfc"}
    assert Original("cp932", rewriter.variants).of(text) == data


ROWS = "id,name,note\n1,Grüße,schöne Straße\n2,Jäger,für Öl\n3,Køge,ça été\n"
JAPANESE = "id,名前,住所\n1,やまだ,とうきょう都\n2,スズキ,おおさか府\n"
CHINESE = "编号,姓名,地址\n1,张三,北京市朝阳区\n2,李四,上海市浦东新区\n3,王五,广州市天河区中山大道\n"


@pytest.mark.parametrize(
    "text, codec, found",
    [
        pytest.param(ROWS, "utf-8", "utf-8", id="utf-8"),
        pytest.param("a,b\n1,2\n", "ascii", "utf-8", id="ascii"),
        pytest.param(ROWS, "cp1252", "cp1252", id="cp1252"),
        pytest.param(ROWS, "latin-1", "cp1252", id="latin-1, of which cp1252 is a superset"),
        pytest.param(JAPANESE, "cp932", "cp932", id="Shift-JIS"),
        pytest.param(CHINESE, "gb18030", "gb18030", id="GB18030"),
        pytest.param(ROWS, "utf-16", "utf-16-le", id="utf-16 with a mark"),
        pytest.param("\ufeff" + JAPANESE, "utf-16-be", "utf-16-be", id="utf-16-be with a mark"),
        pytest.param(ROWS, "utf-32", "utf-32-le", id="utf-32 with a mark"),
        pytest.param(ROWS, "utf-16-le", "utf-16-le", id="utf-16-le without a mark"),
        pytest.param(ROWS, "utf-16-be", "utf-16-be", id="utf-16-be without a mark"),
        pytest.param(ROWS, "utf-32-be", "utf-32-be", id="utf-32-be without a mark"),
    ],
)
def test_an_encoding_that_cannot_be_mistaken_is_found(text: str, codec: str, found: str) -> None:
    charset_found = charset.find(text.encode(codec), None, whole=True)
    assert (charset_found.encoding, charset_found.chosen) == (found, True)
    assert charset_found.confidence >= 0.8


@pytest.mark.parametrize(
    "text, codec",
    [
        pytest.param("id,jméno\n1,Dvořák\n2,Šťastný\n3,žluťoučký kůň\n4,město\n", "cp1250", id="Czech"),
        pytest.param("id,imię\n1,Łódź\n2,święto\n3,książka\n4,gęślą jaźń\n", "cp1250", id="Polish"),
        pytest.param("id,név\n1,Győr\n2,tükörfúrógép\n3,árvíztűrő\n", "cp1250", id="Hungarian"),
        pytest.param("id,ad\n1,Eskişehir\n2,ağaç\n3,Muğla\n4,ışık güneş\n", "cp1254", id="Turkish"),
        pytest.param("id,имя\n1,Москва\n2,Привет\n", "cp1251", id="Russian"),
        pytest.param("ИМЯ\nМОСКВА\nПРИВЕТ МИР\nУЛИЦА\n", "cp1251", id="Russian in capitals"),
        pytest.param("id,όνομα\n1,Αθήνα\n2,θάλασσα\n", "cp1253", id="Greek"),
        pytest.param("이름,주소\n홍길동,서울특별시\n김철수,부산광역시 대한민국\n", "cp949", id="Korean"),
        pytest.param("姓名,地址\n王小明,台北市\n陳大文,高雄市電話號碼\n", "big5", id="Chinese in Big5"),
        pytest.param("id,name\n1,Müller\n2,Meier\n", "cp1252", id="too little to tell"),
    ],
)
def test_what_may_be_several_encodings_is_not_guessed(text: str, codec: str) -> None:
    found = charset.find(text.encode(codec), None, whole=True)
    assert found.encoding == "utf-8"
    assert found.confidence < 0.5


def test_a_few_bad_bytes_do_not_make_another_encoding_of_utf8() -> None:
    damaged = (ROWS * 20).encode() + b"4,M\xfcller,\xe4\xf6\xfc\n" * 3
    found = charset.find(damaged, None, whole=True)
    assert found.encoding == "utf-8"
    assert 0.5 < found.confidence < 1


@pytest.mark.parametrize("cut", range(1, 4))
def test_a_character_that_the_heads_end_cuts_is_no_bad_byte(cut: int) -> None:
    head = "id,name\n1,𝄞".encode()[:-cut]
    assert charset.find(head, None, whole=False).confidence == 1.0
    assert charset.find(head, None, whole=True).confidence < 1.0


def test_the_contract_decides_unless_a_mark_says_otherwise() -> None:
    assert charset.find(ROWS.encode(), "cp1252", whole=True) == charset.Charset("cp1252", 1.0, False)
    assert charset.find(ROWS.encode("utf-16"), "utf-16", whole=True).encoding == "utf-16-le"
    assert charset.find(ROWS.encode("utf-16-be"), "utf-16", whole=True).encoding == "utf-16-be"
    for data, stated in ((ROWS.encode("utf-16"), "utf-8"), (ROWS.encode("utf-8-sig"), "cp1252")):
        with pytest.raises(Terminal) as caught:
            charset.find(data, stated, whole=True)
        assert caught.value.code == "encoding-mismatch"
        assert stated in caught.value.message


@pytest.mark.parametrize(
    "data, stated, said",
    [
        pytest.param("日本語の文書です".encode("utf-16-be"), "utf-16", '"utf-16-le" or "utf-16-be"', id="no order"),
        pytest.param(b"a\0,\0\0\0\0\0" + "b,c\n".encode("utf-16-le") * 9, None, '"utf-16-le"', id="with NUL"),
    ],
)
def test_a_byte_order_that_is_not_to_be_seen_is_asked_for(data: bytes, stated: str | None, said: str) -> None:
    with pytest.raises(Terminal) as caught:
        charset.find(data, stated, whole=True)
    assert caught.value.code == "unsupported-encoding"
    assert said in caught.value.message


@pytest.mark.parametrize(
    "text, encodings_named",
    [
        ("Łódź Gdańsk Kraków Świdnica", {"cp1250": ["cp1250"], "iso8859-2": ["iso8859-2"], "cp852": ["cp852"]}),
        ("Příliš žluťoučký kůň", {"cp1250": ["cp1250"], "iso8859-2": ["iso8859-2"]}),
        ("Győr Székesfehérvár", {"cp1250": ["cp1250", "iso8859-2"]}),
        ("Москва ТВЕРЬ Сочи", {"cp1251": ["cp1251"], "cp866": ["cp866"], "koi8-r": ["koi8-r", "koi8-u"],
                              "iso8859-5": ["iso8859-5"]}),
        ("Київ Львів Одеса Запоріжжя", {"cp1251": ["cp1251"], "koi8-u": ["koi8-u"]}),
        ("İstanbul Diyarbakır Muğla", {"cp1254": ["cp1254", "iso8859-9"]}),
        ("Klaipėda Panevėžys Šiauliai", {"cp1257": ["cp1257", "iso8859-13"]}),
        ("Αθήνα Ηράκλειο", {"cp1253": ["cp1253", "iso8859-7"]}),
        ("ירושלים תל אביב", {"cp1255": ["cp1255", "iso8859-8"]}),
        ("Müller Köln Käse", {"cp1252": ["cp1252"], "mac-roman": ["mac-roman"], "cp850": ["cp850", "cp437"]}),
        ("Reykjavík Þórshöfn", {"cp1252": []}),
        ("서울 부산 대구", {"cp949": []}),
    ],
)  # fmt: skip
def test_encodings_that_bytes_resemble(text: str, encodings_named: dict[str, list[str]]) -> None:
    for encoding, expected in encodings_named.items():
        body = "n;s\nä;Käse\n".encode() + "".join(f"1;{word}\n" for word in text.split()).encode(encoding)
        assert list(resemblance.resembled(body)) == expected, encoding


@pytest.mark.parametrize("body", [b"", b"a\n", b"1,p\xc3n\n", b"\xff", "ä".encode()])
def test_damage_resembles_nothing(body: bytes) -> None:
    assert resemblance.resembled(body) == ()


@pytest.mark.parametrize("stated, expected", [(None, ("cp1251",)), ("utf-8", ("cp1251",)), ("cp1250", ())])
def test_a_file_taken_for_utf_8_tells_what_it_resembles(stated: str | None, expected: tuple[str, ...]) -> None:
    assert charset.find("Москва, Тверь\n".encode("cp1251"), stated, whole=True).resembles == expected
