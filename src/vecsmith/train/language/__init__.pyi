from ._bilm import BiLM as BiLM
from ._bilm import BiLMConfig as BiLMConfig
from ._bilm import reversed_rows as reversed_rows
from ._bilm_training import BiLMOptions as BiLMOptions
from ._bilm_training import bilm_loss as bilm_loss
from ._bilm_training import bilm_perplexity as bilm_perplexity
from ._bilm_training import train_bilm as train_bilm
from ._char_cnn import CharCNN as CharCNN
from ._char_cnn import CharSizes as CharSizes
from ._char_cnn import letter_ids as letter_ids
from ._sampled_softmax import draw_words as draw_words
from ._sampled_softmax import log_inclusion as log_inclusion
from ._sampled_softmax import log_uniform as log_uniform
from ._sampled_softmax import sampled_loss as sampled_loss
from ._splitting import split_tokens as split_tokens

__all__ = [
    "BiLM",
    "BiLMConfig",
    "BiLMOptions",
    "CharCNN",
    "CharSizes",
    "bilm_loss",
    "bilm_perplexity",
    "draw_words",
    "letter_ids",
    "log_inclusion",
    "log_uniform",
    "reversed_rows",
    "sampled_loss",
    "split_tokens",
    "train_bilm",
]
