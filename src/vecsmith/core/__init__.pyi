from ._batches import EpochBatches as EpochBatches
from ._batches import like_length_batches as like_length_batches
from ._errors import ConfigError as ConfigError
from ._errors import DataError as DataError
from ._errors import MissingExtra as MissingExtra
from ._errors import ModelError as ModelError
from ._errors import StoreError as StoreError
from ._errors import VecsmithError as VecsmithError
from ._errors import did_you_mean as did_you_mean
from ._errors import require as require
from ._files import atomic_path as atomic_path
from ._files import cache_dir as cache_dir
from ._files import fresh_dir as fresh_dir
from ._files import hash_text as hash_text
from ._files import is_disk_error as is_disk_error
from ._files import last_checkpoint as last_checkpoint
from ._files import read_json as read_json
from ._files import recover_dir as recover_dir
from ._files import replace_dir as replace_dir
from ._files import sha256_file as sha256_file
from ._files import verify_checksums as verify_checksums
from ._files import write_checksums as write_checksums
from ._files import write_json as write_json
from ._fit import fit as fit
from ._fit_options import Budget as Budget
from ._fit_options import FitOptions as FitOptions
from ._fit_options import FitResult as FitResult
from ._processes import leave_processes_at_exit as leave_processes_at_exit
from ._progress import progress as progress
from ._resources import hardware as hardware
from ._resources import peak_memory_mb as peak_memory_mb
from ._resources import release_memory as release_memory
from ._seeds import numpy_generator as numpy_generator
from ._seeds import seed_everything as seed_everything
from ._seeds import torch_generator as torch_generator
from ._stamp import Stamp as Stamp
from ._statistics import Interval as Interval
from ._statistics import mean_interval as mean_interval
from ._statistics import paired_interval as paired_interval
from ._statistics import permutation_p as permutation_p
from ._statistics import seeds_and_items_interval as seeds_and_items_interval
from ._text import shown as shown

__all__ = [
    "Budget",
    "ConfigError",
    "DataError",
    "EpochBatches",
    "FitOptions",
    "FitResult",
    "Interval",
    "MissingExtra",
    "ModelError",
    "Stamp",
    "StoreError",
    "VecsmithError",
    "atomic_path",
    "cache_dir",
    "did_you_mean",
    "fit",
    "fresh_dir",
    "hardware",
    "hash_text",
    "is_disk_error",
    "last_checkpoint",
    "leave_processes_at_exit",
    "like_length_batches",
    "mean_interval",
    "numpy_generator",
    "paired_interval",
    "peak_memory_mb",
    "permutation_p",
    "progress",
    "read_json",
    "recover_dir",
    "release_memory",
    "replace_dir",
    "require",
    "seed_everything",
    "seeds_and_items_interval",
    "sha256_file",
    "shown",
    "torch_generator",
    "verify_checksums",
    "write_checksums",
    "write_json",
]
