from ._space_map import SpaceMap as SpaceMap

__all__ = ["SpaceMap"]
