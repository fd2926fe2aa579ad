"""Checks of lesson 02: orders, gradients and paths on small graphs that share nodes."""

import numpy as np

import microrecur as mr
from microrecur.course import Exercise, Slip
from microrecur.lessons.checks.small_graphs import (
    as_tensors,
    diamond,
    engine_order,
    label,
    ladder,
    leaf,
    nodes_of,
)
from microrecur.lessons.exercises.e02_record_the_graph import Node

# ---------------------------------------------------------------- graphs to be asked about


def roots(rng: np.random.Generator) -> list[tuple]:
    """One root per case."""
    return [(diamond(rng)[0],), (ladder(rng)[0],)]


def roots_and_leaves(rng: np.random.Generator) -> list[tuple]:
    """A root and one of its leaves per case; the last root is its own leaf."""
    alone = leaf(rng, 0.9, "x")
    root, x, y = diamond(rng)
    return [(root, x), (root, y), ladder(rng), (alone, alone)]


# ---------------------------------------------------------------- topological order


def order_at_work(topo_order, case: tuple):
    """How often each node is listed, which stands before its input, whether root is last."""
    (root,) = case
    order = topo_order(root)
    if order is None:
        return None
    strange = [order] if not isinstance(order, (list, tuple)) else order
    for part in strange:
        if not isinstance(part, Node):
            where = "a list that holds" if strange is order else "no list but"
            raise TypeError(f"topo_order returned {where} a {type(part).__name__}")
    nodes = nodes_of(root)
    count = {label(node): sum(node is other for other in order) for node in nodes}
    place = {node: k for k, node in enumerate(order)}
    stands = {}
    for node in nodes:
        late = [label(s) for s in node.inputs if place.get(s, -1) > place.get(node, len(nodes))]
        stands[label(node)] = f"before its input {late[0]}" if late else "after its inputs"
    return count, stands, bool(order) and order[-1] is root


def pre_order(root):  # noqa: D103
    order = []

    def visit(node):
        if not any(node is other for other in order):
            order.append(node)
            for source in node.inputs:
                visit(source)

    visit(root)
    return order


def post_order(root, same=lambda a, b: a is b, inputs=lambda node: node.inputs):
    """The right order for these arguments; others make a slip."""
    order, seen = [], []

    def visit(node):
        if any(same(node, other) for other in seen):
            return
        seen.append(node)
        for source in inputs(node):
            visit(source)
        order.append(node)

    visit(root)
    return order


def breadth_first(root):  # noqa: D103
    order = [root]
    for node in order:
        order.extend(s for s in dict.fromkeys(node.inputs) if all(s is not n for n in order))
    return order[::-1]


topo_order = Exercise(
    name="e02.topo_order",
    task="List a graph so that every node comes after its inputs, and once.",
    probe=roots,
    probe_rules="a case is a graph; two of its leaves hold equal numbers on purpose",
    reference=engine_order,
    observe=order_at_work,
    outputs=("count of nodes", "order", "root at the end"),
    slips=(
        Slip(
            "pre-order",
            wrong=pre_order,
            said="in pre-order: a node as soon as it is met, root first",
            hint="You list a node when you meet it. Which nodes must already be in the list by "
            "then?",
        ),
        Slip(
            "pre-order, turned round",
            wrong=lambda root: pre_order(root)[::-1],
            said="in pre-order turned round",
            hint="Turned round, root is last. Now take a node used twice, once near root and once "
            "far: which of its two uses did your visit meet first?",
        ),
        Slip(
            "the right order, turned round",
            wrong=lambda root: post_order(root)[::-1],
            said="turned round, with root first",
            hint="The order is right, read from the other end. Which node did the task ask to come "
            "last?",
        ),
        Slip(
            "a shared node listed again",
            wrong=lambda root: post_order(root, same=lambda a, b: False),
            said="with a shared node listed once per use",
            hint="u is used twice. How would your visit know, the second time, that u is listed?",
        ),
        Slip(
            "only the first input followed",
            wrong=lambda root: post_order(root, inputs=lambda node: node.inputs[:1]),
            said="with the first input of each node alone",
            hint="How many inputs has a sum, and along how many of them did you go on?",
        ),
        Slip(
            "nodes of equal value taken for one",
            wrong=lambda root: post_order(root, same=lambda a, b: a.value == b.value),
            said="with one of two nodes that hold equal numbers left out",
            hint="Two leaves hold the same number here. Are they one node? What does your test for "
            "'seen' compare?",
        ),
        Slip(
            "nodes of equal name taken for one",
            wrong=lambda root: post_order(root, same=lambda a, b: a.name == b.name),
            said="with all nodes of one name, or of none, taken for one node",
            hint="Most nodes have no name. What tells two of them apart?",
        ),
        Slip(
            "breadth first",
            wrong=breadth_first,
            said="level by level from root",
            hint="Level by level, x is met on its short way first. Is everything that uses x on "
            "its long way met before or after that?",
        ),
        Slip(
            "leaves left out",
            wrong=lambda root: [node for node in post_order(root) if node.inputs],
            said="without the leaves",
            hint="x has no inputs, and L depends on it all the same. Does your visit list a node "
            "that has nowhere further to go?",
        ),
        Slip(
            "root left out",
            wrong=lambda root: post_order(root)[:-1],
            said="without root",
            hint="Everything root was made from is there. Which node was made from all of them, "
            "and is it in your list?",
        ),
    ),
    hints=(
        "When is it safe to list a node: when you reach it, or when all its inputs are listed?",
        "Visit depth first: go down every input, then list the node itself. A shared node is "
        "visited once; keep a set of those you have been to.",
        "Three lines in a nested function: return if seen; visit each input; then append.",
    ),
    section="An order to walk in",
)

# ---------------------------------------------------------------- the backward sweep


def gradients(backprop, case: tuple) -> tuple:
    """What stands in the nodes afterwards: the telling ones first, then all of them."""
    (root,) = case
    nodes = nodes_of(root)
    for node in nodes:
        node.grad = 0.0
    backprop(root)
    found = {label(node): node.grad for node in nodes}
    return root.grad, found["u"], found["y"], found["x"], found


def engine_backprop(root: Node) -> None:
    """Ours: the engine's own sweep over the same computation."""
    tensors = as_tensors(root)
    for node, gradient in zip(tensors, mr.vjp(tensors[root], list(tensors.values()))):
        node.grad = float(gradient)


def sweep(root, start=1.0, order=None, push=lambda node, slope: node.grad * slope, keep=1.0):
    """The right sweep for these arguments; others make a slip."""
    root.grad = start
    for node in reversed(engine_order(root) if order is None else order):
        for source, slope in zip(node.inputs, node.slopes):
            source.grad = keep * source.grad + push(node, slope)


def sweep_again_at_each_arrival(root):  # noqa: D103
    root.grad = 1.0

    def visit(node):
        for source, slope in zip(node.inputs, node.slopes):
            source.grad += node.grad * slope
            visit(source)

    visit(root)


def overwrite_along_paths(root):  # noqa: D103
    root.grad = 1.0

    def visit(node):
        for source, slope in zip(node.inputs, node.slopes):
            source.grad = node.grad * slope
            visit(source)

    visit(root)


def one_everywhere(root):  # noqa: D103
    root.grad = 1.0
    for source, slope in zip(root.inputs, root.slopes):
        source.grad += root.grad * slope
        one_everywhere(source)


def sweep_first_input(root):  # noqa: D103
    root.grad = 1.0
    for node in reversed(engine_order(root)):
        for source, slope in list(zip(node.inputs, node.slopes))[:1]:
            source.grad += node.grad * slope


def drawn_diamond() -> mr.Tensor:
    """The first graph of the probe, to draw."""
    x, y, c = (
        mr.tensor(v, requires_grad=True, name=n) for v, n in ((0.7, "x"), (1.6, "y"), (1.6, "c"))
    )
    u = (x * y).named("u")
    v = mr.tanh(u).named("v")
    w = (u * v).named("w")
    return (c * (w + x).named("s")).named("L")


backprop = Exercise(
    name="e02.backprop",
    task="Walk a graph back from root and add up, at every node, what arrives there.",
    probe=roots,
    probe_rules="a case is a graph; two of its leaves hold equal numbers on purpose",
    reference=engine_backprop,
    observe=gradients,
    outputs=("∂L/∂L", "∂L/∂u", "∂L/∂y", "∂L/∂x", "gradients"),
    picture=drawn_diamond,
    slips=(
        Slip(
            "= in place of +=",
            wrong=lambda root: sweep(root, keep=0.0),
            said="with only the last arrow that reached it",
            missing=("x->s", "u->w"),
            hint="Two arrows arrive at x, and two at u. What happens to the first one's share when "
            "the second arrives?",
        ),
        Slip(
            "= in place of +=, along each path",
            wrong=overwrite_along_paths,
            said="when each arrival overwrites what was there",
            hint="Your recursion reaches u twice. What does the second visit do to what the first "
            "one left there?",
        ),
        Slip(
            "every node starts at 1",
            wrong=one_everywhere,
            said="replaced by 1",
            hint="Your function calls itself, and each call sets its root to 1. For which node "
            "alone is that right?",
        ),
        Slip(
            "what arrives from above forgotten",
            wrong=lambda root: sweep(root, push=lambda node, slope: slope),
            said="with the last slope alone, as if every node above had gradient 1",
            hint="The slope says how the node above changes. By how much does L change when that "
            "node does?",
        ),
        Slip(
            "gradients added where they multiply",
            wrong=lambda root: sweep(root, push=lambda node, slope: node.grad + slope),
            said="when gradient and slope are added along an edge, not multiplied",
            hint="If u doubles v and v triples L, how fast does L change with u: 5 or 6 times?",
        ),
        Slip(
            "root starts at 0",
            wrong=lambda root: sweep(root, start=0.0),
            said="times 0",
            hint="All your gradients are 0. What is ∂L/∂L?",
        ),
        Slip(
            "root starts with its value",
            wrong=lambda root: sweep(root, start=root.value),
            said="times the value of L",
            hint="Your root starts with its value. How fast does L change with L?",
        ),
        Slip(
            "from the leaves up",
            wrong=lambda root: sweep(root, order=engine_order(root)[::-1]),
            said="when the walk starts at the leaves",
            hint="You hand a node's gradient on before anything arrived there. At which end of the "
            "order is a gradient known at first?",
        ),
        Slip(
            "in pre-order",
            wrong=lambda root: sweep(root, order=pre_order(root)[::-1]),
            said="when a shared node hands on before all has arrived",
            hint="A node with two uses hands its gradient on after the first. What happens to the "
            "share of the second?",
        ),
        Slip(
            "handed on once per arrival",
            wrong=sweep_again_at_each_arrival,
            said="when a shared node hands on, at each arrival, all that has come so far",
            hint="u is reached twice. The second time, do you hand on what is new, or the first "
            "share once more as well?",
        ),
        Slip(
            "only the first input",
            wrong=sweep_first_input,
            said="with the first input of each node alone",
            missing=("y->u", "v->w", "x->s", "s->L"),
            hint="A product has two inputs and two slopes. Which of them got its share?",
        ),
    ),
    hints=(
        "Which gradient do you know before you start, and which nodes can you settle from it?",
        "Each edge carries: the gradient of the node above, times the slope on the edge. Walk the "
        "order backwards, so the node above is always settled.",
        "Where two edges reach the same node, their shares are two parts of one sum.",
    ),
    section="Two arrows meet",
)

# ---------------------------------------------------------------- the chain rule as a sum


def sorted_products(path_products, case: tuple):
    """How many products, their sum, and the products by size: their order is the learner's own."""
    products = path_products(*case)
    if products is None:
        return None
    if not isinstance(products, (list, tuple, np.ndarray)):
        raise TypeError(f"path_products returned no list but a {type(products).__name__}")
    if strange := [part for part in products if np.ndim(part) or isinstance(part, str)]:
        raise TypeError(f"path_products returned a list that holds a {type(strange[0]).__name__}")
    numbers = np.sort(np.array(products, dtype=float))
    return len(numbers), numbers.sum(), numbers


def engine_products(root: Node, leaf: Node) -> list[float]:
    """Ours: the engine lists its paths."""
    if root is leaf:
        return [1.0]
    tensors = as_tensors(root)
    flow = mr.flow(tensors[root], wrt=tensors[leaf])
    return [path.contribution for path in flow.top(100)]


def walk(root, leaf, edges=lambda node: zip(node.inputs, node.slopes), join=lambda a, b: a * b):
    """The right products for these arguments; others make a slip."""
    if root is leaf:
        return [1.0]
    return [join(slope, rest) for s, slope in edges(root) for rest in walk(s, leaf, edges, join)]


def to_equal_value(root, leaf):
    """Products to whatever node holds the same number as leaf."""
    if root.value == leaf.value:
        return [1.0]
    return [a * b for s, a in zip(root.inputs, root.slopes) for b in to_equal_value(s, leaf)]


def all_leaves(root):
    """Products to whatever leaf."""
    if not root.inputs:
        return [1.0]
    return [a * b for s, a in zip(root.inputs, root.slopes) for b in all_leaves(s)]


path_products = Exercise(
    name="e02.path_products",
    task="One product of slopes per path from root back to a leaf.",
    probe=roots_and_leaves,
    probe_rules="a case is a graph and one of its leaves",
    reference=engine_products,
    observe=sorted_products,
    outputs=("number of paths", "sum of products", "products"),
    axes={"products": ("place by size",)},
    slips=(
        Slip(
            "two edges taken for one",
            wrong=lambda root, leaf: walk(
                root, leaf, lambda node: dict(zip(node.inputs, node.slopes)).items()
            ),
            said="with x·x counted as one edge to x",
            hint="x·x has two inputs that happen to be one node. How many ways lead from x·x to x?",
        ),
        Slip(
            "one path alone",
            wrong=lambda root, leaf: walk(root, leaf)[:1],
            said="with the first path alone",
            hint="You stop when the leaf is reached. Are there other inputs left to try on the way "
            "back?",
        ),
        Slip(
            "slopes added along a path",
            wrong=lambda root, leaf: walk(root, leaf, join=lambda a, b: a + b),
            said="with slopes added along a path, not multiplied",
            hint="Along one path, each edge scales what the last one let through. Which operation "
            "scales?",
        ),
        Slip(
            "the sum in place of the list",
            wrong=lambda root, leaf: [sum(walk(root, leaf))],
            said="when the products are added up first",
            hint="Your number is ∂L/∂x, and right. Which numbers was it the sum of?",
        ),
        Slip(
            "every leaf counted",
            wrong=lambda root, leaf: all_leaves(root),
            said="with the paths to all leaves",
            hint="Some of your paths end at y or c. What should a path contribute that never "
            "reaches the leaf that was asked for?",
        ),
        Slip(
            "a leaf known by its value",
            wrong=to_equal_value,
            said="with paths to another leaf that holds the same number",
            hint="y and c hold the same number here. Is c the leaf that was asked for? What does "
            "`is` ask, and what does `==`?",
        ),
        Slip(
            "no path from a node to itself",
            wrong=lambda root, leaf: [] if root is leaf else walk(root, leaf),
            said="when a node has no path to itself, not even the empty one",
            hint="When root is the leaf, ∂root/∂leaf is 1. Which list adds up to 1 and multiplies "
            "no slopes?",
        ),
        Slip(
            "edges counted, slopes left out",
            wrong=lambda root, leaf: walk(root, leaf, join=lambda a, b: b),
            said="with every slope replaced by 1",
            hint="You found every path. What stands on the edges of a path?",
        ),
    ),
    hints=(
        "If you had the list for each input of root, how would you make the list of root?",
        "Each edge of root starts as many paths as its input has to the leaf; all of them are "
        "scaled by the slope of that edge.",
        "The recursion ends in two ways: at the leaf itself, with one empty product, and at any "
        "other node without inputs, with no path at all.",
    ),
    section="Every path, one product",
)

# ---------------------------------------------------------------- a derivative nobody derived


def bowls(rng: np.random.Generator) -> list[tuple]:
    """Curved functions of a 2×3 array, with a wide step and a narrow one."""
    weights = rng.uniform(0.6, 1.4, (2, 3)) * np.array([[1, -2, 3], [-1.5, 2.5, 0.7]])
    mixed = rng.uniform(0.3, 0.9, (3, 2))

    def bowl(x):
        return float((weights * x**2).sum() + (x @ mixed).prod())

    def wave(x):
        return float((weights.T * np.tanh(x)).sum() ** 2)

    x = np.array([[0.4, -0.9, 1.3], [-0.6, 0.8, 1.1]]) + rng.uniform(-0.1, 0.1, (2, 3))
    return [(bowl, x, 0.1), (wave, x.T.copy() / 2, 0.3), (bowl, x + 0.1, 1e-4)]


def central(f, x, eps, ahead=1.0, behind=1.0, width=2.0):
    """Central differences, entry by entry, for these arguments; others make a slip."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        there, back = x.copy(), x.copy()
        there[index] += ahead * eps
        back[index] -= behind * eps
        gradient[index] = (f(there) - f(back)) / (width * eps)
    return gradient


def all_at_once(f, x, eps):  # noqa: D103
    return np.full(x.shape, (f(x + eps) - f(x - eps)) / (2 * eps))


def never_put_back(f, x, eps):  # noqa: D103
    moved, gradient = x.copy(), np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        moved[index] += eps
        above = f(moved)
        moved[index] -= 2 * eps
        gradient[index] = (above - f(moved)) / (2 * eps)
    return gradient


numgrad = Exercise(
    name="e02.numgrad",
    task="Differentiate a function you can only call, one entry at a time.",
    probe=bowls,
    probe_rules="a case is a function, a point and a step",
    reference=central,
    outputs=("∂f/∂x",),
    axes={"∂f/∂x": ("row", "column")},
    slips=(
        Slip(
            "forward difference",
            wrong=lambda f, x, eps: central(f, x, eps, behind=0.0, width=1.0),
            said="by forward differences, whose error shrinks with ε and not with ε²",
            hint="You compare f(x + ε) with f(x). Where between the two points is that slope the "
            "right one: at x, or halfway to x + ε?",
        ),
        Slip(
            "backward difference",
            wrong=lambda f, x, eps: central(f, x, eps, ahead=0.0, width=1.0),
            said="by backward differences",
            hint="You compare f(x) with f(x − ε). Which second point would put x in the middle?",
        ),
        Slip(
            "divided by ε in place of 2ε",
            wrong=lambda f, x, eps: central(f, x, eps, width=1.0),
            said="times 2",
            hint="How far apart are x − ε and x + ε?",
        ),
        Slip(
            "a forward difference over 2ε",
            wrong=lambda f, x, eps: central(f, x, eps, behind=0.0),
            said="when f(x + ε) − f(x) is divided by 2ε",
            hint="From x to x + ε the run is one ε. Which two points are 2ε apart?",
        ),
        Slip(
            "all entries moved at once",
            wrong=all_at_once,
            said="when all entries are moved together",
            hint="x + ε moves every entry. Whose doing is the change of f you then see?",
        ),
        Slip(
            "an entry not put back",
            wrong=never_put_back,
            said="with the entries before still moved",
            hint="When you come to the second entry, where does the first one stand?",
        ),
        Slip(
            "a step of its own",
            wrong=lambda f, x, eps: central(f, x, 1e-6),
            said="when ε is 10⁻⁶ whatever was asked for",
            hint="How far do you move an entry, and how far were you asked to?",
        ),
        Slip(
            "not divided",
            wrong=lambda f, x, eps: central(f, x, eps, width=2.0) * 2 * eps,
            said="when nothing is divided by 2ε",
            hint="That is how much f changed. How much x did it take?",
        ),
    ),
    hints=(
        "How would you get ∂f/∂x for one single entry, from two calls of f?",
        "np.ndindex(x.shape) walks through every index, whatever the shape. Work on a copy, so x "
        "and the other entries stay where they were.",
        "Rise over run: f a little above, minus f a little below, over the distance between them.",
    ),
    section="A derivative nobody derived",
)
