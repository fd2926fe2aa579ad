"""Lesson 00: see, predict, write, check."""


def hello_slope(w: float) -> float:
    r"""The derivative of w·x with respect to x.

    Parameters
    ----------
    w : float
        The weight on the edge from x to y = w·x.

    Returns
    -------
    float
        $\partial y / \partial x$: how much y moves when x moves a little.
    """
    raise NotImplementedError("e00.hello_slope")
