"""Tables in which each value keeps a vector of its own, in fewer bits or coordinates."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
