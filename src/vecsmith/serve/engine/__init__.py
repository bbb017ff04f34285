"""What answers: the index in service, its models at work, the cache of vectors."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
