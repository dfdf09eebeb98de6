"""The process in which the Python blocks of a page run, in one namespace."""

from __future__ import annotations

import ast
import json
import os
import sys
import traceback
from typing import Any


def serve() -> None:
    """Run what standard input asks for, a line of JSON each: code, page, line, output.

    What is printed goes to the file `output`; with `shows`, the value of a last expression too, as
    in a notebook. Standard output gets a line for each: the error, or null.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    names: dict[str, Any] = {"__name__": "__main__"}
    for line in sys.stdin:
        request = json.loads(line)
        output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        error = run(request, names)
        sys.stdout.flush()
        sys.stderr.flush()
        print(json.dumps(error), file=answers, flush=True)


def run(request: dict[str, Any], names: dict[str, Any]) -> str | None:
    """Run one block; what went wrong, with the line of the page."""
    page = request["page"]
    try:
        tree = ast.parse("\n" * (request["line"] - 1) + request["code"], page)
        last = tree.body[-1:] if request["shows"] else []
        if last and isinstance(last[0], ast.Expr):
            exec(compile(ast.Module(tree.body[:-1], []), page, "exec"), names)
            value = eval(compile(ast.Expression(last[0].value), page, "eval"), names)
            if value is not None:
                print(repr(value))
        else:
            exec(compile(tree, page, "exec"), names)
    except SyntaxError as error:
        return f"{page}:{error.lineno}: SyntaxError: {error.msg}"
    except (Exception, SystemExit) as error:
        frames = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == page]
        return f"{page}:{frames[-1]}: {type(error).__name__}: {error}"
    return None
