"""The whole table."""

from ._beyond import BEYOND
from ._language import LANGUAGE
from ._technique import Technique

TECHNIQUES: dict[str, Technique] = {row.key: row for row in (*LANGUAGE, *BEYOND)}
