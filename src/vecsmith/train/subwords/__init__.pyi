from ._fasttext import FastTextOptions as FastTextOptions
from ._fasttext import TokenLists as TokenLists
from ._fasttext import train_fasttext as train_fasttext

__all__ = ["FastTextOptions", "TokenLists", "train_fasttext"]
