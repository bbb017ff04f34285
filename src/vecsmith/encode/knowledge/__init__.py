"""Entities of a graph in a text, and their vectors among the tokens of a language model."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
