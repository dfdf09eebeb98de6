"""What no line of clrun may do, because a file from elsewhere could then run code or be written
through. Where one does, the table says why that is safe."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from clrun.config.yaml_file import SafeLoader

SOURCE = Path(__file__).parents[1] / "src" / "clrun"

ALLOWED = {
    ("sources/cifar.py", "import pickle"): "CIFAR is published as pickles: their MD5 is compared "
    "first, and then only numpy's arrays may come out",
    ("models/state_files.py", "import pickle"): "the error that torch.load raises",
    ("config/schema.py", "exec"): "a dataclass of an installed module, to check its keys without "
    "importing torch",
    ("images/archives.py", "write"): "files of an archive, made anew in a folder of our own",
    ("cli/main.py", "write"): "to os.devnull",
    ("profiling/peaks.py", "write_text"): "to /proc/self/clear_refs",
}
"""(file, what it does) -> why it may."""

UNPICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
BUILT_IN = {"eval", "exec", "__import__"}
METHODS = {"extractall", "write_text", "write_bytes"}
CALLS = {"os.system", "os.popen", "torch.hub.load", "torch.jit.load", "tempfile.mktemp"}
YAML_LOADERS = {"yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load"}
WRITING = set("wax+")


def faults(tree: ast.AST) -> Iterator[str]:
    """What a module does that it may not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {a.name}" for a in node.names if _package(a.name) in UNPICKLING)
        elif isinstance(node, ast.ImportFrom) and _package(node.module or "") in UNPICKLING:
            yield f"import {node.module}"
        elif isinstance(node, ast.Call):
            yield from _faults_of_call(node)


def _package(name: str) -> str:
    return name.partition(".")[0]


def _faults_of_call(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    last = name.rpartition(".")[2]
    keys = {key.arg: key.value for key in call.keywords}
    if name in BUILT_IN or name in CALLS:
        yield name
    if isinstance(call.func, ast.Attribute) and last in METHODS:
        yield last
    if name == "torch.load" and not _is_true(keys.get("weights_only")):
        yield "torch.load without weights_only=True"
    if "allow_pickle" in keys and not _is(keys["allow_pickle"], False):
        yield "allow_pickle"
    if "shell" in keys and not _is(keys["shell"], False):
        yield "shell"
    if name in YAML_LOADERS and "Safe" not in ast.unparse(call):
        yield name
    if last in ("open", "fdopen") and _mode(call) & WRITING:
        yield "write"


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _is_true(node: ast.expr | None) -> bool:
    return _is(node, True)


def _mode(call: ast.Call) -> set[str]:
    """The letters of the mode that a file is opened in."""
    given = [*call.args[:2], *(key.value for key in call.keywords if key.arg == "mode")]
    texts = [n.value for n in given if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    modes = [text for text in texts if text and set(text) <= set("rwaxbt+")]
    return set("".join(modes))


def found_in_source() -> set[tuple[str, str]]:
    """(file, what it does); `disk` is where files are written."""
    found = set()
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).as_posix()
        for fault in faults(ast.parse(path.read_text(encoding="utf-8"))):
            if not (place.startswith("disk/") and fault in ("write", *METHODS)):
                found.add((place, fault))
    return found


def test_nothing_unpickles_evaluates_or_writes_but_where_it_is_safe():
    assert found_in_source() - set(ALLOWED) == set()
    assert issubclass(SafeLoader, yaml.constructor.SafeConstructor)  # its name alone says it there


def test_every_exception_is_one():
    assert set(ALLOWED) - found_in_source() == set()


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("import pickle", "import pickle"),
        ("from joblib.numpy_pickle import load", "import joblib.numpy_pickle"),
        ("eval(text)", "eval"),
        ("exec(code, {})", "exec"),
        ("os.system(command)", "os.system"),
        ("torch.load(path)", "torch.load without weights_only=True"),
        ("torch.load(path, weights_only=wanted)", "torch.load without weights_only=True"),
        ("torch.load(path, weights_only=False)", "torch.load without weights_only=True"),
        ("np.load(path, allow_pickle=True)", "allow_pickle"),
        ("subprocess.run(line, shell=True)", "shell"),
        ("yaml.load(text)", "yaml.load"),
        ("yaml.unsafe_load(text)", "yaml.unsafe_load"),
        ("tar.extractall(folder)", "extractall"),
        ('open(path, "w")', "write"),
        ('open(path, mode="ab")', "write"),
        ('path.open("r+")', "write"),
        ('gzip.open(path, "wb")', "write"),
        ("path.write_bytes(content)", "write_bytes"),
    ],
)
def test_each_of_them_would_be_found(line, fault):
    assert list(faults(ast.parse(line))) == [fault]


@pytest.mark.parametrize(
    "line",
    [
        "model.eval()",
        'open(path, "rb")',
        "torch.load(file, weights_only=True)",
        "read_array(file, allow_pickle=False)",
        "yaml.load(text, Loader=yaml.CSafeLoader)",
        "yaml.safe_load(text)",
        "write_text(path, text)",
        'archive.open("w.npy")',
    ],
)
def test_what_is_harmless_is_not(line):
    assert list(faults(ast.parse(line))) == []
