from ._annotation_questions import ANSWERS as ANSWERS
from ._annotation_questions import annotation_questions as annotation_questions
from ._kind_questions import kind_questions as kind_questions
from ._reading_question import ReadingQuestion as ReadingQuestion

__all__ = ["ANSWERS", "ReadingQuestion", "annotation_questions", "kind_questions"]
