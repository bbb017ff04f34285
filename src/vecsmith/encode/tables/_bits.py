"""Small whole numbers in as few bytes as they need."""

import torch
from torch import Tensor


def index_bytes(highest: int) -> int:
    """Bytes of a whole number from 0 to `highest`.

    Args:
        highest: The largest number.
    """
    return 1 if highest < 1 << 8 else 2 if highest < 1 << 15 else 4


def smallest_integers(values: Tensor, highest: int) -> Tensor:
    """Store whole numbers in the smallest type that holds them.

    Args:
        values: From 0 to `highest`.
        highest: The largest number there may be.
    """
    kinds = {1: torch.uint8, 2: torch.int16, 4: torch.int32}
    return values.to(kinds[index_bytes(highest)])


def packed_bytes(count: int, bits: int) -> int:
    """Bytes of a row of `count` numbers of `bits` bits.

    Args:
        count: Numbers a row.
        bits: Bits a number.
    """
    return -(-count * bits // 8)


def pack(codes: Tensor, bits: int) -> Tensor:
    """Pack the numbers of each row, the lowest bits first.

    Args:
        codes: Whole numbers below 2**bits, shape (rows, count).
        bits: 1 to 8.

    Returns:
        uint8, shape (rows, packed_bytes(count, bits)).
    """
    rows, count = codes.shape
    shifts = torch.arange(bits, device=codes.device)
    flat = ((codes.long()[..., None] >> shifts) & 1).flatten(1)
    width = packed_bytes(count, bits)
    flat = torch.nn.functional.pad(flat, (0, 8 * width - count * bits)).reshape(rows, width, 8)
    return (flat << torch.arange(8, device=codes.device)).sum(-1).to(torch.uint8)


def unpack(packed: Tensor, count: int, bits: int) -> Tensor:
    """Undo `pack`.

    Args:
        packed: uint8, shape (rows, bytes).
        count: Numbers a row.
        bits: Bits a number.

    Returns:
        int64, shape (rows, count).
    """
    if bits == 8:
        return packed.long()
    flat = (packed.long()[..., None] >> torch.arange(8, device=packed.device)) & 1
    flat = flat.flatten(1)[:, : count * bits].reshape(len(packed), count, bits)
    return (flat << torch.arange(bits, device=packed.device)).sum(-1)
