from ._kernel_engine import KernelEngine as KernelEngine
from ._tables import Tables as Tables
from ._tables import new_tables as new_tables
from ._torch_engine import TorchEngine as TorchEngine
from ._torch_engine import adagrad_rows as adagrad_rows

__all__ = ["KernelEngine", "Tables", "TorchEngine", "adagrad_rows", "new_tables"]
