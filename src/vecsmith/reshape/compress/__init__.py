"""Finished tables of vectors in fewer bytes: corpora that are searched, token tables of models."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
