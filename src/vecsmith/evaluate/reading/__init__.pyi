from ._span_scores import SpanScores as SpanScores
from ._span_scores import exact_match as exact_match
from ._span_scores import normal_answer as normal_answer
from ._span_scores import span_scores as span_scores
from ._span_scores import token_f1 as token_f1

__all__ = ["SpanScores", "exact_match", "normal_answer", "span_scores", "token_f1"]
