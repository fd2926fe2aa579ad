"""An engine that records what it computes: one graph, from which everything else is read off.

``import microrecur as mr`` loads numpy alone. A name such as ``mr.draw`` loads its room, and
the libraries that room needs, when it is first used.
"""

import sys
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:  # what editors and mypy read; a test holds it equal to what there is
    from microrecur.compiler.compiled import compile as compile
    from microrecur.compiler.value_and_grad import value_and_grad as value_and_grad
    from microrecur.data.batches import Batches as Batches
    from microrecur.data.batches import FreshBatches as FreshBatches
    from microrecur.data.digits import consumer_prices as consumer_prices
    from microrecur.data.digits import digits as digits
    from microrecur.data.files import read_ag_news as read_ag_news
    from microrecur.data.files import read_idx as read_idx
    from microrecur.data.files import read_mnist as read_mnist
    from microrecur.data.series import Series as Series
    from microrecur.data.series import Standardiser as Standardiser
    from microrecur.data.series import read_series as read_series
    from microrecur.data.series import sunspots as sunspots
    from microrecur.data.series import windows as windows
    from microrecur.data.tasks import adding_problem as adding_problem
    from microrecur.data.tasks import copy_task as copy_task
    from microrecur.data.tasks import parity as parity
    from microrecur.data.tasks import recall_first_bit as recall_first_bit
    from microrecur.data.tasks import temporal_order as temporal_order
    from microrecur.drawing.difference import draw_difference as draw_difference
    from microrecur.drawing.draw import draw as draw
    from microrecur.drawing.side_by_side import draw_side_by_side as draw_side_by_side
    from microrecur.drawing.stepper import step as step
    from microrecur.engine.calculus import grad as grad
    from microrecur.engine.calculus import hessian as hessian
    from microrecur.engine.calculus import jacobian as jacobian
    from microrecur.engine.calculus import jvp as jvp
    from microrecur.engine.calculus import vjp as vjp
    from microrecur.engine.check import gradcheck as gradcheck
    from microrecur.engine.errors import GradcheckError as GradcheckError
    from microrecur.engine.errors import RenderError as RenderError
    from microrecur.engine.errors import ShapeError as ShapeError
    from microrecur.engine.errors import StaleGraphError as StaleGraphError
    from microrecur.engine.errors import UnknownNode as UnknownNode
    from microrecur.engine.ops import abs as abs
    from microrecur.engine.ops import add as add
    from microrecur.engine.ops import broadcast_to as broadcast_to
    from microrecur.engine.ops import clip as clip
    from microrecur.engine.ops import concatenate as concatenate
    from microrecur.engine.ops import cos as cos
    from microrecur.engine.ops import div as div
    from microrecur.engine.ops import dot as dot
    from microrecur.engine.ops import equal as equal
    from microrecur.engine.ops import exp as exp
    from microrecur.engine.ops import getitem as getitem
    from microrecur.engine.ops import greater as greater
    from microrecur.engine.ops import greater_equal as greater_equal
    from microrecur.engine.ops import less as less
    from microrecur.engine.ops import less_equal as less_equal
    from microrecur.engine.ops import log as log
    from microrecur.engine.ops import log1p as log1p
    from microrecur.engine.ops import log_softmax as log_softmax
    from microrecur.engine.ops import logsumexp as logsumexp
    from microrecur.engine.ops import matmul as matmul
    from microrecur.engine.ops import max as max
    from microrecur.engine.ops import maximum as maximum
    from microrecur.engine.ops import mean as mean
    from microrecur.engine.ops import minimum as minimum
    from microrecur.engine.ops import mul as mul
    from microrecur.engine.ops import neg as neg
    from microrecur.engine.ops import pow as pow
    from microrecur.engine.ops import relu as relu
    from microrecur.engine.ops import reshape as reshape
    from microrecur.engine.ops import sech2 as sech2
    from microrecur.engine.ops import sigmoid as sigmoid
    from microrecur.engine.ops import sin as sin
    from microrecur.engine.ops import softmax as softmax
    from microrecur.engine.ops import softplus as softplus
    from microrecur.engine.ops import split as split
    from microrecur.engine.ops import sqrt as sqrt
    from microrecur.engine.ops import stack as stack
    from microrecur.engine.ops import sub as sub
    from microrecur.engine.ops import sum as sum
    from microrecur.engine.ops import swapaxes as swapaxes
    from microrecur.engine.ops import take as take
    from microrecur.engine.ops import tanh as tanh
    from microrecur.engine.ops import transpose as transpose
    from microrecur.engine.ops import where as where
    from microrecur.engine.tensor import Tensor as Tensor
    from microrecur.engine.tensor import no_grad as no_grad
    from microrecur.engine.tensor import scope as scope
    from microrecur.engine.tensor import tensor as tensor
    from microrecur.engine.tracing import CompileError as CompileError
    from microrecur.flows.bounds import bounds as bounds
    from microrecur.flows.contributions import contributions as contributions
    from microrecur.flows.contributions import truncate as truncate
    from microrecur.flows.flow import flow as flow
    from microrecur.graphs.graph import graph as graph
    from microrecur.graphs.latex import Latex as Latex
    from microrecur.graphs.latex import latex as latex
    from microrecur.interop.keras import load_keras as load_keras
    from microrecur.interop.keras import to_keras_weights as to_keras_weights
    from microrecur.interop.torch import load_torch as load_torch
    from microrecur.interop.torch import to_torch_state_dict as to_torch_state_dict
    from microrecur.interop.weights import load_weights as load_weights
    from microrecur.interop.weights import save_weights as save_weights
    from microrecur.nn.cells import GRUCell as GRUCell
    from microrecur.nn.cells import LSTMCell as LSTMCell
    from microrecur.nn.cells import RNNCell as RNNCell
    from microrecur.nn.cells import unroll as unroll
    from microrecur.nn.clipping import clip_grad_norm_ as clip_grad_norm_
    from microrecur.nn.clipping import clip_grad_value_ as clip_grad_value_
    from microrecur.nn.init import identity_ as identity_
    from microrecur.nn.init import orthogonal_ as orthogonal_
    from microrecur.nn.init import uniform_ as uniform_
    from microrecur.nn.init import xavier_normal_ as xavier_normal_
    from microrecur.nn.init import xavier_uniform_ as xavier_uniform_
    from microrecur.nn.layers import GRU as GRU
    from microrecur.nn.layers import LSTM as LSTM
    from microrecur.nn.layers import RNN as RNN
    from microrecur.nn.losses import (
        binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
    )
    from microrecur.nn.losses import cross_entropy as cross_entropy
    from microrecur.nn.losses import huber_loss as huber_loss
    from microrecur.nn.losses import mse_loss as mse_loss
    from microrecur.nn.module import Module as Module
    from microrecur.nn.optim import SGD as SGD
    from microrecur.nn.optim import Adam as Adam
    from microrecur.nn.optim import AdamW as AdamW
    from microrecur.nn.optim import RMSprop as RMSprop
    from microrecur.nn.schedules import CosineAnnealingLR as CosineAnnealingLR
    from microrecur.nn.schedules import ExponentialLR as ExponentialLR
    from microrecur.nn.schedules import LinearLR as LinearLR
    from microrecur.nn.schedules import SequentialLR as SequentialLR
    from microrecur.nn.schedules import StepLR as StepLR
    from microrecur.nn.sequence_models import Autoregressive as Autoregressive
    from microrecur.nn.sequence_models import Latent as Latent
    from microrecur.nn.sequence_models import Naive as Naive
    from microrecur.nn.sequence_models import encoder_decoder as encoder_decoder
    from microrecur.nn.sequence_models import many_to_many as many_to_many
    from microrecur.nn.sequence_models import many_to_one as many_to_one
    from microrecur.nn.sequence_models import one_to_many as one_to_many
    from microrecur.nn.sequence_models import one_to_one as one_to_one
    from microrecur.nn.simple import Dropout as Dropout
    from microrecur.nn.simple import Embedding as Embedding
    from microrecur.nn.simple import LayerNorm as LayerNorm
    from microrecur.nn.simple import Linear as Linear
    from microrecur.nn.simple import Sequential as Sequential
    from microrecur.plots import plot_by_step as plot_by_step
    from microrecur.plots import plot_ceiling as plot_ceiling
    from microrecur.plots import plot_cells as plot_cells
    from microrecur.plots import plot_gates as plot_gates
    from microrecur.plots import plot_ledger as plot_ledger
    from microrecur.plots import plot_routes as plot_routes
    from microrecur.train.callbacks import Callback as Callback
    from microrecur.train.callbacks import EarlyStopping as EarlyStopping
    from microrecur.train.checkpoint import load_checkpoint as load_checkpoint
    from microrecur.train.fit import fit as fit
    from microrecur.train.monitor import GradientMonitor as GradientMonitor
    from microrecur.train.summary import summary as summary
    from microrecur.train.training import evaluate as evaluate

_ROOM_OF_NAMES = {
    "engine.tensor": "Tensor tensor scope no_grad",
    "engine.calculus": "grad vjp jvp jacobian hessian",
    "engine.check": "gradcheck",
    "engine.errors": "ShapeError StaleGraphError GradcheckError UnknownNode RenderError",
    "engine.tracing": "CompileError",
    "compiler.compiled": "compile",
    "compiler.value_and_grad": "value_and_grad",
    "flows.bounds": "bounds",
    "nn.cells": "RNNCell LSTMCell GRUCell unroll",
    "nn.module": "Module",
    "nn.layers": "RNN LSTM GRU",
    "nn.simple": "Linear Embedding Dropout LayerNorm Sequential",
    "nn.losses": "mse_loss huber_loss cross_entropy binary_cross_entropy_with_logits",
    "nn.optim": "SGD RMSprop Adam AdamW",
    "nn.clipping": "clip_grad_norm_ clip_grad_value_",
    "nn.schedules": "StepLR ExponentialLR CosineAnnealingLR LinearLR SequentialLR",
    "nn.sequence_models": """
        Naive Autoregressive Latent one_to_one one_to_many many_to_one many_to_many encoder_decoder
        """,
    "nn.init": "uniform_ xavier_uniform_ xavier_normal_ orthogonal_ identity_",
    "flows.flow": "flow",
    "flows.contributions": "contributions truncate",
    "graphs.graph": "graph",
    "graphs.latex": "latex Latex",
    "drawing.difference": "draw_difference",
    "drawing.draw": "draw",
    "drawing.side_by_side": "draw_side_by_side",
    "drawing.stepper": "step",
    "plots": "plot_by_step plot_ceiling plot_cells plot_gates plot_ledger plot_routes",
    "data.series": "Series sunspots read_series windows Standardiser",
    "data.batches": "Batches FreshBatches",
    "data.tasks": "adding_problem copy_task recall_first_bit parity temporal_order",
    "data.digits": "digits consumer_prices",
    "data.files": "read_idx read_mnist read_ag_news",
    "interop.weights": "load_weights save_weights",
    "interop.torch": "load_torch to_torch_state_dict",
    "interop.keras": "load_keras to_keras_weights",
    "train.summary": "summary",
    "train.fit": "fit",
    "train.training": "evaluate",
    "train.callbacks": "Callback EarlyStopping",
    "train.monitor": "GradientMonitor",
    "train.checkpoint": "load_checkpoint",
}
_MODULE_OF = {
    name: f"{__name__}.{room}" for room, names in _ROOM_OF_NAMES.items() for name in names.split()
}
_OPS = f"{__name__}.engine.ops"


@cache
def _public() -> dict[str, str]:
    """Return the module of every public name; those of the ops are read off their table."""
    return dict(sorted((_MODULE_OF | dict.fromkeys(import_module(_OPS).PUBLIC, _OPS)).items()))


if not TYPE_CHECKING:  # hidden from mypy, which would otherwise believe in every misspelt name

    def __getattr__(name: str):
        if name == "__all__":
            return list(_public())
        module = _MODULE_OF.get(name) or _public().get(name)
        if module is None:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=sys.modules[__name__])
        value = getattr(import_module(module), name)
        globals()[name] = value  # the next look-up is an ordinary one
        return value


def __dir__() -> list[str]:
    return [*_public(), "__version__"]
