"""Python source -> sections: the module, each class, each function, with signatures as headings."""

import ast
import warnings
from collections.abc import Iterator, Sequence

from .._documents import Section

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Scope = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_LITERALS = (ast.Dict, ast.List, ast.Tuple, ast.Set, ast.Constant)
LONG_LITERAL = 60  # lines from which a literal is a table of data
KEPT_LINES = 10  # lines of such a table that are kept
MAX_SIGNATURE = 300  # characters of a signature in a heading


def python_sections(path: str, source: str) -> Iterator[Section]:
    """Cut a Python module into sections.

    Args:
        path: Its path, the first heading.
        source: Its text.

    Yields:
        One section for the module's own statements, one for each class and each function;
        functions within functions stay with the outer one.

    Raises:
        SyntaxError: The source is no Python of the running version.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in the source that is read
        tree = ast.parse(source)
    yield from _Module(path, source).scope(tree, (path,))


class _Module:
    def __init__(self, path: str, source: str) -> None:
        self.path = path
        # ast counts lines by \n alone; form feeds and the like do not end one
        self.lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")

    def scope(
        self, node: ast.Module | ast.ClassDef, headings: tuple[str, ...]
    ) -> Iterator[Section]:
        """Give the section of a module or class, then those of its members."""
        members = list(_members(node.body))
        holes = [_span(member) for member in members]
        docstring = _docstring_node(node)
        if docstring is not None:
            holes.append(_span(docstring))
        first, last = (1, len(self.lines)) if isinstance(node, ast.Module) else _span(node)
        summary = ast.get_docstring(node, clean=True) or ""
        if isinstance(node, ast.Module):
            holes.extend(self.data_tables(node.body))
        text = self.cut(first, last, holes)
        # A class line alone says no more than its heading.
        if summary or (text and (isinstance(node, ast.Module) or len(text.splitlines()) > 1)):
            anchor = "" if isinstance(node, ast.Module) else _dotted(headings)
            yield Section(headings, text, "code", summary=summary, anchor=anchor)
        for member in members:
            if isinstance(member, ast.ClassDef):
                yield from self.scope(member, (*headings, _class_line(member)))
            else:
                yield self.function(member, headings)

    def data_tables(self, body: Sequence[ast.stmt]) -> Iterator[tuple[int, int]]:
        """Give what to leave out of long literals, such as tables of character codes."""
        for statement in body:
            value = getattr(statement, "value", None)
            first, last = _span(statement)
            if last - first < LONG_LITERAL or not isinstance(value, _LITERALS):
                continue
            prose = isinstance(value, ast.Constant) and str(value.value).count("\n") > LONG_LITERAL
            if not prose:
                yield first + KEPT_LINES, last - 1

    def function(self, node: _Function, headings: tuple[str, ...]) -> Section:
        """Give the section of a function."""
        docstring = _docstring_node(node)
        holes = [] if docstring is None else [_span(docstring)]
        path = (*headings, signature(node))
        return Section(
            path,
            self.cut(*_span(node), holes),
            "code",
            summary=ast.get_docstring(node, clean=True) or "",
            anchor=_dotted(path),
        )

    def cut(self, first: int, last: int, holes: Sequence[tuple[int, int]]) -> str:
        """Join lines from first to last without those of holes, shifted to the left margin."""
        left_out = {number for begin, end in holes for number in range(begin, end + 1)}
        lines = [
            self.lines[number - 1].rstrip()
            for number in range(first, last + 1)
            if number not in left_out
        ]
        margins = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
        margin = min(margins, default=0)
        text = "\n".join(line[margin:] for line in lines)
        while "\n\n\n" in text:
            text = text.replace("\n\n\n", "\n\n")
        return text.strip("\n")


def _members(body: Sequence[ast.stmt]) -> Iterator[ast.ClassDef | _Function]:
    """Give classes and functions, those under `if` and `try` too."""
    for statement in body:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield statement
        elif isinstance(statement, ast.If):
            yield from _members([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            handlers = [line for handler in statement.handlers for line in handler.body]
            yield from _members([*statement.body, *handlers, *statement.orelse])


def _docstring_node(node: _Scope) -> ast.stmt | None:
    if ast.get_docstring(node, clean=False) is None:
        return None
    first = node.body[0]
    # A docstring on the line of the signature cannot be cut out by lines.
    if not isinstance(node, ast.Module) and first.lineno == node.lineno:
        return None
    return first


def _span(node: ast.stmt) -> tuple[int, int]:
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return first, node.end_lineno or node.lineno


def signature(node: _Function) -> str:
    """Write the signature of a function on one line.

    Args:
        node: The function.

    Returns:
        "def name(arguments) -> returns", cut at `MAX_SIGNATURE` characters.
    """
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{word} {node.name}({ast.unparse(node.args)}){returns}"
    return line if len(line) <= MAX_SIGNATURE else f"{line[: MAX_SIGNATURE - 1]}…"


def _class_line(node: ast.ClassDef) -> str:
    bases = [ast.unparse(base) for base in node.bases]
    line = f"class {node.name}({', '.join(bases)})" if bases else f"class {node.name}"
    return line if len(line) <= MAX_SIGNATURE else f"{line[: MAX_SIGNATURE - 1]}…"


def _dotted(headings: tuple[str, ...]) -> str:
    """Name a class or function as code does: "Class.method"."""
    names = [text.partition("(")[0].split(":")[0].split()[-1] for text in headings[1:]]
    return ".".join(names)
