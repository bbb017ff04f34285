"""Measure a social direction of an embedding space, and take it out of what should be neutral."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
