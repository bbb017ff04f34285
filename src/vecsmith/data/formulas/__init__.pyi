from ._expression import Expression as Expression
from ._expression import evaluate_symbols as evaluate_symbols
from ._generator import ExpressionGenerator as ExpressionGenerator
from ._generator import ExpressionOptions as ExpressionOptions
from ._generator import Sample as Sample
from ._numbers import join_number as join_number
from ._numbers import split_numbers as split_numbers
from ._operators import OPERATORS as OPERATORS
from ._operators import Operator as Operator
from ._points import PointOptions as PointOptions
from ._points import PointSet as PointSet
from ._points import draw_points as draw_points
from ._points import scale_values as scale_values
from ._properties import PROPERTIES as PROPERTIES
from ._properties import property_of as property_of
from ._tokenizer import FormulaTokenizer as FormulaTokenizer
from ._tokenizer import PrefixGrammar as PrefixGrammar

__all__ = [
    "Expression",
    "ExpressionGenerator",
    "ExpressionOptions",
    "FormulaTokenizer",
    "OPERATORS",
    "Operator",
    "PROPERTIES",
    "PointOptions",
    "PointSet",
    "PrefixGrammar",
    "Sample",
    "draw_points",
    "evaluate_symbols",
    "join_number",
    "property_of",
    "scale_values",
    "split_numbers",
]
