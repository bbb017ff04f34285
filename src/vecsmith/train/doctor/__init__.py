"""The training doctor: what is wrong with the data or the run, and the next step to take."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
