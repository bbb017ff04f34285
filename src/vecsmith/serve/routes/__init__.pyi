from ._collection import collection_router as collection_router
from ._embeddings import embeddings_router as embeddings_router
from ._pages import pages_router as pages_router
from ._search import search_router as search_router
from ._state import state_router as state_router

__all__ = [
    "collection_router",
    "embeddings_router",
    "pages_router",
    "search_router",
    "state_router",
]
