"""Exercises of lesson 07: ceilings, products of Jacobians, measuring, clipping."""

import numpy as np


def bound(phi, w, T):
    r"""Bound |∂h_T/∂h_0| of an RNN with one unit, whatever its inputs are.

    $$\left|\frac{\partial h_T}{\partial h_0}\right| = \prod_{t=1}^{T} |\varphi'(z_t) \, w|
      \;\le\; \dots$$

    Parameters
    ----------
    phi : str
        "sigmoid" or "tanh".
    w : float
        The recurrent weight, of either sign.
    T : int
        Steps.

    Returns
    -------
    float
        The least number that is sure not to be exceeded, knowing φ, w and T alone.
    """
    raise NotImplementedError("e07.bound")


def jacobian_product(hs, Wh):
    r"""Compute ∂h_T/∂h_0 of a tanh RNN from its states.

    With rows $h_t = \tanh(\dots + h_{t-1} W_h)$, the entry in row i, column j of the answer is
    ∂(unit i of h_T)/∂(unit j of h_0): what comes out along the rows.

    Parameters
    ----------
    hs : ndarray of shape (T, H)
        h_1 … h_T of one sequence.
    Wh : ndarray of shape (H, H)
        The recurrent weights; Wh[j, i] leads from unit j to unit i.

    Returns
    -------
    ndarray of shape (H, H)
    """
    raise NotImplementedError("e07.jacobian_product")


def regime(phi, gain, H):
    r"""Measure whether the gradient of a random RNN vanishes or explodes within 50 steps.

    The network: H units, $h_t = \varphi(x_t + h_{t-1} U)$, $h_0 = 0$, every entry of $x_t$ drawn
    from N(0, 1), and U = gain · (H × H numbers from N(0, 1)) / √H. The measure: the largest
    singular value of ∂h_50/∂h_0. Draws differ: take the median of several.

    Parameters
    ----------
    phi : str
        "sigmoid", "tanh" or "relu".
    gain : float
        The scale of the recurrent weights.
    H : int
        Units.

    Returns
    -------
    str
        "vanish" where the measure is below 1, "explode" where it is above.

    Notes
    -----
    NumPy will do; microrecur may be imported too.
    """
    raise NotImplementedError("e07.regime")


def clip_by_global_norm(grads, c):
    r"""Scale all gradients together so that their common norm is at most c.

    $$\|g\| = \sqrt{\textstyle\sum_k \sum_{ij} g_{k,ij}^2}$$

    Parameters
    ----------
    grads : list of ndarray
        One gradient per parameter, of any shapes. They are not to be changed.
    c : float
        The largest norm that is allowed.

    Returns
    -------
    list of ndarray
        Gradients of the same shapes.
    """
    raise NotImplementedError("e07.clip_by_global_norm")
