"""Seven ways to learn word vectors: how the context is represented, how the target is scored."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
