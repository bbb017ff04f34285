"""HTTP API (OpenAI-compatible embeddings, rerank, search) and web page of an index."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
