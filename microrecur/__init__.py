"""An engine that records what it computes: one graph, from which everything else is read off.

``import microrecur as mr`` loads numpy alone. A name such as ``mr.draw`` loads its room, and
the libraries that room needs, when it is first used.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:  # what editors and mypy read; a test holds it equal to the table below
    from microrecur.data.series import (
        Series as Series,
        Standardiser as Standardiser,
        read_series as read_series,
        sunspots as sunspots,
        windows as windows,
    )
    from microrecur.drawing.draw import (
        draw as draw,
    )
    from microrecur.engine.calculus import (
        grad as grad,
        hessian as hessian,
        jacobian as jacobian,
        jvp as jvp,
        vjp as vjp,
    )
    from microrecur.engine.check import (
        gradcheck as gradcheck,
    )
    from microrecur.engine.errors import (
        GradcheckError as GradcheckError,
        RenderError as RenderError,
        ShapeError as ShapeError,
        StaleGraphError as StaleGraphError,
        UnknownNode as UnknownNode,
    )
    from microrecur.engine.ops import (
        abs as abs,
        add as add,
        broadcast_to as broadcast_to,
        clip as clip,
        concatenate as concatenate,
        cos as cos,
        div as div,
        dot as dot,
        equal as equal,
        exp as exp,
        getitem as getitem,
        greater as greater,
        greater_equal as greater_equal,
        less as less,
        less_equal as less_equal,
        log as log,
        log1p as log1p,
        log_softmax as log_softmax,
        logsumexp as logsumexp,
        matmul as matmul,
        max as max,
        maximum as maximum,
        mean as mean,
        minimum as minimum,
        mul as mul,
        neg as neg,
        pow as pow,
        relu as relu,
        reshape as reshape,
        sech2 as sech2,
        sigmoid as sigmoid,
        sin as sin,
        softmax as softmax,
        softplus as softplus,
        split as split,
        sqrt as sqrt,
        stack as stack,
        sub as sub,
        sum as sum,
        swapaxes as swapaxes,
        take as take,
        tanh as tanh,
        transpose as transpose,
        where as where,
    )
    from microrecur.engine.tensor import (
        Tensor as Tensor,
        no_grad as no_grad,
        scope as scope,
        tensor as tensor,
    )
    from microrecur.graphs.graph import (
        graph as graph,
    )
    from microrecur.nn.cells import (
        GRUCell as GRUCell,
        LSTMCell as LSTMCell,
        RNNCell as RNNCell,
        unroll as unroll,
    )

_ROOM_OF_NAMES = {
    "engine.tensor": "Tensor tensor scope no_grad",
    "engine.ops": """
        add sub mul div neg pow exp log log1p sqrt abs tanh sigmoid relu softplus sin cos sech2
        maximum minimum where clip sum mean max logsumexp softmax log_softmax matmul dot
        reshape transpose swapaxes broadcast_to concatenate stack split take getitem
        less less_equal greater greater_equal equal
        """,
    "engine.calculus": "grad vjp jvp jacobian hessian",
    "engine.check": "gradcheck",
    "engine.errors": "ShapeError StaleGraphError GradcheckError UnknownNode RenderError",
    "nn.cells": "RNNCell LSTMCell GRUCell unroll",
    "graphs.graph": "graph",
    "drawing.draw": "draw",
    "data.series": "Series sunspots read_series windows Standardiser",
}
_MODULE_OF = {
    name: f"{__name__}.{room}" for room, names in _ROOM_OF_NAMES.items() for name in names.split()
}
__all__ = sorted(_MODULE_OF)

if not TYPE_CHECKING:  # hidden from mypy, which would otherwise believe in every misspelt name

    def __getattr__(name: str):
        if name not in _MODULE_OF:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=sys.modules[__name__])
        value = getattr(import_module(_MODULE_OF[name]), name)
        globals()[name] = value  # the next look-up is an ordinary one
        return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
