"""A small reader of LaTeX formulas: it sees a string and the numbers of its symbols, nothing else.

It reads as people do: · and ⊙ multiply entry by entry, signs side by side multiply as matrices, and
the transpose of a row vector is a column. [a = b] is 1 where that holds and 0 elsewhere, and sg(a)
the numbers of a, whose derivative is taken to be 0. A function that is written out neither here nor
in a textbook, such as a card of one's own, is the one of that name in the table of ops.
"""

import re

import numpy as np

from microrecur.engine import ops

TOKEN = re.compile(r"\d+(?:\.\d*)?|\\[A-Za-z]+|\\.|.", re.DOTALL)
STARTS_ATOM = re.compile(r"\d+|\\frac|\\mathrm|\\left|\\sqrt|\\max|\\min|\\operatorname|[(\[eI]")
# A number, a slice, …, new, a truth value or a list of such, with nothing else up to the comma.
PLAIN_INDEX = re.compile(r"(-?\d*(:-?\d*)*|\\ldots|\\mathrm\{(new|T|F)\})\s*[,\]]|\[")

FUNCTIONS = {
    r"\sigma": lambda x: 1 / (1 + np.exp(-x)),
    r"\tanh": np.tanh,
    r"\sin": np.sin,
    r"\cos": np.cos,
    r"\log": np.log,
}
OPERATORS = {
    "sign": np.sign,
    "relu": lambda x: np.maximum(x, 0),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "where": np.where,
    "sg": lambda x: x,
    "sech": lambda x: 1 / np.cosh(x),
    "diag": lambda x: np.diag(np.ravel(x)) if np.ndim(x) else np.asarray(x),
}
RELATIONS = {
    "<": np.less,
    r"\leq": np.less_equal,
    ">": np.greater,
    r"\geq": np.greater_equal,
    "=": np.equal,
}


def function(name, known):
    """What a function is called by this name: known to readers, or on a card of the table."""
    if name in known:
        return known[name]
    card = ops.TABLE.get(name.removeprefix("\\"))
    assert card is not None, f"no reader knows {name}: write it in latex_parser, or on a card"
    return card.forward


def is_function(token):
    r"""Whether a sign such as \tanh stands for a function."""
    if token == r"\sum":  # it ends a product
        return False
    return token in FUNCTIONS or (token[:1] == "\\" and token[1:] in ops.TABLE)


def evaluate(text, names, size=None):
    """The numbers of an expression; `size` is that of the identity I."""
    parser = Parser(text, names, size)
    value = parser.sum()
    parser.expect_end()
    return value


def solve(text, names, size=None):
    """Read equations from top to bottom: (left side, numbers of each further side) of each.

    Later equations may use the left sides of earlier ones.
    """
    names, found = dict(names), []
    for line in lines_of(text):
        left, *rights = sides_of(line)
        values = [evaluate(right, names, size) for right in rights]
        bare = re.sub(r"\\left\. | \\right\|_\{.*\}$", "", left)
        names[bare] = values[0]
        found.append((left, *values))
    return found


def lines_of(text):
    inner = re.fullmatch(r"\\begin\{aligned\}\n(.*)\n\\end\{aligned\}", text, re.DOTALL)
    if inner is None:
        return [text]
    return [line.replace(" &= ", " = ", 1) for line in inner[1].split(" \\\\\n")]


def sides_of(line):
    """Split at the = signs that stand outside all parentheses."""
    depth, sides, last = 0, [], 0
    for token in re.finditer(r"[(\[{]|[)\]}]| = ", line):
        depth += (token[0] in "([{") - (token[0] in ")]}")
        if token[0] == " = " and depth == 0:
            sides.append(line[last : token.start()])
            last = token.end()
    return [*sides, line[last:]]


class Parser:
    def __init__(self, text, names, size):
        self.text, self.names, self.size, self.at = text, names, size, 0
        self.symbols = sorted(names, key=len, reverse=True)
        self.related = False  # whether what was read last is a relation

    # -- tokens ------------------------------------------------------------------------------------

    def skip(self):
        while self.text.startswith(" ", self.at):
            self.at += 1

    def symbol(self):
        """The known symbol that stands here, if one does: the longest."""
        self.skip()
        for name in self.symbols:
            if self.text.startswith(name, self.at):
                after = self.text[self.at + len(name) : self.at + len(name) + 1]
                if name[-1].isalpha() and after.isalpha() and "\\" in name:
                    continue  # \alphabet is no \alpha
                return name
        return None

    def peek(self):
        self.skip()
        found = TOKEN.match(self.text, self.at)
        return found[0] if found else ""

    def take(self, *wanted):
        token = self.peek()
        rest = self.text[self.at : self.at + 30]
        assert not wanted or token in wanted, f"{wanted} should stand here: {rest!r}"
        self.at += len(token)
        return token

    def expect_end(self):
        assert self.peek() == "", f"left over: {self.text[self.at :]!r}"

    def raw_group(self):
        """What stands in braces, or the one sign that stands without."""
        if self.peek() != "{":
            return self.take()
        start, depth = self.at + 1, 0
        for k in range(self.at, len(self.text)):
            depth += (self.text[k] == "{") - (self.text[k] == "}")
            if depth == 0:
                self.at = k + 1
                return self.text[start:k]
        raise AssertionError("a brace is not closed")

    # -- grammar, loosest first --------------------------------------------------------------------

    def relation(self):
        left = self.sum()
        self.related = self.peek() in RELATIONS
        if self.related:
            holds = RELATIONS[self.take()](left, self.sum()).astype(float)
            self.related = True  # whatever stood on its right side
            return holds
        return left

    def sum(self):
        value = -self.prefixed() if self.peek() == "-" and self.take() else self.prefixed()
        while self.peek() in ("+", "-"):
            value = value + self.prefixed() if self.take() == "+" else value - self.prefixed()
        return value

    def prefixed(self):
        if self.symbol() is None and self.peek() == r"\sum":
            self.take()
            axes = self.axes()
            inner = self.product()
            return np.sum(inner, **axes)
        return self.product()

    def product(self):
        value = self.beside()
        while self.peek() in (r"\odot", r"\cdot"):
            self.take()
            value = value * self.beside()
        return value

    def beside(self):
        value = self.scripted()
        while self.symbol() or STARTS_ATOM.match(self.peek()) or is_function(self.peek()):
            value = matrix_product(value, self.scripted())
        return value

    def scripted(self):
        value = self.atom()
        while self.text[self.at : self.at + 1] in ("^", "["):
            if self.take() == "[":
                value = np.asarray(value)[self.index("]")]
                continue
            exponent = self.raw_group()
            if exponent.startswith(r"\top"):
                value = turned(value, exponent.removeprefix(r"\top"))
            else:
                value = np.power(value, evaluate(exponent, self.names))
        return value

    def atom(self):
        name = self.symbol()
        if name is not None:
            self.at += len(name)
            return np.asarray(self.names[name])
        token = self.take()
        if token[0].isdigit():
            return np.asarray(float(token))
        if token == "(":
            return self.closed(")")
        if token == "[":
            parts = self.listed("]")
            if self.related:  # Iverson's bracket
                (holds,) = parts
                return holds
            return np.concatenate(parts, axis=self.axis_below(-1))
        return self.command(token)

    def command(self, token):
        if token == r"\left":
            bar = self.take("(", "|")
            inner = self.relation()
            self.take(r"\right")
            self.take(")" if bar == "(" else "|")
            return inner if bar == "(" else np.abs(inner)
        if token == r"\frac":
            return self.braced() / self.braced()
        if token == r"\sqrt":
            return np.sqrt(self.braced())
        if token == "e":
            self.take("^")
            return np.exp(evaluate(self.raw_group(), self.names))
        if token == "I":
            return np.eye(self.size)
        if token == r"\infty":
            return np.asarray(np.inf)
        if token in (r"\max", r"\min"):
            return self.extreme(token)
        if token == r"\operatorname":
            return self.operator(self.raw_group())
        self.take("(")
        return function(token, FUNCTIONS)(self.closed(")"))

    def extreme(self, token):
        axes = self.axes()
        self.take("(")
        parts = self.listed(")")
        if len(parts) == 2:
            return (np.maximum if token == r"\max" else np.minimum)(*parts)
        return np.max(*parts, **axes)

    def operator(self, name):
        below = above = ""
        if self.peek() == "_":
            self.take()
            below = self.raw_group()
        if self.peek() == "^":
            self.take()
            above = self.raw_group()
        self.take("(")
        parts = self.listed(")")
        if name in ("reshape", "broadcast"):
            shape = tuple(int(n) for n in below.rstrip(",").split(r" \times ") if n)
            return (np.reshape if name == "reshape" else np.broadcast_to)(*parts, shape)
        if name == "clip":
            lo, hi = (evaluate(end, {}) for end in below.strip("[]").split(", "))
            return np.clip(*parts, lo, hi)
        if name == "stack":
            return np.stack(parts, axis=int(below or -1))
        if name == "scatter":
            out = np.zeros(tuple(int(n) for n in below.rstrip(",").split(r" \times ") if n))
            np.add.at(out, Parser(above + "]", self.names, None).index("]"), *parts)
            return out
        value = function(name, OPERATORS)(*parts)
        return value ** int(above) if above else value

    # -- parts -------------------------------------------------------------------------------------

    def braced(self):
        self.take("{")
        return self.closed("}")

    def closed(self, end):
        value = self.relation()
        self.take(end)
        return value

    def listed(self, end):
        parts = [self.relation()]
        while self.take(",", end) == ",":
            parts.append(self.relation())
        return parts

    def axis_below(self, default):
        if self.text[self.at : self.at + 1] != "_":
            return default
        self.take("_")
        return int(self.raw_group())

    def axes(self):
        """The axes below Σ or max: a bar says that they stay."""
        if self.text[self.at : self.at + 1] != "_":
            return {"axis": None}
        self.take("_")
        below = self.raw_group()
        kept = re.fullmatch(r"\\overline\{(.*)\}", below)
        axes = tuple(int(a) for a in (kept[1] if kept else below).split(", "))
        return {"axis": axes, "keepdims": bool(kept)}

    def index(self, end):
        """An index in brackets."""
        parts, part = [], ""
        while True:
            if part == "" and not PLAIN_INDEX.match(self.text[self.at :].lstrip()):
                parts.append(self.sum().astype(int))  # places that are computed
                if self.take(",", end) == end:
                    return tuple(parts)
                continue
            token = self.take()
            if token in (",", end):
                parts.append(as_index(part))
                part = ""
                if token == end:
                    return tuple(parts)
            elif token == "[":
                part = list(self.index("]"))
            elif token == r"\mathrm":
                part = self.raw_group()
            else:
                part += token


def as_index(part):
    if isinstance(part, list):
        return part
    words = {r"\ldots": Ellipsis, "new": None, "T": True, "F": False}
    if part in words:
        return words[part]
    if ":" in part:
        return slice(*[int(n) if n else None for n in part.split(":")])
    return int(part)


def turned(value, axes):
    if axes:
        return np.transpose(value, [int(a) for a in axes.split(", ")])
    return value[:, None] if value.ndim == 1 else value.T


def matrix_product(a, b):
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return a * b
    if np.ndim(a) == 2 and a.shape[1] == 1 and np.ndim(b) == 1 and len(b) != 1:
        return a * b  # a column and a row
    return np.matmul(a, b)
