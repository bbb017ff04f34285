from ._cache import VectorCache as VectorCache
from ._generation import Generation as Generation
from ._lane import Busy as Busy
from ._lane import Lane as Lane
from ._live import Live as Live
from ._points import MapPoints as MapPoints
from ._points import map_points as map_points

__all__ = ["Busy", "Generation", "Lane", "Live", "MapPoints", "VectorCache", "map_points"]
