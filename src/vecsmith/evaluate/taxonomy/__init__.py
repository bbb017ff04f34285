"""How well phrases are mapped to the concepts of a taxonomy."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
