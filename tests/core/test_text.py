"""Text from outside cannot command a terminal."""

from vecsmith.core import shown


def test_what_cannot_be_printed_is_shown() -> None:
    assert shown("a\udce9\x00\u202eb\x1b[2J\x9b1m") == "a\\udce9\\u0000\\u202eb\\u001b[2J\\u009b1m"
    shown("\ud83d\udce9").encode()


def test_what_people_write_stays() -> None:
    for text in ("Käse 😀", "می\u200cخواهم", "क्\u200dष", "👩\u200d💻"):
        assert shown(text) == text
