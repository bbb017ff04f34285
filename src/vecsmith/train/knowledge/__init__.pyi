from ._kg_embedder import KGEmbedder as KGEmbedder
from ._link_scores import LinkScores as LinkScores
from ._link_scores import filtered_ranks as filtered_ranks
from ._link_scores import summarise_ranks as summarise_ranks
from ._negatives import self_adversarial_loss as self_adversarial_loss
from ._options import KGOptions as KGOptions
from ._triples import KnowledgeGraph as KnowledgeGraph
from ._triples import split_triples as split_triples

__all__ = [
    "KGEmbedder",
    "KGOptions",
    "KnowledgeGraph",
    "LinkScores",
    "filtered_ranks",
    "self_adversarial_loss",
    "split_triples",
    "summarise_ranks",
]
