"""Language in a scene: which object does an instruction mean, and how near is a place to it."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
