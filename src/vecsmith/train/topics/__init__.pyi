from ._embedding_topics import ClusterOptions as ClusterOptions
from ._embedding_topics import EmbeddingTopics as EmbeddingTopics
from ._embedding_topics import class_tfidf as class_tfidf

__all__ = ["ClusterOptions", "EmbeddingTopics", "class_tfidf"]
