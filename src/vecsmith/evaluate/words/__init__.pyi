from ._choice_task import ChoiceQuestion as ChoiceQuestion
from ._choice_task import ChoiceTask as ChoiceTask
from ._choice_task import make_choice_questions as make_choice_questions
from ._choice_task import read_choice_questions as read_choice_questions
from ._class_task import TaggerTraining as TaggerTraining
from ._class_task import WordClassTask as WordClassTask
from ._compare import WordComparison as WordComparison
from ._compare import compare_word_vectors as compare_word_vectors
from ._lookup_tasks import AnalogyTask as AnalogyTask
from ._lookup_tasks import SimilarityTask as SimilarityTask
from ._name_task import EntityTask as EntityTask
from ._protocol import TaskScore as TaskScore
from ._protocol import WordTask as WordTask
from ._protocol import performance_gain_ratio as performance_gain_ratio
from ._protocol import random_vectors as random_vectors
from ._protocol import share_vocabulary as share_vocabulary
from ._study import EmbeddingStudy as EmbeddingStudy
from ._study import StudyRun as StudyRun
from ._study_table import StudyScore as StudyScore
from ._study_table import StudyTable as StudyTable
from ._study_tasks import STUDY_TASKS as STUDY_TASKS
from ._study_tasks import brown_classes as brown_classes
from ._study_tasks import brown_names as brown_names
from ._study_tasks import genre_texts as genre_texts
from ._study_tasks import gloss_texts as gloss_texts
from ._study_tasks import page_texts as page_texts
from ._study_tasks import study_tasks as study_tasks
from ._study_tasks import thesaurus_questions as thesaurus_questions
from ._tagged import TaggedTexts as TaggedTexts
from ._tagged import entity_f1 as entity_f1
from ._tagged import read_tagged as read_tagged
from ._tagged import split_tagged as split_tagged
from ._tasks import AnalogyScore as AnalogyScore
from ._tasks import SimilarityScore as SimilarityScore
from ._tasks import word_analogies as word_analogies
from ._tasks import word_similarity as word_similarity
from ._text_tasks import CNNTask as CNNTask
from ._text_tasks import MeanVectorTask as MeanVectorTask
from ._texts import LabelledTexts as LabelledTexts
from ._texts import mean_vectors as mean_vectors
from ._texts import split_texts as split_texts

__all__ = [
    "AnalogyScore",
    "AnalogyTask",
    "CNNTask",
    "ChoiceQuestion",
    "ChoiceTask",
    "EmbeddingStudy",
    "EntityTask",
    "LabelledTexts",
    "MeanVectorTask",
    "STUDY_TASKS",
    "SimilarityScore",
    "SimilarityTask",
    "StudyRun",
    "StudyScore",
    "StudyTable",
    "TaggedTexts",
    "TaggerTraining",
    "TaskScore",
    "WordClassTask",
    "WordComparison",
    "WordTask",
    "brown_classes",
    "brown_names",
    "compare_word_vectors",
    "entity_f1",
    "genre_texts",
    "gloss_texts",
    "make_choice_questions",
    "mean_vectors",
    "page_texts",
    "performance_gain_ratio",
    "random_vectors",
    "read_choice_questions",
    "read_tagged",
    "share_vocabulary",
    "split_tagged",
    "split_texts",
    "study_tasks",
    "thesaurus_questions",
    "word_analogies",
    "word_similarity",
]
