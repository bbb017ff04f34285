"""Masked pre-training: vectors that carry their text before any pair is seen."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
