from pathlib import Path

import pytest

from clrun.sources.csv_table import find_in_table
from clrun.sources.labelled_files import FileRows
from clrun.sources.labelled_rows import BadRows


def find(folder: Path, text: str, test_fraction: float | None = None) -> FileRows:
    """What is found in a table of this text, beside images 0.png to 9.png."""
    for k in range(10):
        (folder / f"{k}.png").write_bytes(b"x")
    (folder / "table.csv").write_bytes(text.encode("utf-8"))
    return find_in_table(folder / "table.csv", test_fraction)


def names(found: FileRows) -> list[str]:
    return [file.name for file in found.files]


def test_columns_may_come_in_any_order_and_others_are_not_read(tmp_path):
    found = find(tmp_path, "label,who,path\ncat,me,3.png\ndog,you,1.png\ncat,me,2.png\n")

    assert names(found) == ["3.png", "1.png", "2.png"]
    assert found.rows.class_names == ("cat", "dog")
    assert found.rows.y.tolist() == [0, 1, 0]


def test_a_table_from_a_spreadsheet_is_read(tmp_path):
    text = '\ufeffPath, Label\r\n"0.png" ,"a, b"\r\n\r\n1.png,c\r\n'

    found = find(tmp_path, text.replace('" ,', '",'))

    assert names(found) == ["0.png", "1.png"]
    assert found.rows.class_names == ("a, b", "c")


def test_the_split_column_decides_the_sides(tmp_path):
    found = find(tmp_path, "path,label,split\n0.png,a,train\n1.png,a,Test\n2.png,b,test\n")

    assert found.rows.is_test.tolist() == [False, True, True]


def test_the_experience_column_decides_the_experiences_of_both_sides(tmp_path):
    lines = [f"{k}.png,{k % 2},{5 - k // 5}" for k in range(10)]

    found = find(tmp_path, "\n".join(["path,label,experience", *lines]))

    assert found.rows.experience.tolist() == [1] * 5 + [0] * 5
    assert found.rows.check().num_experiences == 2


def test_a_test_row_may_leave_its_experience_to_its_class(tmp_path):
    text = "path,label,split,experience\n0.png,a,train,0\n1.png,b,train,1\n2.png,b,test,\n"

    assert find(tmp_path, text).rows.experience.tolist() == [0, 1, 1]


def test_paths_below_the_table_are_read_and_none_above_it(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.png").write_bytes(b"x")

    assert names(find(tmp_path, "path,label\nsub/x.png,a\n./0.png,b\n")) == ["x.png", "0.png"]
    for path in ("../x.png", "sub/../../x.png", str(tmp_path / "0.png"), "."):
        with pytest.raises(BadRows, match="no file below the table's folder"):
            find(tmp_path, f"path,label\n{path},a\n")


def test_a_fraction_beside_a_split_column_is_refused_and_not_ignored(tmp_path):
    with pytest.raises(BadRows, match=r"test_fraction=0\.3 is given, and there is a column split"):
        find(tmp_path, "path,label,split\n0.png,a,train\n", 0.3)


@pytest.mark.parametrize(
    ("delimiter", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")]
)
def test_another_delimiter_is_named(tmp_path, delimiter, name):
    with pytest.raises(BadRows, match=f"has {name} between its columns. Use commas"):
        find(tmp_path, f"path{delimiter}label\n0.png{delimiter}1\n")
