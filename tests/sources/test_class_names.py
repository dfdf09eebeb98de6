import pytest

from clrun.sources.class_names import BadRows, check_names, folded, in_order

CAFE = ("caf\u00e9", "cafe\u0301")


@pytest.mark.parametrize(
    "ordered",
    [
        ("1", "2", "10"),
        ("1.0", "2.0", "10.0"),
        ("0.25", "0.5", "1e1"),
        ("-2", "-1", "3"),
        ("class1", "class2", "class10"),
        ("a2b1", "a2b10", "a10b1"),
        ("2", "10", "unknown"),
        ("B", "a"),
        ("n01440764", "n01443537"),
        ("9" * 5000, "1" + "0" * 5000),
    ],
)
def test_numbers_stand_by_value_and_names_in_natural_order(ordered):
    assert in_order(reversed(ordered)) == ordered


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Cat", "cat"),
        CAFE,
        ("stra\u00dfe", "STRASSE"),
        ("\ufb01sh", "fish"),
        ("grey cat", "grey\u00a0cat"),
        ("grey cat", "grey  cat"),
        ("gre\u200by", "grey"),
        ("gre\u00ady", "grey"),
        ("1", "1.0"),
        ("01", "1"),
        ("1e1", "10"),
        ("\uff11", "1"),
    ],
)
def test_two_names_that_mean_one_class_are_refused_with_both_places(one, other):
    with pytest.raises(BadRows) as caught:
        check_names({one: "row 1", "dog": "row 2", other: "row 3"})

    assert str(caught.value).startswith("row 1 has class ")
    assert " and row 3 " in str(caught.value)


@pytest.mark.parametrize(
    "names", [("cat", "cats"), ("a1", "a01"), ("1", "1a"), ("m\u00fcller", "muller"), ("c", "c++")]
)
def test_names_that_differ_in_more_are_two_classes(names):
    check_names({name: "row 1" for name in names})


def test_names_that_look_the_same_are_shown_by_their_code_points():
    with pytest.raises(
        BadRows, match=r"'caf\\xe9' and row 2 'cafe\\u0301', which read as one name"
    ):
        check_names({CAFE[0]: "row 1", CAFE[1]: "row 2"})


@pytest.mark.parametrize("word", ["None", "null", "NaN", "N/A", "<NA>", "na", "\u200b"])
def test_words_for_a_missing_value_are_no_class(word):
    with pytest.raises(BadRows, match="row 7 has no label"):
        check_names({"cat": "row 1", word: "row 7"})


@pytest.mark.parametrize("name", ["dog\u200b", "\ufeffdog", "dog\u2060", "dog\ufe0f"])
def test_an_invisible_character_around_a_name_is_told_of(name):
    with pytest.raises(BadRows, match=r"with an invisible character \(U\+"):
        check_names({name: "row 1"})


def test_a_joiner_inside_a_word_is_part_of_it():
    check_names({"\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645": "row 1", "dog": "row 2"})


def test_folding_twice_changes_nothing():
    for name in ("Cat", *CAFE, "\u0130", "STRASSE", " a  b "):
        assert folded(folded(name)) == folded(name)


@pytest.mark.parametrize("name", ["cat\nx", "cat\rx", "a\tb", "\x07bell", "one\u2028two"])
def test_a_name_that_is_no_text_on_one_line_is_refused(name):
    with pytest.raises(BadRows, match=r"row 2 has class '.*', which is no text on one line"):
        check_names({"dog": "row 1", name: "row 2"})
