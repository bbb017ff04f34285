"""The routes: embeddings, rerank and search, passages and documents, the page, the state."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
