"""The error tree.

::

    VecsmithError           everything that vecsmith raises on purpose
    ├── ConfigError         an argument or setting is out of range or contradicts another
    │   └── MissingExtra    a package of an optional extra is not installed
    ├── DataError           input files, pairs or queries cannot be used as they are
    ├── ModelError          a model cannot be found, loaded or used for this
    └── StoreError          an index is missing, damaged, foreign, or cannot be written

Every text says what was expected of which argument, what came, and what to do next.
"""

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class VecsmithError(Exception):
    """Base of all errors that vecsmith raises on purpose."""


class ConfigError(VecsmithError):
    """An argument or setting is out of range, unknown, or contradicts another."""


class MissingExtra(ConfigError):  # noqa: N818 - the name is what users are told to look for
    """A package that belongs to an optional extra is not installed."""


class DataError(VecsmithError):
    """Input files, pairs or queries cannot be used as they are."""


class ModelError(VecsmithError):
    """A model cannot be found, loaded, or used for what was asked."""


class StoreError(VecsmithError):
    """An index is missing, damaged, made with another model, or cannot be written."""


def require(module: str, extra: str) -> ModuleType:
    """Import a module of an optional extra.

    Args:
        module: Import name, dots allowed.
        extra: Extra of vecsmith that installs it.

    Returns:
        The imported module.

    Raises:
        MissingExtra: The module is not installed; the text holds the install line.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(error.name + ".")):
            raise
        raise MissingExtra(
            f"this needs the package {error.name!r}, which is not installed; "
            f"run: pip install 'vecsmith[{extra}]'"
        ) from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Say which known name is nearest, and list them all.

    Args:
        name: What came.
        known: What would have been accepted.

    Returns:
        A clause for the end of an error text.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known: {', '.join(names)}"
