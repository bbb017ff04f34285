from ._product_quantiser import ProductQuantiser as ProductQuantiser
from ._product_quantiser import negative_distances as negative_distances
from ._product_quantiser import read_codes as read_codes
from ._product_quantiser import split_parts as split_parts

__all__ = ["ProductQuantiser", "negative_distances", "read_codes", "split_parts"]
