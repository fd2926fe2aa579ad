"""Lesson 02, record the graph: order, accumulation, paths, and a derivative nobody derived."""

import numpy as np


class Node:
    """A number that remembers what it was made from, and how fast it changes with each of them.

    Attributes
    ----------
    value : float
    inputs : tuple of Node
        What it was made from, in order; x * x lists x twice. A leaf has none.
    slopes : tuple of float
        One per input: ∂self/∂input along that edge alone.
    op, name : str
    grad : float
        ∂root/∂self, once `backprop` has set it.
    """

    def __init__(self, value, inputs=(), slopes=(), op="", name=""):
        self.value, self.inputs, self.slopes = value, inputs, slopes
        self.op, self.name, self.grad = op, name, 0.0

    def __add__(self, other):
        return Node(self.value + other.value, (self, other), (1.0, 1.0), "+")

    def __mul__(self, other):
        return Node(self.value * other.value, (self, other), (other.value, self.value), "×")

    def tanh(self):
        """The tanh of the number, as a node."""
        h = np.tanh(self.value)
        return Node(h, (self,), (1 - h**2,), "tanh")

    def __repr__(self):
        return f"Node({self.name or self.op} = {self.value:.4g})"


def topo_order(root):
    """List everything root was made from so that each node comes after its inputs.

    Parameters
    ----------
    root : Node

    Returns
    -------
    list of Node
        Every node once, also one that several others use; root comes last.
    """
    raise NotImplementedError("e02.topo_order")


def backprop(root):
    """Set `grad` of root and of everything it was made from to ∂root/∂node.

    Parameters
    ----------
    root : Node
        What is differentiated; ∂root/∂root = 1. Every `grad` is 0.0 when you are called.

    Returns
    -------
    None
        The answer is what stands in the nodes. Your file stands alone: paste your `topo_order`
        above this function if you want to use it.
    """
    raise NotImplementedError("e02.backprop")


def path_products(root, leaf):
    """Multiply the slopes along every path from root back to leaf.

    Parameters
    ----------
    root, leaf : Node

    Returns
    -------
    list of float
        One product per path, in any order: [] when no path leads to leaf, [1.0] when leaf is root.
        Two edges between the same two nodes are two paths.
    """
    raise NotImplementedError("e02.path_products")


def numgrad(f, x, eps=1e-6):
    """Differentiate f at x by moving one entry of x at a time, both ways.

    Parameters
    ----------
    f : callable
        Takes an array of the shape of x, returns one number.
    x : ndarray of any shape
        Is what it was when you return.
    eps : float
        How far an entry is moved, to either side.

    Returns
    -------
    ndarray, the shape of x
        The central differences (f(x + ε) − f(x − ε)) / 2ε, entry by entry.
    """
    raise NotImplementedError("e02.numgrad")
