"""Which hidden channels a layer needs most: backward elimination, from its normal equations alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tlvcli.methods.fitting.normal import Moments, equations

if TYPE_CHECKING:
    from torch import Tensor

# Share of the surplus that goes in one round; whoever remains is judged anew.
_SHARE_A_ROUND = 0.1


def choose_hidden(moments: Moments, taps: int, num_wanted: int, ridge: float) -> Tensor:
    """Return which of the candidate channels [num_wanted], ascending, explain the outputs best together.

    What the fit loses without a channel is w' B^-1 w, as in the optimal brain surgeon (Hassibi and Stork 1993): w are
    the channel's weights, `taps` for each output, and B is its block of the inverse left side. The least go, the
    inverse is corrected for it (Schur complement), and all others are judged anew.
    """
    assert len(moments.gram) == 1
    inverse = torch.cholesky_inverse(equations(moments, ridge, intercept=True).factor[0])
    cross = moments.cross[0]
    alive = torch.arange((len(inverse) - 1) // taps, device=inverse.device)
    a_round = max(1, int(_SHARE_A_ROUND * (len(alive) - num_wanted)))
    while len(alive) > num_wanted:
        weights = (inverse @ cross)[:-1].view(len(alive), taps, -1)
        columns = _columns(torch.arange(len(alive), device=alive.device), taps).view(-1, taps)
        blocks = inverse[columns[:, :, None], columns[:, None, :]]  # [channels, taps, taps]
        loss = (weights * torch.linalg.solve(blocks, weights)).sum((1, 2))
        order = loss.argsort(stable=True)
        num_gone = min(len(alive) - num_wanted, a_round)
        gone, stay = _columns(order[:num_gone], taps), order[num_gone:].sort().values
        rows = _with_one(_columns(stay, taps), len(inverse))
        coupling = inverse[rows][:, gone]
        inverse = inverse[rows][:, rows] - coupling @ torch.linalg.solve(inverse[gone][:, gone], coupling.T)
        cross, alive = cross[rows], alive[stay]
    return alive


def _columns(channels: Tensor, taps: int) -> Tensor:
    return (channels[:, None] * taps + torch.arange(taps, device=channels.device)).flatten()


def _with_one(columns: Tensor, size: int) -> Tensor:
    return torch.cat([columns, columns.new_tensor([size - 1])])
