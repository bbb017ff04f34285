from ._build import BuildResult as BuildResult
from ._build import build as build
from ._migrate import migrate as migrate
from ._settings import DEFAULT_MODEL as DEFAULT_MODEL
from ._settings import BuildSettings as BuildSettings
from ._settings import parse_duration as parse_duration
from ._update import update as update

__all__ = [
    "DEFAULT_MODEL",
    "BuildResult",
    "BuildSettings",
    "build",
    "migrate",
    "parse_duration",
    "update",
]
