from ._contract import Claim as Claim
from ._contract import Measurement as Measurement
from ._contract import load_claim as load_claim
from ._contract import run_claim as run_claim
from ._table import claims_table as claims_table

__all__ = ["Claim", "Measurement", "claims_table", "load_claim", "run_claim"]
