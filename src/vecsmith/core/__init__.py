"""What every room stands on: errors, files, seeds, progress, the stamp, statistics, `fit`."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
