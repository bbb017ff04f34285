from ._grid import Size as Size
from ._grid import compression as compression
from ._grid import entry_kl as entry_kl
from ._grid import geometric_dims as geometric_dims
from ._grid import principal_basis as principal_basis
from ._grid import score_kl as score_kl
from ._matryoshka import MatryoshkaLoss as MatryoshkaLoss
from ._sliced import HostLoss as HostLoss
from ._starbucks import Menu as Menu
from ._starbucks import StarbucksLoss as StarbucksLoss
from ._two_d import Grid2D as Grid2D
from ._two_d import TwoDMatryoshkaLoss as TwoDMatryoshkaLoss

__all__ = [
    "Grid2D",
    "HostLoss",
    "MatryoshkaLoss",
    "Menu",
    "Size",
    "StarbucksLoss",
    "TwoDMatryoshkaLoss",
    "compression",
    "entry_kl",
    "geometric_dims",
    "principal_basis",
    "score_kl",
]
