from ._config import ClassifierTraining as ClassifierTraining
from ._config import MaxPooledConfig as MaxPooledConfig
from ._max_pooled import KeyPhrase as KeyPhrase
from ._max_pooled import MaxPooledClassifier as MaxPooledClassifier
from ._rcnn import RCNNClassifier as RCNNClassifier
from ._rcnn import RCNNConfig as RCNNConfig
from ._rcnn import recurrent_contexts as recurrent_contexts
from ._window_cnn import WindowCNNClassifier as WindowCNNClassifier
from ._window_cnn import WindowCNNConfig as WindowCNNConfig
from ._word_tokenizer import learn_words as learn_words
from ._word_tokenizer import word_tokenizer as word_tokenizer

__all__ = [
    "ClassifierTraining",
    "KeyPhrase",
    "MaxPooledClassifier",
    "MaxPooledConfig",
    "RCNNClassifier",
    "RCNNConfig",
    "WindowCNNClassifier",
    "WindowCNNConfig",
    "learn_words",
    "recurrent_contexts",
    "word_tokenizer",
]
