from ._hash import HashTable as HashTable

__all__ = ["HashTable"]
