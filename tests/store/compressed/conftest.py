from functools import lru_cache

import numpy as np
import pytest

from vecsmith.data.samples import google_news_path
from vecsmith.encode.words import WordVectors


@lru_cache(maxsize=1)
def word_table():
    table = WordVectors.load(google_news_path(), limit=3000).vectors
    centred = table - table.mean(axis=0)
    axes = np.linalg.svd(centred[:1000], full_matrices=False)[2][:32]
    low = centred @ axes.T
    return np.ascontiguousarray(low / np.linalg.norm(low, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="session")
def documents():
    """2,000 frequent English words, 32 dimensions, unit length."""
    return word_table()[:2000]


@pytest.fixture(scope="session")
def queries():
    """1,000 other words."""
    return word_table()[2000:]
