"""A walk from one-hot words to pictures: each step runs on real data and must reach its floor."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
