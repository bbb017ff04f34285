"""Text -> vector: models found offline first, fast torch-free encoding."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
