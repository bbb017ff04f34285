"""What the field calls each way of embedding, which part serves it, and a tour through them."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
