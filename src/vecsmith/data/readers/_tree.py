"""Source code other than Python -> sections by tree-sitter: types, functions, leading comments."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vecsmith.core import require

from .._documents import Section

MAX_SIGNATURE = 300
DEEPEST = 12  # types within types


@dataclass(frozen=True)
class Language:
    """What the syntax tree of a language calls things.

    Attributes:
        name: Name of the grammar.
        functions: Node types that are a function.
        scopes: Node types that hold functions and are a heading of their own.
    """

    name: str
    functions: frozenset[str]
    scopes: frozenset[str]


def _language(name: str, functions: str, scopes: str) -> Language:
    return Language(name, frozenset(functions.split()), frozenset(scopes.split()))


_SCRIPT = "function_declaration generator_function_declaration method_definition"
_SCRIPT_TYPES = "class_declaration class"
_TYPES = f"{_SCRIPT_TYPES} abstract_class_declaration interface_declaration internal_module module"
_JAVASCRIPT = _language("javascript", _SCRIPT, _SCRIPT_TYPES)
_TYPESCRIPT = _language("typescript", f"{_SCRIPT} function_signature enum_declaration", _TYPES)
_TSX = _language("tsx", f"{_SCRIPT} function_signature enum_declaration", _TYPES)
_C = _language("c", "function_definition", "struct_specifier union_specifier")
_CPP = _language(
    "cpp", "function_definition", "class_specifier struct_specifier namespace_definition"
)
_PYTHON = _language("python", "function_definition", "class_definition")
_SHELL = _language("bash", "function_definition", "")
_KOTLIN = _language("kotlin", "function_declaration", "class_declaration object_declaration")
_RUBY = _language("ruby", "method singleton_method", "class module singleton_class")
LANGUAGES: dict[str, Language] = {
    **dict.fromkeys((".js", ".mjs", ".cjs", ".jsx"), _JAVASCRIPT),
    **dict.fromkeys((".ts", ".mts", ".cts"), _TYPESCRIPT),
    ".tsx": _TSX,
    ".c": _C,
    **dict.fromkeys((".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx"), _CPP),
    ".java": _language(
        "java",
        "method_declaration constructor_declaration",
        "class_declaration interface_declaration enum_declaration record_declaration",
    ),
    ".go": _language("go", "function_declaration method_declaration", ""),
    ".rs": _language("rust", "function_item macro_definition", "impl_item trait_item mod_item"),
    ".rb": _RUBY,
    ".php": _language(
        "php",
        "function_definition method_declaration",
        "class_declaration interface_declaration trait_declaration enum_declaration",
    ),
    ".cs": _language(
        "csharp",
        "method_declaration constructor_declaration",
        "class_declaration interface_declaration struct_declaration record_declaration "
        "namespace_declaration",
    ),
    **dict.fromkeys((".sh", ".bash"), _SHELL),
    **dict.fromkeys((".kt", ".kts"), _KOTLIN),
    ".swift": _language(
        "swift", "function_declaration init_declaration", "class_declaration protocol_declaration"
    ),
    ".scala": _language(
        "scala", "function_definition", "class_definition object_definition trait_definition"
    ),
    ".lua": _language("lua", "function_declaration", ""),
    **dict.fromkeys((".py", ".pyi", ".pyw"), _PYTHON),
}
_BODIES = {"statement_block", "block", "compound_statement", "function_body", "body_statement"}
_LEADING = {"attribute_item", "decorator", "annotation"}


def tree_sections(path: str, source: str, language: Language) -> Iterator[Section]:
    """Cut a source file into sections.

    Args:
        path: Its path, the first heading.
        source: Its text.
        language: What its tree calls things.

    Yields:
        One section for what stands at the top, one for each type and function. A file with errors
        is cut as far as the parser, which recovers from errors, understands it.
    """
    pack = require("tree_sitter_language_pack", "documents")
    data = source.encode("utf-8", "replace")
    root = pack.get_parser(language.name).parse(data).root_node
    yield from _Tree(data, language).scope(root, (path,), 0)


class _Tree:
    def __init__(self, data: bytes, language: Language) -> None:
        self.data = data
        self.language = language

    def scope(self, node: Any, headings: tuple[str, ...], depth: int) -> Iterator[Section]:
        """Give the section of a file or type, then those of its members."""
        members = list(self.members(node, 0)) if depth < DEEPEST else []
        holes = []
        comments = {}
        for member in members:
            leading = _comments_before(member)
            comments[member.id] = leading
            holes.append((leading[0].start_byte if leading else member.start_byte, member.end_byte))
        text = self.cut(node.start_byte, node.end_byte, holes)
        summary = "" if depth == 0 else self.comment(_comments_before(node))
        if text.strip(" \n\t{};"):
            yield Section(headings, text, "code", summary=summary, anchor=_dotted(headings))
        for member in members:
            path = (*headings, self.signature(member))
            inner = _unwrapped(member, self.language)
            if inner.type in self.language.scopes:
                yield from self.scope(member, path, depth + 1)
            else:
                yield Section(
                    path,
                    self.cut(member.start_byte, member.end_byte, []),
                    "code",
                    summary=self.comment(comments[member.id]),
                    anchor=_dotted(path),
                )

    def members(self, node: Any, depth: int) -> Iterator[Any]:
        """Give the nearest functions and types below a node, exported ones with their export."""
        for child in node.named_children:
            inner = _unwrapped(child, self.language)
            scope = inner.type in self.language.scopes and inner.child_by_field_name("body")
            if scope or inner.type in self.language.functions:
                yield child
            elif depth < 4 and child.type not in _BODIES - {"block", "body_statement"}:
                yield from self.members(child, depth + 1)

    def signature(self, node: Any) -> str:
        """Write what stands before the body on one line."""
        inner = _unwrapped(node, self.language)
        body = inner.child_by_field_name("body")
        if body is None:
            body = next((child for child in inner.children if child.type in _BODIES), None)
        start = next(
            (child.start_byte for child in inner.children if child.type not in _LEADING),
            inner.start_byte,
        )
        end = body.start_byte if body is not None else inner.end_byte
        line = " ".join(self.data[start:end].decode("utf-8", "replace").split())
        line = line.rstrip("{:= ")
        return line if len(line) <= MAX_SIGNATURE else f"{line[: MAX_SIGNATURE - 1]}…"

    def cut(self, start: int, end: int, holes: list[tuple[int, int]]) -> str:
        """Give the text of a range without that of holes, shifted to the left margin."""
        line_start = self.data.rfind(b"\n", 0, start) + 1
        if not self.data[line_start:start].strip():
            start = line_start
        parts, at = [], start
        for begin, stop in holes:
            parts.append(self.data[at : max(at, begin)])
            at = max(at, stop)
        parts.append(self.data[at:end])
        lines = b"".join(parts).decode("utf-8", "replace").split("\n")
        lines = [line.rstrip() for line in lines]
        margin = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
        text = "\n".join(line[margin:] for line in lines)
        while "\n\n\n" in text:
            text = text.replace("\n\n\n", "\n\n")
        return text.strip("\n")

    def comment(self, nodes: list[Any]) -> str:
        """Give the words of comments without their marks."""
        lines = []
        for node in nodes:
            for line in (
                self.data[node.start_byte : node.end_byte].decode("utf-8", "replace").split("\n")
            ):
                plain = line.strip().removesuffix("*/").lstrip("/*#!-").strip()
                lines.append(plain)
        return "\n".join(lines).strip()


def _unwrapped(node: Any, language: Language) -> Any:
    """Look through `export`, decorators and templates at what they hold."""
    if node.type in {"export_statement", "decorated_definition", "template_declaration"}:
        for child in node.named_children:
            if child.type in language.functions or child.type in language.scopes:
                return child
    return node


def _comments_before(node: Any) -> list[Any]:
    found: list[Any] = []
    at = node
    while (before := _before(at)) is not None:
        near = at.start_point[0] - before.end_point[0] <= 1
        if "comment" not in before.type or not near or before.text.startswith(b"#!"):
            break
        found.insert(0, before)
        at = before
    return found


def _before(node: Any) -> Any:
    """Give the node before this one; Ruby puts the comment of a first method before its body."""
    found = node.prev_named_sibling
    if found is None and node.parent is not None and node.parent.type == "body_statement":
        return node.parent.prev_named_sibling
    return found


def _dotted(headings: tuple[str, ...]) -> str:
    names = []
    for text in headings[1:]:
        head = text.split("(")[0].split("{")[0].split("<")[0].split(":")[0].split()
        names.append(head[-1] if head else text)
    return ".".join(names)
