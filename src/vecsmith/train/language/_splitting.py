"""Words and punctuation, case and all, as language models read them."""

import re

# words with inner apostrophes, numbers, and each other mark by itself
_TOKEN = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


def split_tokens(text: str) -> list[str]:
    """Split a text into words and marks.

    Args:
        text: Any text.

    Returns:
        Its tokens.
    """
    return _TOKEN.findall(text)
