"""Files that are tables are read as they are; all others are refused in one paragraph."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest

from pipetrace.errors import TableError
from pipetrace.pipeline.prepare import prepare
from pipetrace.pipeline.table import list_names, no_column, read, shorten

ROWS = "".join(f"{i * i % 7},{'abc'[i % 3]},{i / 2}\n" for i in range(30))
GOOD = "count,letter,half\n" + ROWS


def refusal(path: Path | str) -> str:
    with pytest.raises(TableError) as caught:
        read(path)
    text = str(caught.value)
    assert "\n" not in text, "an error is one paragraph"
    assert Path(path).name in text
    return text


@pytest.mark.parametrize(("separator", "suffix"), [(",", "csv"), (";", "txt"), ("\t", "tsv")])
def test_separators_are_detected(write, separator, suffix):
    table = read(write(f"good.{suffix}", GOOD.replace(",", separator)))
    assert table.kinds == {"count": "whole", "letter": "text", "half": "decimal"}
    assert table.rows == 30
    assert table["half"].to_list() == [i / 2 for i in range(30)]


def test_a_decimal_comma_is_read_where_semicolons_separate(write):
    table = read(write("komma.csv", "a;b\n1,5;x\n2;y\n-0,25;x, y\n"))
    assert table["a"].to_list() == [1.5, 2.0, -0.25]
    assert table["b"].to_list() == ["x", "y", "x, y"]


def test_quotes_line_breaks_blank_lines_and_a_byte_order_mark(write):
    text = '\ufeffname,"two\nlines"\n"a, b",1\n\n"say ""hi""\nthere",2\n,\n'
    table = read(write("quoted.csv", text))
    assert table.frame.columns == ["name", "two lines"]
    assert table["name"].to_list() == ["a, b", 'say "hi"\nthere']
    assert table["two lines"].to_list() == [1, 2]


def test_a_name_in_brackets_is_not_taken_for_json(write):
    assert read(write("brackets.csv", "[kg],{m}\n1,2\n")).frame.columns == ["[kg]", "{m}"]


def test_windows_line_ends(write):
    table = read(write("dos.csv", GOOD.replace("\n", "\r\n")))
    assert table["half"].to_list() == [i / 2 for i in range(30)]


def test_every_word_for_missing(write):
    cells = ["", "NA", "?", "nan", "NaN", "null", "NULL", " n/a "]
    table = read(write("missing.csv", "a,b\n" + "".join(f"{cell},x\n" for cell in cells) + "3,y\n"))
    assert table.kinds["a"] == "whole"
    assert table["a"].null_count() == len(cells)


def test_columns_that_share_a_name_are_numbered_and_said(write):
    table = read(write("twice.csv", "a,a,,a\n1,2,3,4\n5,6,7,8\n"))
    assert table.frame.columns == ["a", "a (2)", "column 3", "a (3)"]
    assert table["a (3)"].to_list() == [4, 8]
    assert [notice.id for notice in table.notices] == ["table-repeated-column"]


def test_parquet_gives_the_same_as_csv(write, tmp_path):
    csv = read(write("good.csv", GOOD))
    pl.read_csv(tmp_path / "good.csv").write_parquet(tmp_path / "good.parquet")
    parquet = read(tmp_path / "good.parquet")
    assert parquet.kinds == csv.kinds
    assert parquet.frame.equals(csv.frame)


def test_penguins(shared):
    table = read(shared("penguins.csv"))
    assert table.rows == 344
    assert table["sex"].null_count() == 11
    assert table.kinds["bill_length_mm"] == "decimal"


def test_a_missing_file_names_the_one_that_is_meant(write):
    path = write("penguins.csv", GOOD)
    assert "Did you mean penguins.csv?" in refusal(path.with_name("pengiuns.csv"))
    assert "no such file" in refusal(path.with_name("x.parquet"))
    assert "no such file" in refusal(path.parent / "nowhere" / "x.csv")
    assert "Download it" in refusal("https://example.org/x.csv")


def test_a_folder(tmp_path, write):
    write("some.csv", GOOD)
    assert "folder" in refusal(tmp_path)
    assert "some.csv" in refusal(tmp_path)


@pytest.mark.parametrize("content", ["", " \n\n", b"\xef\xbb\xbf\n"])
def test_an_empty_file(write, content):
    assert "is empty" in refusal(write("empty.csv", content))


def test_a_header_without_rows(write):
    text = refusal(write("header.csv", "a,b\n"))
    assert "no rows" in text
    assert "'a', 'b'" in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "a PNG picture"),
        (b"\xff\xd8\xff\xe0 JFIF", "a JPEG picture"),
        (b"a,b\n" + bytes(range(256)), "binary data"),
        (b"PK\x03\x04 xl/workbook", "ZIP"),
        (b"PAR1", "suffix .parquet"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("\n<!DOCTYPE html><html><p>Not found</p>", "HTML"),
        ('[{"a": 1, "b": 2}]', "JSON"),
        ("a,b\n1,caf\xe9\n".encode("latin-1"), "not UTF-8"),
        ("Once upon a time, there was\na king\nand, lo, a queen\n", "line 2 has 1 cell"),
        ("Once upon a time\nthere was a king\n", "a single cell each"),
        ("a,b\n1,2\n3,4,5\n", "line 3 has 3 cells, the header has 2"),
        ('a,b\n1,"2\n3,4\n', "Quotes"),
        ('a,b\n1,5" pipe\n2,"open\n3,4\n', "Quotes"),
    ],
)
def test_what_is_no_table(write, content, words):
    assert words in refusal(write("thing.csv", content))


@pytest.mark.parametrize("content", ["a,b\n1,2\n", b"PAR1 broken"])
def test_what_is_no_parquet_file(write, content):
    assert "Parquet" in refusal(write("thing.parquet", content))


def test_an_unknown_suffix_names_those_that_are_read(write):
    for name in ("book.xlsx", "table"):
        text = refusal(write(name, GOOD))
        assert ".csv" in text
        assert ".parquet" in text


@pytest.mark.skipif(sys.platform == "win32", reason="permissions work differently there")
def test_a_file_that_may_not_be_read(write):
    path = write("secret.csv", GOOD)
    path.chmod(0)
    try:
        path.read_bytes()
    except PermissionError:
        assert "cannot be read" in refusal(path)
    else:
        pytest.skip("this user may read every file")
    finally:
        path.chmod(0o600)


def test_a_misspelt_column_names_the_one_that_is_meant():
    assert "did you mean 'species'?" in no_column("t.csv", "Specie", ["species", "mass"])
    assert "did you mean" not in no_column("t.csv", "zzz", ["species", "mass"])
    assert "add a header" in no_column("t.csv", "y", ["5.1", "3.5"])


def test_long_names_are_cut():
    assert len(shorten("x" * 500)) == 60
    assert list_names(map(str, range(20)), limit=3) == "'0', '1', '2' and 17 more"


def test_prepare_names_file_and_column(write):
    with pytest.raises(TableError, match=r"good\.csv has no column 'leter': did you mean 'letter'"):
        prepare(write("good.csv", GOOD), "leter")
