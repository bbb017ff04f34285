from ._app import create_app as create_app
from ._run import serve as serve
from ._settings import ServeSettings as ServeSettings

__all__ = ["ServeSettings", "create_app", "serve"]
