"""The command line: parsing and printing, nothing else.

Every flag ``--some-name`` of a command is also the environment variable ``VECSMITH_SOME_NAME``;
flags that may be repeated take a list with commas there.
Results go to stdout, messages to stderr. Exit status: 0 fine, 2 a mistake of the user's, 1 ours.
"""

import argparse
import errno
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence

from vecsmith import __version__
from vecsmith.core import VecsmithError

from . import _index, _map, _reshape, _serve, _tables, _train, _words

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vecsmith",
        description="Search engines adapted to your documents, and the parts they are made of.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vecsmith {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--debug", action="store_true", help="show the trace of an error")
    shared.add_argument("--json", action="store_true", help="print the result as JSON")
    shared.add_argument("--verbose", action="store_true", help="tell each step on stderr")
    for module in (_index, _train, _reshape, _map, _serve, _tables, _words):
        module.add_commands(verbs, shared)
    return parser


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"expected one of {', '.join(choices)}, got {text!r}")
        return text

    return parse


def _from_environment(parser: argparse.ArgumentParser) -> None:
    """Let environment variables stand in for flags that are not given."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                _from_environment(child)
            continue
        long = next((flag for flag in action.option_strings if flag.startswith("--")), None)
        if long is None or long in ("--help", "--version"):
            continue
        if long == "--json" and action.nargs != 0:
            # Of `claims run` it names a file, while VECSMITH_JSON is the switch of all the others.
            continue
        value = os.environ.get("VECSMITH_" + long[2:].replace("-", "_").upper())
        if not value:
            continue
        if isinstance(action, argparse._AppendAction):
            # Several values of one variable are set apart by commas.
            action.default = [part.strip() for part in value.split(",") if part.strip()]
        elif action.nargs == 0:
            action.default = value.lower() not in ("0", "false", "no")
        else:
            if action.choices is not None:
                # argparse does not check a default against the choices, but calls the type on it.
                action.type = _one_of(tuple(action.choices))
            # A text default goes through the flag's own type.
            action.default, action.required = value, False


def _give_up_output() -> None:
    """Let nothing more be written to an output that is gone or full, at the end neither."""
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words after the program's name; by default those of the process.

    Returns:
        Exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names of files may hold bytes, and texts letters, that the terminal cannot show.
            stream.reconfigure(errors="replace")
    parser = _parser()
    _from_environment(parser)
    options = parser.parse_args(arguments)
    level = logging.INFO if options.verbose else logging.WARNING
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s: %(message)s")
    logging.getLogger("vecsmith").setLevel(level)
    logging.getLogger().handlers[0].setLevel(level)
    try:
        options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does.
        _give_up_output()
        return 0
    except Exception as error:
        if options.debug:
            raise
        status, text = _told(error)
        print(f"vecsmith {options.verb}: {text}", file=sys.stderr)
        if isinstance(error, OSError):
            _give_up_output()
        return status
    return 0


# What compiled libraries say instead of raising MemoryError, in lower case.
_MEMORY_WORDS = (
    "cannot allocate memory",
    "failed to map segment",
    "bad_alloc",
    "not enough memory",
    "error return without exception set",
)


def _memory_ran_out(error: BaseException | None) -> bool:
    """Say whether an error, or what led to it, is a lack of memory."""
    while error is not None:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        by_library = isinstance(error, OSError | ImportError | SystemError | RuntimeError)
        if by_library and any(words in str(error).lower() for words in _MEMORY_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def _told(error: Exception) -> tuple[int, str]:
    """Return exit status and sentence of an error."""
    if _memory_ran_out(error):
        return 2, (
            "memory ran out; what was finished is kept, close other programs and run the same "
            "command again"
        )
    if isinstance(error, VecsmithError):
        return 2, str(error)
    if isinstance(error, OSError):
        return 2, (
            f"could not read or write: {error}; free space, or choose a place that can be "
            "written, and run the same command again"
        )
    return 1, (
        f"unexpected {type(error).__name__}: {error}; this is a fault of vecsmith, please report "
        "it with the output of --debug"
    )
