from ._advisor import Advice as Advice
from ._advisor import IndexPoint as IndexPoint
from ._advisor import Need as Need
from ._advisor import advise as advise
from ._advisor import candidates as candidates
from ._distill_vq import DistillVQ as DistillVQ
from ._distill_vq import DistilOptions as DistilOptions
from ._index_parts import KINDS as KINDS
from ._index_parts import IndexParts as IndexParts
from ._index_parts import put_together as put_together
from ._index_parts import take_apart as take_apart
from ._index_parts import train_parts as train_parts
from ._index_report import IndexReport as IndexReport
from ._index_report import index_bytes as index_bytes
from ._index_report import index_report as index_report
from ._index_report import milliseconds as milliseconds
from ._index_report import overlaps as overlaps
from ._index_report import relevance_figures as relevance_figures
from ._index_report import search_rows as search_rows
from ._lists import CandidateSampling as CandidateSampling
from ._lists import dense_lists as dense_lists
from ._lists import padded as padded

__all__ = [
    "Advice",
    "CandidateSampling",
    "DistilOptions",
    "DistillVQ",
    "IndexParts",
    "IndexPoint",
    "IndexReport",
    "KINDS",
    "Need",
    "advise",
    "candidates",
    "dense_lists",
    "index_bytes",
    "index_report",
    "milliseconds",
    "overlaps",
    "padded",
    "put_together",
    "relevance_figures",
    "search_rows",
    "take_apart",
    "train_parts",
]
