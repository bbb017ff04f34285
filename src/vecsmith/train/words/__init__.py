"""Texts -> word vectors: vocabularies and counts, and what is made of them."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
