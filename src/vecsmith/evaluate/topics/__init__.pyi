from ._coherence import CoherenceScore as CoherenceScore
from ._coherence import topic_coherence as topic_coherence
from ._coherence import topic_diversity as topic_diversity

__all__ = ["CoherenceScore", "topic_coherence", "topic_diversity"]
