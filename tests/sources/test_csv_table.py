import os
from pathlib import Path

import pytest

from clrun.sources.class_names import BadRows
from clrun.sources.csv_table import find_in_table
from clrun.sources.labelled_files import FileRows


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
    outside = ("../x.png", "sub/../../x.png", "..\\x.png", "/etc/passwd", "C:\\x.png", ".", "")
    for path in outside:
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


def test_three_sides_may_be_named_in_the_words_of_other_tools(tmp_path):
    text = "path,label,split\n0.png,a,TRAIN\n1.png,a,valid\n2.png,a,testing\n3.png,b,training\n"

    assert find(tmp_path, text).rows.side.tolist() == [0, 2, 1, 0]


def test_validation_is_the_test_side_where_no_row_is_for_testing(tmp_path):
    found = find(tmp_path, "path,label,split\n0.png,a,train\n1.png,a,dev\n")

    assert found.rows.side.tolist() == [0, 1]


def test_paths_of_windows_and_whole_paths_lead_below_the_table(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.png").write_bytes(b"x")

    assert names(find(tmp_path, "path,label\nsub\\x.png,a\n")) == ["x.png"]
    assert names(find(tmp_path, f"path,label\n{tmp_path}/sub/x.png,a\n")) == ["x.png"]
    (tmp_path / "link").symlink_to(tmp_path / "sub", target_is_directory=True)
    assert names(find(tmp_path / "link", f"path,label\n{tmp_path}/sub/x.png,a\n")) == ["x.png"]


def test_accents_in_a_path_may_be_stored_in_either_form(tmp_path):
    (tmp_path / "cafe\u0301.png").write_bytes(b"x")

    assert names(find(tmp_path, "path,label\ncaf\u00e9.png,a\n")) == ["cafe\u0301.png"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("C:\\photos\\0.png", r"Give paths relative to it, here 0\.png"),
        ("/home/me/photos/0.png", r"Give paths relative to it, here 0\.png"),
        ("https://a.b/0.png", r"an address, and nothing is fetched"),
        ("0.PNG", r"there is no such file\. Write 0\.png"),
        (".\\0.png", r"rows 1 and 2 both name"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_with_what_to_write(tmp_path, path, message):
    with pytest.raises(BadRows, match=message):
        find(tmp_path, f"path,label\n0.png,a\n{path},a\n")


def test_all_missing_files_are_told_of_at_once(tmp_path):
    lines = "".join(f"gone{k}.png,a\n" for k in range(12))

    with pytest.raises(BadRows, match=r"12 files are not there: row 1 gone0\.png.*, and 2 more"):
        find(tmp_path, f"path,label\n{lines}")


def test_a_group_is_on_one_side_also_where_the_table_says_no_sides(tmp_path):
    lines = [f"{k}.png,{'ab'[k % 2]},{('Ann', 'Bob', 'ann ')[k // 2 % 3]}" for k in range(10)]

    rows = find(tmp_path, "\n".join(["path,label,group", *lines])).rows

    assert len(set(rows.group.tolist())) == 2
    assert not set(rows.group[rows.is_test].tolist()) & set(rows.group[~rows.is_test].tolist())


def test_rows_without_a_group_stand_alone(tmp_path):
    rows = find(tmp_path, "path,label,group\n0.png,a,\n1.png,a,\n2.png,a,x\n3.png,a,x\n").rows

    assert rows.group.tolist() == [0, 1, 2, 2]


def test_a_group_on_two_sides_is_refused(tmp_path):
    text = "path,label,split,group\n0.png,a,train,x\n1.png,a,train,y\n2.png,a,test,x\n"

    with pytest.raises(BadRows, match="rows 1 and 3 are of one group and on two sides"):
        find(tmp_path, text)


def test_a_validation_fraction_beside_validation_rows_is_refused(tmp_path):
    (tmp_path / "table.csv").write_text(
        "path,label,split\n0.png,a,train\n1.png,a,val\n2.png,a,test\n"
    )
    for k in range(3):
        (tmp_path / f"{k}.png").write_bytes(b"x")

    with pytest.raises(
        BadRows, match=r"validation_fraction=0\.1 is given, and the column split has"
    ):
        find_in_table(tmp_path / "table.csv", None, 0.1)


def test_the_second_row_of_one_file_is_refused_and_no_further_one_is_read(tmp_path):
    text = "path,label\n0.png,a\n./0.png,a\n" + 'not,a,"table'

    with pytest.raises(BadRows, match=r"^rows 1 and 2 both name \./0\.png\. Remove one$"):
        find(tmp_path, text)


def test_of_files_that_are_not_there_a_thousand_are_looked_for(tmp_path):
    text = "path,label\n" + "".join(f"none{k}.png,a\n" for k in range(1000)) + 'not,a,"table'

    with pytest.raises(BadRows, match=r"^Many files are not there: row 1 none0\.png, .*990 more"):
        find(tmp_path, text)


@pytest.mark.parametrize("start", ["", "path,label\n0.png,a\n"], ids=["header", "row"])
def test_a_line_without_end_is_not_read_to_its_end(tmp_path, start, monkeypatch):
    monkeypatch.setattr("clrun.sources.csv_table.MOST_CHARACTERS", 1000)

    with pytest.raises(BadRows, match=r"^has a line of 1,000 characters or more"):
        find(tmp_path, start + "x" * 100_000)


def test_a_fifo_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "table.csv")

    with pytest.raises(BadRows, match="is a FIFO, no regular file"):
        find_in_table(tmp_path / "table.csv", None)
