"""vecsmith: data, encode, train, reshape, store, decode, evaluate, serve.

Rooms are imported on first use, so ``import vecsmith`` loads neither torch nor faiss.
"""

import lazy_loader as lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=[
        "build",
        "claims",
        "core",
        "data",
        "decode",
        "encode",
        "evaluate",
        "reshape",
        "store",
        "systems",
        "techniques",
        "train",
    ],
)
