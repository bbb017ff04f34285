from ._click_logs import CLICK_LOGS as CLICK_LOGS
from ._click_logs import ClickLog as ClickLog
from ._click_logs import encode_click_log as encode_click_log
from ._click_logs import read_click_log as read_click_log
from ._field_table import FieldTable as FieldTable
from ._field_table import encode_columns as encode_columns
from ._vocabulary import FieldVocabulary as FieldVocabulary

__all__ = [
    "CLICK_LOGS",
    "ClickLog",
    "FieldTable",
    "FieldVocabulary",
    "encode_click_log",
    "encode_columns",
    "read_click_log",
]
