"""What is wrong on a page is found, and named with page, line and what it is about."""

from __future__ import annotations

from pathlib import Path

import pytest
from doc_blocks.markdown import PageError, blocks_of
from doc_blocks.running import run_page


def problems(tmp_path: Path, address: Path, *lines: str) -> list[str]:
    """What is found on a page of these lines."""
    page = tmp_path / "page.md"
    page.write_text("\n".join(lines) + "\n")
    return run_page(page, address).problems


@pytest.mark.parametrize("comment", ["<!-- run: compose -->", "<!-- run: slow -->", ""])
def test_a_key_that_is_not_there_is_found_however_the_block_is_run(comment, tmp_path, address):
    words = "clrun strategy=replay strategy.mem_sizee=3"

    (found,) = problems(tmp_path, address, "# A page", "", comment, "```bash", "true", words, "```")

    assert found.startswith("page.md:6: exit code 2, not 0: clrun: strategy.mem_sizee=3: there is")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("clrun strategy.lr=fast", "strategy.lr=fast: must be a number."),
        ("clrun -m strategy=naive,nothing", "strategy=nothing: there is no such option."),
        ("clrun -m launcher=slurm launcher.partitions=A", "launcher.partitions=A: there is no"),
        ("clrun tune strategy.lrr=0.1,0.2", "strategy.lrr=0.1: there is no such key."),
        ("clrun preview benchmark.nr=1", "benchmark.nr=1: there is no such key."),
        ("clrun profile strategy.lrr=1", "strategy.lrr=1: there is no such key."),
        ("clrun evaluate RUN benchmark.nr=1", "benchmark.nr=1: there is no such key."),
        ("clrun report RUN --naiv RUN", "unrecognized arguments: --naiv"),
        ("clrun compare SWEEP --format word", "argument --format: invalid choice: 'word'"),
        ("clrun runz", "runz: "),
        ('W="strategy.lrr=1"; clrun $W', "strategy.lrr=1: there is no such key."),
    ],
)
def test_words_are_checked_where_nothing_can_run(words, said, tmp_path, address):
    found = problems(tmp_path, address, "<!-- run: compose -->", "```bash", words, "```")

    assert len(found) == 1
    assert said in found[0]


def test_what_a_reader_has_may_stand_in_capitals(tmp_path, address):
    words = (
        "clrun benchmark=split_fashion_mnist benchmark.data_root=DATA",
        "clrun -m strategy=naive,replay launcher=slurm launcher.partition=NAME",
        "clrun report RUN --joint RUN2 && sbatch job.sh",
        "clrun resume SWEEP --retry-failed",
        "clrun predict RUN photos | head",
    )

    assert problems(tmp_path, address, "<!-- run: compose -->", "```bash", *words, "```") == []


def test_python_that_raises_is_found_with_its_line(tmp_path, address):
    lines = ("```python", "a = 1", "```", "", "```python", "b = 2", "a / 0", "```")

    found = problems(tmp_path, address, *lines)

    assert found == ["page.md:7: ZeroDivisionError: division by zero"]


def test_words_in_python_that_is_not_run_are_checked(tmp_path, address):
    lines = ("<!-- run: slow -->", "```python", "import clrun", "clrun.compose(['a=1'])", "```")

    (found,) = problems(tmp_path, address, *lines)

    assert found.startswith("page.md:4: clrun: a=1: there is no such key.")


def test_output_that_differs_is_found_with_its_line(tmp_path, address):
    shown = ("one", "three 4", "...", "last")
    lines = ("```console", "$ printf 'one\\n' && printf 'two\\n'", *shown[:2], "```")

    found = problems(tmp_path, address, *lines)

    assert found == ["page.md:4: is not what is printed now: two (scripts/docs --outputs page.md)"]


def test_a_command_ends_as_its_block_says(tmp_path, address):
    lines = ("<!-- run: exit 2 -->", "```bash", "clrun --no-such-option", "true", "```")

    found = problems(tmp_path, address, *lines)

    assert found == ["page.md:4: exit code 0, not 2: "]


def test_blocks_of_a_page_share_a_folder_a_shell_and_a_namespace(tmp_path, address):
    lines = (
        *("<!-- file: mine/a.py -->", "```python", "value = 3", "```", ""),
        *("```bash", "X=4; mkdir made; cd made", "```", ""),
        *("```python", "from mine.a import value", "```", ""),
        *("```python", "open('made/file', 'w').write(str(value))", "```", ""),
        *("```console", "$ cat file; echo \\", "    $X", "34", "```"),
    )

    assert problems(tmp_path, address, *lines) == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["```sh", "ls", "```"], "page.md:1: a block of kind 'sh'. Known are bash, console"),
        (["a", "", "    clrun strategy=naive"], "page.md:3: an indented block of commands."),
        (["<!-- run: later -->", "```bash", "```"], "page.md:2: run: later: must be compose, slow"),
        (["<!-- run: no: -->", "```bash", "```"], "page.md:2: run: no: says no reason."),
        (["<!-- run: slow -->", "", "text"], "page.md:3: a comment says how to run a block, and"),
        (["<!-- file: ../a -->", "```text", "```"], "page.md:2: file: ../a: must be below the"),
    ],
)
def test_a_block_that_nothing_is_known_of_is_refused(lines, said):
    with pytest.raises(PageError) as error:
        blocks_of("page.md", "\n".join(lines))

    assert str(error.value).startswith(said)
