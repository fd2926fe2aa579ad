"""What is worked out step by step, made as small as it can be.

Of the families that depend on themselves through time only what truly recurs has to be computed
inside the loop. Whatever is linear there is written as Σ coefficient ⊙ recurring value + rest: the
coefficients and the rest do not recur and are computed for all steps at once.
"""

from __future__ import annotations

import math
from typing import Any

from microrecur.compiler.families import PRODUCTS, Column, Families, Family, is_same
from microrecur.compiler.forms import (
    Expression,
    Form,
    collected,
    is_multiple,
    key_of,
    scaled,
    sum_of,
)
from microrecur.compiler.program import BACKWARD, COMPUTED
from microrecur.compiler.recurrence import Recurrence
from microrecur.engine import ops


class Simplifier:
    """Rewrites the families of one recurrence."""

    def __init__(self, families: Families, recurrence: Recurrence, squashed: bool) -> None:
        self.families, self.recurrence = families, recurrence
        self.program = families.program
        self.inside = {n for f in recurrence.families for n in f.nodes}
        self.readers = families.readers()
        self.outputs = set(families.program.outputs)
        self.forms: dict[Family, Form] = {}
        self.made: dict[Any, Column] = {}
        self.squashed = squashed

    def run(self) -> None:
        """Rewrite what is linear, and σ as tanh where that is the same to rounding."""
        order = self.recurrence.families
        for family in order:
            self._between(family)
        for family in order:
            form = self._form(family)
            if form is not None:
                self.forms[family] = form
        inlined = {f for f in self.forms if self._is_inlined(f)}
        dtype = self.program.dtype
        sigmoids = [
            f
            for f in order
            if f.op is ops.sigmoid and self.squashed and dtype[f.columns[0][0]] == dtype[f.nodes[0]]
        ]
        for family in sigmoids:
            self._as_tanh(family, inlined)
        for family, form in self.forms.items():
            if family not in inlined:
                self._write(family, form)

    def _between(self, family: Family) -> None:
        """(1−z) ⊙ n + z ⊙ h is n + z ⊙ (h − n), which takes fewer steps."""
        if family.op is not ops.add:
            return
        products = [self.families.of.get(c[0]) for c in family.columns]
        shape, n = self.program.shape, family.nodes[0]
        for a, b in (products, products[::-1]):
            if a is None or b is None or a is b or a.op is not ops.mul or b.op is not ops.mul:
                return
            if any(
                f.nodes[0] not in self.inside or not self._is_private(f) or f.steps != family.steps
                for f in (a, b)
            ):
                return
            for j in (0, 1):
                one = self.families.of.get(a.columns[j][0])
                if one is None or one.op is not ops.sub or one.nodes != a.columns[j]:
                    continue
                number, z = one.columns
                if not self._is_one(number) or z not in b.columns:
                    continue
                first, second = a.columns[1 - j], b.columns[1 - b.columns.index(z)]
                if not self._is_bounded(first):
                    continue  # at z = 1 the digits of h would drown in those of n
                if any(shape[c[0]] != shape[n] for c in (first, second, z)):
                    continue
                apart = self.families.apply(ops.sub, [second, first], family)
                part = self.families.apply(ops.mul, [z, apart], family)
                self.families.rewrite(family, ops.add, [first, part])
                self.inside.update(apart, part)
                for made in (apart, part):
                    self.readers[self.families.of[made[0]]] = []
                return

    def _is_bounded(self, column: Column) -> bool:
        source = self.families.of.get(column[0])
        return source is not None and source.op in (ops.tanh, ops.sigmoid, ops.sin, ops.cos)

    def _is_one(self, column: Column) -> bool:
        data = self.program.data.get(column[0])
        return is_same(column) and data is not None and data.ndim == 0 and data == 1

    def _recurs(self, column: Column) -> bool:
        return any(a in self.inside for a in column)

    def _form(self, family: Family) -> Form | None:
        """What the family is of its operands; None where it is not linear."""
        op, columns = family.op, family.columns
        dtype = self.program.dtype
        if any(dtype[c[0]] != dtype[family.nodes[0]] for c in columns) or (
            dtype[family.nodes[0]].kind != "f"
        ):
            return None  # masks neither add nor change sign as numbers do
        if op is ops.add or op is ops.sub:
            a, b = (self._of_column(c, family) for c in columns)
            if a is None or b is None:
                return None
            if op is ops.sub:
                b = scaled(b, ("number", -1.0))
            return Form(a.terms + b.terms, a.rest + b.rest)
        if op is ops.neg:
            a = self._of_column(columns[0], family)
            return None if a is None else scaled(a, ("number", -1.0))
        if op is ops.mul:
            recurring = [self._recurs(c) for c in columns]
            if sum(recurring) != 1:
                return None
            k = recurring.index(True)
            a = self._of_column(columns[k], family)
            if a is None or not self._spreads(family, columns[1 - k], a):
                return None
            return scaled(a, ("column", columns[1 - k]))
        return None

    def _spreads(self, product: Family, factor: Column, form: Form) -> bool:
        """Whether factor ⊙ (a + b) may be written factor ⊙ a + factor ⊙ b.

        Where a + b cancels that loses the digits, and ∞ ⊙ 1 becomes ∞ − ∞. So values keep their
        sums together, but for powers of 2, which scale exactly; only cotangents are taken apart:
        what the steps pass back, and what the loss adds at each of them.
        """
        if len(form.terms) + len(form.rest) < 2:
            return True
        program = self.program
        if program.places[program.place[product.nodes[0]]][0][:1] == (BACKWARD,):
            return True
        number = program.data.get(factor[0])
        if number is None or number.size != 1 or not is_same(factor):
            return False
        return abs(math.frexp(float(number.reshape(())))[0]) == 0.5

    def _of_column(self, column: Column, family: Family) -> Form | None:
        if not self._recurs(column):
            return Form([], [("column", column)])
        a, n = column[0], family.nodes[0]
        program = self.program
        if program.shape[a] != program.shape[n] or program.dtype[a] != program.dtype[n]:
            return None  # a value that is repeated: its shape would be lost
        source = self.families.of.get(column[0])
        if source is not None and source in self.forms and source.nodes == column:
            form = self.forms[source]
            if self._is_inlined(source):
                return form
            if not form.rest and len(form.terms) == 1 and form.terms[0][1] is not None:
                # One product of a recurring value: what is made of it reads that value itself, so
                # that all of them can be worked out in one call.
                return form
        return Form([(column, None)], [])

    def _is_inlined(self, family: Family) -> bool:
        """Whether its one reader takes it in: linear in it, at the same steps."""
        readers = self.readers.get(family, [])
        if len(readers) != 1 or not self.outputs.isdisjoint(family.nodes):
            return False
        reader, k = readers[0]
        return (
            reader.columns[k] == family.nodes
            and reader.nodes[0] in self.inside
            and self.program.shape[reader.nodes[0]] == self.program.shape[family.nodes[0]]
            and self._takes(reader, k, self.forms.get(family))
        )

    def _takes(self, reader: Family, k: int, form: Form | None) -> bool:
        if reader.op is ops.mul:
            other = reader.columns[1 - k]
            return not self._recurs(other) and (form is None or self._spreads(reader, other, form))
        if reader.op in (ops.add, ops.sub):
            other = reader.columns[1 - k]
            shape = self.program.shape
            return not self._recurs(other) or shape[other[0]] == shape[reader.nodes[0]]
        return reader.op is ops.neg

    # -- writing a form as families again ----------------------------------------------------------

    def _as_tanh(self, family: Family, inlined: set[Family]) -> None:
        """σ(z) = ½ + ½ tanh(z/2), the half taken into the weights that z is made with."""
        (column,) = family.columns
        source = self.families.of.get(column[0])
        half: Expression = ("number", 0.5)
        dtype, length = self.program.dtype[family.nodes[0]], len(family.nodes)
        halves = self.families.number_constant(0.5, dtype, length)
        if (
            source in self.forms
            and source.nodes == column
            and [r for r, _ in self.readers[source]] == [family]
            and self.outputs.isdisjoint(column)
        ):
            form = scaled(self.forms[source], half)
            inlined.add(source)
            z = self._sum(form, family)
        else:
            z = self.families.apply(ops.mul, [column, halves], family)
        if source is not None and source.nodes == column:
            self._call(z, [self.program.names[n] for n in column])
        t = self.families.apply(ops.tanh, [z], family)
        u = self.families.apply(ops.mul, [t, halves], family)
        self.families.rewrite(family, ops.add, [u, halves])

    def _call(self, column: Column, names: list[str | None]) -> None:
        """Name what was made after what it stands for."""
        known = self.program.names
        for n, name in zip(column, names, strict=True):
            if known[n] is None and name is not None:
                known[n] = name

    def _write(self, family: Family, form: Form) -> None:
        merged = collected(form)
        if len(merged.terms) == 1 and not merged.rest:
            ((column, coefficient),) = merged.terms
            if coefficient is not None and coefficient != ("number", -1.0):
                c = self._realised(coefficient, family)
                self.families.rewrite(family, ops.mul, [column, c])
            return
        op, columns = self._last(merged, family)
        self.families.rewrite(family, op, columns)

    def _sum(self, form: Form, family: Family) -> Column:
        op, columns = self._last(collected(form), family)
        if op in (ops.matmul, PRODUCTS):
            return self._apply_product(op, columns, family)
        return self.families.apply(op, columns, family)

    def _last(self, form: Form, family: Family) -> tuple[Any, list[Column]]:
        """The computation that the form ends in, all before it made."""
        plus, minus = self._summands(form, family)
        while len(plus) > 2 or (len(plus) == 2 and minus):
            plus[:2] = [self.families.apply(ops.add, plus[:2], family)]
        while len(minus) > 1 or (minus and not plus):
            if not plus:
                plus = [self.families.apply(ops.neg, minus[:1], family)]
            else:
                plus = [self.families.apply(ops.sub, [plus[0], minus[0]], family)]
            minus = minus[1:]
        if minus:
            return ops.sub, [plus[0], minus[0]]
        if len(plus) == 2:
            return ops.add, plus
        only = self.families.of[plus[0][0]]
        return only.op, only.columns

    def _summands(self, form: Form, family: Family) -> tuple[list[Column], list[Column]]:
        """The columns that the form adds, and those that it takes away.

        Products with weights are joined; what does not recur comes last.
        """
        products: list[tuple[Column, Column]] = []
        plus: list[Column] = []
        minus: list[Column] = []
        for column, coefficient in form.terms:
            product = self._product(column, coefficient, family)
            if product is not None:
                products.append(product)
            elif coefficient is None:
                plus.append(column)
            elif coefficient == ("number", -1.0):
                minus.append(column)
            else:
                c = self._realised(coefficient, family)
                plus.append(self.families.apply(ops.mul, [column, c], family))
        if products:
            plus.insert(0, self._joined(products, family))
        if form.rest:
            total = self._total(form.rest, family)
            said = [self.program.names[n] for n in family.nodes]
            self._call(total, [s and "zx_" + s.removeprefix("z_") for s in said])
            plus.append(total)
        return plus, minus

    def _product(
        self, column: Column, coefficient: Expression | None, family: Family
    ) -> tuple[Column, Column] | None:
        """(x, weight) where the term is x @ weight and nobody else reads it."""
        source = self.families.of.get(column[0])
        if source is None or source.op is not ops.matmul or source.nodes != column:
            return None
        x, w = source.columns
        shape = self.program.shape
        if not is_same(w) or len(shape[w[0]]) != 2 or len(shape[x[0]]) not in (1, 2):
            return None
        if self.program.dtype[w[0]] != self.program.dtype[x[0]]:
            return None
        if len(self.readers[source]) != 1 or not self.outputs.isdisjoint(column):
            return None
        if coefficient is None:
            return x, w
        if coefficient[0] != "number":
            return None
        return x, self._realised(("mul", ("column", w), coefficient), source)

    def _joined(self, products: list[tuple[Column, Column]], family: Family) -> Column:
        if len(products) == 1:
            x, w = products[0]
            return self._apply_product(ops.matmul, [x, w], family)
        return self._apply_product(
            PRODUCTS, [x for x, _ in products] + [w for _, w in products], family
        )

    def _apply_product(self, op: Any, columns: list[Column], like: Family) -> Column:
        program = self.program
        x, w = columns[0][0], columns[-1][0]
        shape = (*program.shape[x][:-1], program.shape[w][1])
        place = program.place[like.nodes[0]]
        nodes = [
            program.add(COMPUTED, op, args, {}, shape, program.dtype[x], t, place)
            for args, t in zip(zip(*columns, strict=True), like.steps, strict=True)
        ]
        self.families.found(nodes, list(like.steps))
        return nodes

    def _total(self, rest: list[Expression], family: Family) -> Column:
        """The sum of what does not recur: what is the same at every step first."""
        rest = [part for whole in rest for part in self._parts(whole)]
        fixed = [part for part in rest if self._is_fixed(part)]
        parts = [part for part in rest if not self._is_fixed(part)]
        numbers = {part[2] if is_multiple(part) else None for part in fixed}
        if fixed and len(numbers) == 1 and (number := numbers.pop()) is not None:
            parts.append(("mul", sum_of([part[1] for part in fixed]), number))
        elif fixed:
            parts.append(sum_of(fixed))
        return self._realised(sum_of(parts), family)

    def _parts(self, part: Expression) -> list[Expression]:
        """The summands of a sum that only this recurrence reads; the part itself where it is none.

        A number times a sum is the sum of the number times each.
        """
        if part[0] == "mul" and part[2][0] == "number":
            return [("mul", p, part[2]) for p in self._parts(part[1])]
        if part[0] != "column":
            return [part]
        source = self.families.of.get(part[1][0])
        if source is None or source.op is not ops.add or source.nodes != part[1]:
            return [part]
        if not self._is_private(source):
            return [part]
        return [p for c in source.columns for p in self._parts(("column", c))]

    def _is_fixed(self, part: Expression) -> bool:
        if part[0] == "column":
            return is_same(part[1])
        return part[0] == "number" or all(self._is_fixed(p) for p in part[1:])

    def _realised(self, part: Expression, like: Family) -> Column:
        """The expression as a column, computed outside of the loop."""
        if part[0] == "column":
            return part[1]
        key = (key_of(part), like.steps[0], len(like.steps))
        found = self.made.get(key)
        if found is None:
            found = self.made[key] = self._realise(part, like)
        return found

    def _realise(self, part: Expression, like: Family) -> Column:
        program, families = self.program, self.families
        length = len(like.nodes)
        if part[0] == "number":
            return families.number_constant(part[1], program.dtype[like.nodes[0]], length)
        if part[0] == "neg":
            return families.apply(ops.neg, [self._realised(part[1], like)], like)
        a, b = part[1:]
        if part[0] == "mul" and b[0] == "number":
            pushed = self._pushed(a, b, like)
            if pushed is not None:
                return pushed
        columns = [self._realised(a, like), self._realised(b, like)]
        return families.apply(getattr(ops, part[0]), columns, like)

    def _pushed(self, a: Expression, number: Expression, like: Family) -> Column | None:
        """A number times x @ W, as x @ (number·W); None where a is something else."""
        if a[0] != "column":
            return None
        source = self.families.of.get(a[1][0])
        if source is None:
            return None
        if source.op is not ops.matmul or source.nodes != a[1] or not self._is_private(source):
            return None
        x, w = source.columns
        if not is_same(w) or len(self.program.shape[w[0]]) != 2:
            return None
        scaled_w = self._realised(("mul", ("column", w), number), like)
        return self._apply_product(ops.matmul, [x, scaled_w], source)

    def _is_private(self, family: Family) -> bool:
        return len(self.readers[family]) == 1 and self.outputs.isdisjoint(family.nodes)
