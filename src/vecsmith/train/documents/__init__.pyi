from ._doc2vec import Doc2VecOptions as Doc2VecOptions
from ._doc2vec import DocumentVectors as DocumentVectors

__all__ = ["Doc2VecOptions", "DocumentVectors"]
