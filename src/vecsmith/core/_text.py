"""Text from outside, made fit to be looked at."""

# The joiners U+200C and U+200D stay: Persian, Hindi and emoji are written with them.
_HIDDEN = {
    *range(0x20),
    *range(0x7F, 0xA0),
    0x200B,
    0x200E,
    0x200F,
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0xFEFF,
}


def shown(text: str) -> str:
    """Make what cannot be printed visible: lone surrogates, control and direction marks.

    Args:
        text: Any text, for example a file name that is not UTF-8.

    Returns:
        Text that can be encoded and that shows what it holds; it is not escaped for HTML, and holds
        no command to a terminal.
    """
    return "".join(
        f"\\u{code:04x}" if (code := ord(c)) in _HIDDEN or 0xD800 <= code < 0xE000 else c
        for c in text
    )
