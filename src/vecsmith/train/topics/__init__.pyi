from ._embedded_topics import EmbeddedTopicModel as EmbeddedTopicModel
from ._embedded_topics import ETMOptions as ETMOptions
from ._embedding_topics import ClusterOptions as ClusterOptions
from ._embedding_topics import EmbeddingTopics as EmbeddingTopics
from ._embedding_topics import class_tfidf as class_tfidf
from ._etm import ETM as ETM
from ._etm import ETMSizes as ETMSizes
from ._etm import gaussian_kl as gaussian_kl
from ._etm import word_loss as word_loss
from ._etm import word_shares as word_shares

__all__ = [
    "ClusterOptions",
    "ETM",
    "ETMOptions",
    "ETMSizes",
    "EmbeddedTopicModel",
    "EmbeddingTopics",
    "class_tfidf",
    "gaussian_kl",
    "word_loss",
    "word_shares",
]
