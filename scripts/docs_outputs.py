"""Run pages, and put what their commands print below them: `scripts/docs --outputs [PAGE ...]`.

Blocks marked slow run too. A page on which a command fails, or that cannot be read, is left as it
is. What varies, such as seconds, is left as it was where all else is the same.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

from doc_blocks.markdown import PageError, name_of, pages  # noqa: E402
from doc_blocks.running import run_page  # noqa: E402
from doc_blocks.warm import warm  # noqa: E402
from doc_blocks.writing import renewed_page  # noqa: E402


def main(words: list[str]) -> int:
    """Renew these pages, or all; 1 where one could not be."""
    chosen = [Path(word).resolve() for word in words] or pages()
    missing = [word for word in words if not Path(word).is_file()]
    if missing:
        print(f"scripts/docs: {missing[0]}: there is no such page.", file=sys.stderr)
        return 2
    failed = False
    with tempfile.TemporaryDirectory() as folder, warm(Path(folder)) as address:
        for path in chosen:
            failed |= not renew(path, address)
    return int(failed)


def renew(path: Path, address: Path) -> bool:
    """Renew a page; whether nothing on it failed."""
    before = path.read_text(encoding="utf-8")
    try:
        found = run_page(path, address, slow=True)
    except PageError as error:
        print(error, file=sys.stderr)
        return False
    if found.failures:
        print(*found.failures, sep="\n", file=sys.stderr)
        return False
    after = renewed_page(path, found.printed)
    if path.read_text(encoding="utf-8") != before:
        print(f"{name_of(path)}: was changed meanwhile, and is left as it is.", file=sys.stderr)
        return False
    if after != before:
        path.write_text(after, encoding="utf-8")
    print(f"{name_of(path)}: {'written' if after != before else 'as it was'}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
