"""Manual pages as prose: text and headings out of roff source, without running groff.

Reads what pages are written in: the macros of man(7), the commonest of mdoc(7), and escapes.
Tables, equations, examples (``.nf`` to ``.fi``, ``.EX`` to ``.EE``) and definitions of macros are
left out: what remains is running text.
"""

import re
from collections.abc import Iterator

# blocks that are left out: first macro -> last macro
_BLOCKS = {
    "TS": "TE",
    "EQ": "EN",
    "nf": "fi",
    "EX": "EE",
    "Bd": "Ed",
    "de": ".",
    "de1": ".",
    "am": ".",
    "ig": ".",
    # code, by the macros of Tcl and of Perl's pages
    "CS": "CE",
    "Vb": "Ve",
}
_FONTS = "B I R BR BI IR IB RB RI SM SB".split()
_MDOC = (
    "Nm Nd Fl Ar Pa Xr Fn Fa Dv Er Ev Cm Ic Sy Em Li Ql Dq Sq Op Pq Va Vt Tn Ft Ux Bx Fx Nx At St "
    "In An Aq Qq Cd Bq Brq D1 Dl Lb Ms No Rv Sx Tg"
).split()
_HEADINGS = ("SH", "SS", "Sh", "Ss")
_BREAKS = ("PP", "P", "LP", "TP", "IP", "HP", "TQ", "Pp", "sp", "br", "It", "RS", "RE", "AP", "OP")
_TAGGED = ("IP", "It", "AP", "OP", "HP")
_CLOSING = (".", ",", ";", ":", ")", "]", "?", "!")

_ESCAPES = (
    # fonts, sizes, colours, strings, motions and registers print nothing
    (re.compile(r"\\[fFmMRk](?:\[[^\]]*\]|\(..|.)"), ""),
    (re.compile(r"\\s[+-]?(?:\[[^\]]*\]|\(\d\d|'[^']*'|\d)"), ""),
    (re.compile(r"\\[hvwlLDobxXZ]'[^']*'"), ""),
    (re.compile(r"\\[n*](?:\[[^\]]*\]|\(..|.)"), ""),
)
_SIGNS = {
    "aq": "'",
    "oq": "'",
    "cq": "'",
    "dq": '"',
    "lq": '"',
    "rq": '"',
    "em": " - ",
    "en": "-",
    "hy": "-",
    "mi": "-",
    "ha": "^",
    "ti": "~",
    "rs": "\\",
    "co": "(C)",
    "bu": "",
    "ga": "`",
    "<=": "<=",
    ">=": ">=",
    "!=": "!=",
    "->": "->",
    "sl": "/",
    "sh": "#",
    "at": "@",
    "ba": "|",
}
_SIGN = re.compile(r"\\(?:\[([^\]]+)\]|\((..))")
_SINGLE = re.compile(r"\\(.)")
_PLAIN = {"-": "-", "e": "\\", " ": " ", "~": " ", "0": " ", "'": "'", "`": "`", "\\": "\\"}
_ARGUMENT = re.compile(r'"((?:[^"]|"")*)"?|(\S+)')


def roff_paragraphs(source: str) -> list[tuple[str, str]]:
    """Read a page.

    Args:
        source: Its roff source.

    Returns:
        Heading and text of each paragraph, in the order of the page; the title line is left out.
    """
    found: list[tuple[str, str]] = []
    heading, held = "", list[str]()
    for kind, text in _pieces(source):
        if kind == "text":
            held.append(text)
            continue
        joined = " ".join(" ".join(held).split())
        if joined:
            found.append((heading, joined))
        held = [text] if kind == "break" else []
        if kind == "heading":
            heading = " ".join(text.split())
    joined = " ".join(" ".join(held).split())
    return [*found, (heading, joined)] if joined else found


def _pieces(source: str) -> Iterator[tuple[str, str]]:
    """Give what prints: "heading", "break" (with the tag of the new paragraph) or "text"."""
    until, depth, ask = "", 0, False
    for line in source.replace("\\\n", "").splitlines():
        if depth:
            depth += line.count("\\{") - line.count("\\}")
            continue
        if line[:1] not in {".", "'"}:
            if not until:
                yield ("heading", unescape(line)) if ask else ("text", unescape(line))
                ask = False
            continue
        name, _, rest = line[1:].strip().partition(" ")
        if until:
            until = "" if name == until else until
            continue
        if name in {"if", "ie", "el", "while"} or name.startswith(("if\\", "el\\", "ie\\")):
            depth = max(0, line.count("\\{") - line.count("\\}"))
            continue
        until = _BLOCKS.get(name, "")
        if name in _HEADINGS and not rest.strip():
            # the heading stands on the next line
            ask = True
            continue
        yield from _macro(name, rest)


def _macro(name: str, rest: str) -> Iterator[tuple[str, str]]:
    if name.startswith('\\"') or name == "":
        return
    words = arguments(rest)
    if name in _HEADINGS:
        yield "heading", " ".join(words)
    elif name in _BREAKS:
        yield "break", words[0] if words and name in _TAGGED else ""
    elif name in _FONTS:
        # two letters: the arguments change font without a space between
        yield "text", ("" if len(name) == 2 and name[0] != "S" else " ").join(words)
    elif name in _MDOC:
        yield "text", _spaced(words)


def _spaced(words: list[str]) -> str:
    text = ""
    for word in words:
        if word not in _MDOC and word not in {"Ns", "Oo", "Oc", "Ap"}:
            text += word if word in _CLOSING or not text else f" {word}"
    return text


def arguments(rest: str) -> list[str]:
    """Split the arguments of a macro.

    Args:
        rest: What stands after its name; double quotes keep spaces together.

    Returns:
        The arguments, without escapes.
    """
    # a comment ends the line
    text = re.split(r'(?<!\\)\\["#]', rest)[0]
    found = []
    for match in _ARGUMENT.finditer(text.replace("\\ ", "\\~")):
        quoted, plain = match.groups()
        found.append(unescape(plain if quoted is None else quoted.replace('""', '"')))
    return found


def unescape(text: str) -> str:
    r"""Replace escapes by what they print.

    Args:
        text: A line of roff source; a ``\"`` ends it.

    Returns:
        What a reader sees.
    """
    text = re.split(r'(?<!\\)\\["#]', text)[0]
    if "\\" not in text:
        return text
    for pattern, printed in _ESCAPES:
        text = pattern.sub(printed, text)
    text = _SIGN.sub(_sign, text)
    return _SINGLE.sub(lambda match: _PLAIN.get(match.group(1), ""), text)


def _sign(match: re.Match[str]) -> str:
    name = match.group(1) or match.group(2)
    printed = _SIGNS.get(name, name[0] if len(name) == 2 and name[1] in ":'`^~," else "")
    # a backslash would be read again
    return printed.replace("\\", "\\e")
