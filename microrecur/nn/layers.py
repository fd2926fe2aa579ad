"""RNN, LSTM and GRU layers with torch's signatures, names, packing and shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from microrecur.engine.tensor import Tensor
from microrecur.nn.cells import GRUCell, LSTMCell, RNNCell
from microrecur.nn.recurrent import Recurrent


class RNN(Recurrent):
    """A stack of `RNNCell`s, as torch.nn.RNN.

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
        I, H and L.
    nonlinearity : {"tanh", "relu", "sigmoid"}
        φ of h = φ(x W + h U + b).
    bias : bool
        Whether there are biases.
    batch_first : bool
        Whether x and output are (N, T, …) rather than (T, N, …); states never are.
    dropout : float
        The probability with which, in training, an input of the layers after the first is dropped.
    bidirectional : bool
        Whether a second cell in every layer reads the sequence from its end: D = 2.
    layer_norm : bool
        As for the cell; not in torch.
    rng, seed : numpy Generator or int, optional
        What draws the weights U(−1/√H, 1/√H), and the seed of the dropout.
    dtype : dtype, optional
        float64 when not given.

    Examples
    --------
    >>> output, h_n = RNN(3, 4, seed=0)(np.ones((5, 2, 3)))
    >>> output.shape, h_n.shape
    ((5, 2, 4), (1, 2, 4))
    """

    cell = RNNCell

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        layer_norm: bool = False,
        rng: np.random.Generator | None = None,
        seed: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            nonlinearity=nonlinearity, layer_norm=layer_norm, rng=rng, seed=seed, dtype=dtype,
        )  # fmt: skip

    def forward(
        self, x: Any, state: Any = None, *, lengths: ArrayLike | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return (output, h_n), with shapes as for `LSTM`."""
        output, (h_n,), _ = self._run(x, state, lengths)
        return output, h_n


class LSTM(Recurrent):
    """A stack of `LSTMCell`s, as torch.nn.LSTM, with more under names torch does not have.

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
        I, H and L.
    bias, batch_first, dropout, bidirectional
        As for `RNN`.
    proj_size : int
        Where > 0, the size of h, less than H.
    peephole, forget_bias, layer_norm
        As for `LSTMCell`, in every layer and direction; not in torch.
    rng, seed, dtype
        As for `RNN`.

    Examples
    --------
    >>> lstm = LSTM(10, 20, num_layers=2, bidirectional=True, seed=0)
    >>> output, (h_n, c_n) = lstm(np.ones((35, 1, 10)))
    >>> output.shape, h_n.shape, c_n.shape
    ((35, 1, 40), (4, 1, 20), (4, 1, 20))
    >>> lstm.weight_hh_l1_reverse.shape
    (80, 20)
    """

    cell = LSTMCell

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        peephole: bool = False,
        forget_bias: float | None = None,
        layer_norm: bool = False,
        rng: np.random.Generator | None = None,
        seed: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            proj_size=proj_size, peephole=peephole, forget_bias=forget_bias,
            layer_norm=layer_norm, rng=rng, seed=seed, dtype=dtype,
        )  # fmt: skip
        self.proj_size = proj_size

    def forward(
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: ArrayLike | None = None,
        return_cell_states: bool = False,
        return_gates: bool = False,
    ) -> tuple[Any, ...]:
        """Return (output, (h_n, c_n)), then what else was asked for.

        Parameters
        ----------
        x : array_like or Tensor
            (T, N, I); (N, T, I) where `batch_first`; (T, I) for one sequence. An array becomes one
            leaf per step; a tensor is cut into steps by recorded slices, so it has a gradient.
        state : (h_0, c_0), optional
            Each (L·D, N, H) (h_0: its proj_size if there is one), or (L·D, H) for one sequence;
            zeros when None.
        lengths : sequence of int, optional
            The length of each of the N sequences, 1 to T. What comes after is padding: it is never
            read, output is 0 there, the last state is the one at the length, and the reverse
            direction starts there (as torch's packed sequences).
        return_cell_states, return_gates : bool
            Append c over time, and a dict of i, f, g, o over time: (L·D, T, N, H), the first axis
            as h_n's, the others as output's.

        Returns
        -------
        output : Tensor
            h of the top layer, (T, N, D·H), or as x is.
        h_n, c_n : Tensor
            The states at the end of each layer and direction, (L·D, N, H).
        """
        asked = (["c"] if return_cell_states else []) + (
            list(self.cell.gates) if return_gates else []
        )
        output, last, over_time = self._run(x, state, lengths, follow=asked)
        extra: list[Any] = [over_time.pop("c")] if return_cell_states else []
        return output, last, *extra, *([over_time] if return_gates else [])


class GRU(Recurrent):
    """A stack of `GRUCell`s, as torch.nn.GRU.

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
        I, H and L.
    bias, batch_first, dropout, bidirectional
        As for `RNN`.
    reset_after, layer_norm : bool
        As for `GRUCell`; not in torch.
    rng, seed, dtype
        As for `RNN`.

    Examples
    --------
    >>> output, h_n = GRU(3, 4, batch_first=True, seed=0)(np.ones((2, 5, 3)), lengths=[5, 2])
    >>> output.shape, float(abs(output.data[1, 2:]).max())
    ((2, 5, 4), 0.0)
    """

    cell = GRUCell

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        reset_after: bool = True,
        layer_norm: bool = False,
        rng: np.random.Generator | None = None,
        seed: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            reset_after=reset_after, layer_norm=layer_norm, rng=rng, seed=seed, dtype=dtype,
        )  # fmt: skip

    def forward(
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: ArrayLike | None = None,
        return_gates: bool = False,
    ) -> tuple[Any, ...]:
        """Return (output, h_n), and the gates r, z, n over time when asked; shapes as `LSTM`."""
        asked = self.cell.gates if return_gates else ()
        output, (h_n,), over_time = self._run(x, state, lengths, follow=asked)
        return (output, h_n, over_time) if return_gates else (output, h_n)
