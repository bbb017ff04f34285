"""Tasks that judge word vectors: similarity, analogies, choices, texts, word classes, names."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
