"""backward, grad, vjp, jvp, jacobian, hessian beside torch and closed forms."""

import numpy as np
import pytest
from hypothesis import given

import microrecur as mr

from .strategies import (
    ancestry,
    central_difference,
    examples,
    leaves,
    pulled_back,
    sample,
    samples,
    seeds,
)

X = sample((3,), seed=1)
W = sample((3, 3), seed=2)


def program(lib, x, w):
    """A small program in the words both libraries share: a step of a gated cell, twice."""
    h = lib.tanh(w @ x)
    f = lib.sigmoid(w @ h + x)
    return f * h + (1 - f) * lib.exp(-(x**2))


def both(torch, f=program):
    """The same program, recorded here and in torch: (result, inputs) of each."""
    xs = leaves(X, W)
    ts = [torch.tensor(a, requires_grad=True) for a in (X, W)]
    return (f(mr, *xs), xs), (f(torch, *ts), ts)


def close(ours, theirs, rtol=1e-10):
    theirs = theirs.detach().numpy() if hasattr(theirs, "detach") else theirs
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=1e-13)


class TestBackward:
    def test_accumulates_on_leaves_as_torch(self, torch):
        (y, xs), (t, ts) = both(torch)
        for _ in range(3):
            y.sum().backward()
            t.sum().backward(retain_graph=True)
            for x, s in zip(xs, ts, strict=True):
                close(x.grad, s.grad)

    def test_accumulates_over_different_graphs(self):
        (x,) = leaves(X)
        (x * x).sum().backward()
        (3.0 * x).sum().backward()
        np.testing.assert_allclose(x.grad, 2 * X + 3, rtol=1e-15)

    def test_a_second_call_leaves_named_intermediates_uncorrupted(self):
        (x,) = leaves(X)
        h = mr.tanh(x).named("h")
        y = (h * h + x).sum()
        for calls in (1, 2, 3):
            y.backward()
            np.testing.assert_allclose(h.grad, 2 * np.tanh(X), rtol=1e-15)
            expected = 2 * np.tanh(X) / np.cosh(X) ** 2 + 1
            np.testing.assert_allclose(x.grad, calls * expected, rtol=1e-12)

    def test_an_intermediate_holds_its_total_gradient(self):
        """c feeds two readers: its .grad is the sum of both, not one step's view."""
        (x,) = leaves(X)
        c = (x * 2.0).named("c")
        (c * c + mr.exp(c)).sum().backward()
        np.testing.assert_allclose(c.grad, 4 * X + np.exp(2 * X), rtol=1e-14)

    def test_only_what_requires_a_gradient_receives_one(self):
        (x,) = leaves(X)
        k = mr.tensor(X, name="k")
        (x * k).sum().backward()
        np.testing.assert_array_equal(x.grad, X)
        assert k.grad is None

    def test_a_leaf_that_is_not_reached_keeps_its_gradient(self):
        x, other = leaves(X, X)
        x.sum().backward()
        assert other.grad is None

    def test_of_several_numbers_needs_a_gradient_and_says_so(self):
        (x,) = leaves(X)
        with pytest.raises((ValueError, RuntimeError), match=r"(?s)\(3,\).*(gradient|sum)"):
            (x * x).backward()
        assert x.grad is None

    def test_with_a_gradient(self, torch):
        (y, xs), (t, ts) = both(torch)
        y.backward(np.arange(3.0))
        t.backward(torch.arange(3.0, dtype=torch.float64))
        for x, s in zip(xs, ts, strict=True):
            close(x.grad, s.grad)

    def test_a_gradient_of_another_shape_is_refused_with_both_shapes(self):
        (x,) = leaves(X)
        with pytest.raises(ValueError, match=r"(?s)\(2,\).*\(3,\)|\(3,\).*\(2,\)"):
            (x * x).backward(np.ones(2))

    def test_of_one_number_in_an_array_needs_none(self):
        (x,) = leaves(X[:1])
        (x * x).backward()
        np.testing.assert_allclose(x.grad, 2 * X[:1])

    def test_of_a_leaf_itself(self):
        (x,) = leaves(np.array(2.0))
        x.backward()
        assert x.grad == 1.0

    def test_a_graph_that_requires_no_gradient_says_so(self):
        with pytest.raises((ValueError, RuntimeError), match="requires_grad"):
            mr.tensor(X).sum().backward()

    def test_the_gradient_belongs_to_the_leaf_alone(self):
        """No leaf's .grad may share memory with another's, or with the seed."""
        x, y = leaves(X, X)
        seed = np.ones(3)
        (x + y).backward(seed)
        x.grad += 5.0
        np.testing.assert_array_equal(y.grad, np.ones(3))
        np.testing.assert_array_equal(seed, np.ones(3))

    def test_does_not_write_into_a_gradient_someone_else_holds(self):
        (x,) = leaves(X)
        x.sum().backward()
        held = x.grad.copy()
        first = x.grad
        x.sum().backward()
        np.testing.assert_array_equal(x.grad, 2 * held)
        assert first.shape == held.shape

    def test_works_on_diamonds_of_exponentially_many_paths(self):
        (x,) = leaves(np.array(1.0))
        y = x
        for _ in range(60):
            y = y + y
        y.backward()
        assert x.grad == 2.0**60


class TestGrad:
    def test_one_tensor_in_one_tensor_out(self):
        (x,) = leaves(X)
        g = mr.grad((x**3).sum(), x)
        assert isinstance(g, mr.Tensor)
        np.testing.assert_allclose(g.data, 3 * X**2, rtol=1e-14)

    def test_a_list_in_a_list_out(self):
        x, w = leaves(X, W)
        gx, gw = mr.grad((w @ x).sum(), [x, w])
        np.testing.assert_allclose(gx.data, W.sum(0), rtol=1e-14)
        np.testing.assert_allclose(gw.data, np.broadcast_to(X, (3, 3)), rtol=1e-14)

    def test_leaves_dot_grad_alone(self):
        (x,) = leaves(X)
        mr.grad((x * x).sum(), x)
        assert x.grad is None

    def test_to_third_order_beside_torch(self, torch):
        (y, (x, w)), (t, (s, v)) = both(torch)
        for order in range(3):
            weights = sample((3,), seed=order)
            y, t = (y * weights).sum(), (t * torch.tensor(weights)).sum()
            gw, (gv,) = mr.grad(y, w), torch.autograd.grad(t, v, create_graph=True)
            close(gw.data, gv)
            y, (t,) = mr.grad(y, x), torch.autograd.grad(t, s, create_graph=True)
            close(y.data, t)

    def test_of_sine_to_sixth_order(self):
        y = x = mr.tensor(0.7, requires_grad=True)
        y = mr.sin(x)
        for expected in (np.cos, lambda a: -np.sin(a), lambda a: -np.cos(a), np.sin, np.cos):
            y = mr.grad(y, x)
            assert y.item() == pytest.approx(expected(0.7), rel=1e-13)

    def test_by_an_intermediate(self):
        (x,) = leaves(X)
        h = mr.tanh(x)
        y = (h**2 * x).sum()
        np.testing.assert_allclose(mr.grad(y, h).data, 2 * np.tanh(X) * X, rtol=1e-14)

    def test_by_itself_is_the_seed(self):
        (x,) = leaves(X)
        y = x * 2.0
        np.testing.assert_array_equal(mr.grad(y, y, seed=X).data, X)

    def test_by_an_intermediate_and_what_it_came_from(self):
        (x,) = leaves(X)
        h = 3.0 * x
        gh, gx = mr.grad((h * h).sum(), [h, x])
        np.testing.assert_allclose(gh.data, 6 * X, rtol=1e-14)
        np.testing.assert_allclose(gx.data, 18 * X, rtol=1e-14)

    def test_by_what_it_does_not_depend_on_is_zero(self):
        x, other = leaves(X, W)
        gx, g = mr.grad((x * x).sum(), [x, other])
        np.testing.assert_array_equal(g.data, np.zeros((3, 3)))
        np.testing.assert_allclose(gx.data, 2 * X)

    def test_by_a_tensor_that_requires_no_gradient(self):
        x = mr.tensor(X)
        np.testing.assert_allclose(mr.grad((x * x).sum(), x).data, 2 * X)

    def test_a_seed_may_be_a_tensor_and_is_differentiated(self):
        x, v = leaves(X, X + 1)
        g = mr.grad(mr.exp(x), x, seed=v)
        np.testing.assert_allclose(g.data, np.exp(X) * (X + 1), rtol=1e-14)
        np.testing.assert_allclose(mr.grad(g.sum(), v).data, np.exp(X), rtol=1e-14)

    def test_of_several_numbers_needs_a_seed_and_says_so(self):
        (x,) = leaves(X)
        with pytest.raises((ValueError, RuntimeError), match=r"(?s)\(3,\).*(seed|sum)"):
            mr.grad(x * x, x)

    def test_backward_through_a_gradient_penalty(self):
        (x,) = leaves(X)
        penalty = (mr.grad((x**3).sum(), x) ** 2).sum()
        penalty.backward()
        np.testing.assert_allclose(x.grad, 36 * X**3, rtol=1e-12)

    def test_under_no_grad_it_is_a_plain_value(self):
        (x,) = leaves(X)
        y = (x * x).sum()
        with mr.no_grad():
            g = mr.grad(y, x)
        np.testing.assert_allclose(g.data, 2 * X)
        assert g.op is None

    def test_its_nodes_are_filed_under_the_scope_of_the_forward_node(self):
        (x,) = leaves(X)
        with mr.scope("t=3", "forget gate"):
            f = mr.sigmoid(x)
        y = (f * f).sum()
        last = y.serial
        g = mr.grad(y, x)
        new = [t for t in ancestry(g) if t.serial > last and t.op is not None]
        assert new
        assert all(t.scope and t.scope[0].startswith("∂") for t in new)
        inside = ["/".join(t.scope) for t in new if "forget gate" in "/".join(t.scope)]
        assert any(where.startswith("∂") and "t=3" in where for where in inside)

    def test_does_not_rename_or_refile_the_forward_graph(self):
        (x,) = leaves(X)
        with mr.scope("t=1"):
            h = mr.tanh(x).named("h")
        mr.grad(h.sum(), x)
        assert (h.name, h.scope) == ("h", ("t=1",))
        assert mr.tensor(1.0).scope == ()


class TestProducts:
    def test_vjp_beside_torch(self, torch):
        (y, xs), (t, ts) = both(torch)
        seed = sample((3,), seed=9)
        ours = mr.vjp(y, xs, seed)
        theirs = torch.autograd.grad(t, ts, torch.tensor(seed))
        for a, b in zip(ours, theirs, strict=True):
            assert isinstance(a, np.ndarray)
            close(a, b)
        assert all(x.grad is None for x in xs)

    def test_jvp_beside_torch(self, torch):
        (y, xs), _ = both(torch)
        tangents = [sample((3,), seed=5), sample((3, 3), seed=6)]
        _, expected = torch.autograd.functional.jvp(
            lambda *ts: program(torch, *ts),
            tuple(torch.tensor(a) for a in (X, W)),
            tuple(torch.tensor(v) for v in tangents),
        )
        got = mr.jvp(y, xs, tangents)
        assert isinstance(got, np.ndarray)
        close(got, expected)

    def test_of_one_tensor_outside_a_list(self):
        """A tensor is a sequence of its rows: taken for one, it would silently give zeros."""
        (x,) = leaves(X)
        np.testing.assert_allclose(mr.jvp(x**3, x, X), 3 * X**3, rtol=1e-14)
        np.testing.assert_allclose(mr.vjp(x**3, x, X), 3 * X**3, rtol=1e-14)

    def test_jvp_where_nothing_depends_is_zero(self):
        x, other = leaves(X, X)
        np.testing.assert_array_equal(mr.jvp(x * 2.0, [other], [X]), np.zeros(3))

    def test_vjp_where_nothing_depends_is_zero(self):
        x, other = leaves(X, W)
        (g,) = mr.vjp(x * 2.0, [other], X)
        np.testing.assert_array_equal(g, np.zeros((3, 3)))

    @examples(25)
    @given(seeds)
    def test_jvp_and_vjp_are_adjoint(self, seed):
        x, w, u, v, m = samples([(3,), (3, 3), (3,), (3,), (3, 3)], seed)
        xs = leaves(x, w)
        y = program(mr, *xs)
        gx, gw = mr.vjp(y, xs, u)
        forward = np.vdot(u, mr.jvp(y, xs, [v, m]))
        np.testing.assert_allclose(forward, np.vdot(gx, v) + np.vdot(gw, m), rtol=1e-11, atol=1e-13)

    @examples(10)
    @given(seeds)
    def test_vjp_beside_central_differences(self, seed):
        arrays = samples([(3,), (3, 3)], seed)
        u = sample((3,), seed=(seed, 7))
        xs = leaves(*arrays)
        got = mr.vjp(program(mr, *xs), xs, u)
        for k, g in enumerate(got):
            numeric = central_difference(lambda *a: program(np_like, *a), arrays, k)
            np.testing.assert_allclose(g, pulled_back(numeric, u), rtol=1e-6, atol=1e-8)

    @pytest.mark.parametrize("ask", [mr.vjp, lambda y, xs, v: mr.jvp(y, xs, v)])
    def test_a_wrong_shape_is_refused(self, ask):
        (x,) = leaves(X)
        with pytest.raises(ValueError, match=r"\(2,\)"):
            ask(x * x, [x], [np.ones(2)] if ask is not mr.vjp else np.ones(2))


class np_like:
    """The words of `program`, in numpy alone."""

    tanh, exp = np.tanh, np.exp

    @staticmethod
    def sigmoid(z):
        return 1 / (1 + np.exp(-z))


class TestMatrices:
    def test_jacobian_beside_torch(self, torch):
        (y, xs), _ = both(torch)
        theirs = torch.autograd.functional.jacobian(
            lambda *ts: program(torch, *ts), tuple(torch.tensor(a) for a in (X, W))
        )
        for x, expected in zip(xs, theirs, strict=True):
            got = mr.jacobian(y, x)
            assert got.shape == y.shape + x.shape
            close(got, expected)

    def test_jacobian_has_the_output_along_rows(self):
        """A linear map's Jacobian is its matrix, not the transpose."""
        (x,) = leaves(X)
        np.testing.assert_allclose(mr.jacobian(mr.tensor(W[:2]) @ x, x), W[:2], rtol=1e-14)

    def test_jacobian_of_a_number_is_the_gradient(self):
        (x,) = leaves(X)
        np.testing.assert_allclose(mr.jacobian((x * x).sum(), x), 2 * X, rtol=1e-14)

    def test_jacobian_of_an_independent_result_is_zero(self):
        x, other = leaves(X, W)
        np.testing.assert_array_equal(mr.jacobian(x * 2.0, other), np.zeros((3, 3, 3)))

    def test_jacobian_of_a_plain_step_is_the_slopes_times_the_weights(self):
        """h = tanh(x Wᵀ): ∂h/∂x = diag(tanh′) W."""
        (x,) = leaves(X)
        h = mr.tanh(x @ mr.tensor(W).T)
        expected = (1 - np.tanh(W @ X) ** 2)[:, None] * W
        np.testing.assert_allclose(mr.jacobian(h, x), expected, rtol=1e-12)

    def test_hessian_beside_torch(self, torch):
        (y, (x, w)), _ = both(torch, lambda lib, x, w: program(lib, x, w).sum())
        for ours, k in ((x, 0), (w, 1)):
            arrays = [torch.tensor(X), torch.tensor(W)]

            def f(t, k=k, arrays=arrays):
                arrays[k] = t
                return program(torch, *arrays).sum()

            got = mr.hessian(y, ours)
            assert got.shape == ours.shape * 2
            close(got, torch.autograd.functional.hessian(f, torch.tensor((X, W)[k])))

    def test_hessian_of_a_quadratic(self):
        (x,) = leaves(X)
        A = W + W.T
        np.testing.assert_allclose(mr.hessian(x @ mr.tensor(A) @ x / 2, x), A, rtol=1e-13)

    def test_hessian_of_a_linear_form_is_zero(self):
        (x,) = leaves(X)
        np.testing.assert_array_equal(mr.hessian(x.sum(), x), np.zeros((3, 3)))

    def test_hessian_of_several_numbers_is_refused(self):
        (x,) = leaves(X)
        with pytest.raises((ValueError, RuntimeError), match=r"\(3,\)"):
            mr.hessian(x * x, x)


class TestDepth:
    """100,000 chained ops: no traversal may recurse, neither to build, walk nor free."""

    length = 100_000

    def chain(self):
        x = y = mr.tensor(1.0, requires_grad=True)
        for _ in range(self.length // 2):
            y = y * 0.5 + 0.5
        return x, y

    def test_backward(self):
        x, y = self.chain()
        assert y.item() == 1.0
        y.backward()
        assert x.grad == 0.0  # 0.5⁵⁰⁰⁰⁰ underflows, without a warning or an error

    def test_backward_of_a_chain_that_keeps_its_gradient(self):
        x = y = mr.tensor(0.25, requires_grad=True)
        for _ in range(self.length // 2):
            y = -(y + 0.125)
        y.backward()
        assert x.grad == 1.0

    def test_grad_as_a_graph(self):
        x = y = mr.tensor(0.25, requires_grad=True)
        for _ in range(self.length):
            y = y * 1.0
        g = mr.grad(y, x)
        assert g.item() == 1.0
        # The gradient's own graph is as deep: walk it once more.
        assert mr.grad(g * x, x).item() == 1.0

    def test_forward_mode(self):
        x, y = self.chain()
        assert mr.jvp(y, [x], [np.array(1.0)]) == 0.0


class TestStale:
    def test_backward_names_the_parameter_that_was_assigned(self):
        p = mr.tensor(X, requires_grad=True, name="weight_hh")
        y = (p * p).sum()
        p.assign(2 * X)
        with pytest.raises(mr.StaleGraphError, match="weight_hh"):
            y.backward()
        assert p.grad is None

    @pytest.mark.parametrize(
        "ask",
        [
            lambda y, x, p: mr.grad(y, x),
            lambda y, x, p: mr.vjp(y, [x], np.array(1.0)),
            lambda y, x, p: mr.jvp(y, [x], [X]),
            lambda y, x, p: mr.jacobian(y, x),
            lambda y, x, p: y.backward(),
        ],
        ids=["grad", "vjp", "jvp", "jacobian", "backward"],
    )
    def test_every_reader_refuses(self, ask):
        x = mr.tensor(X, requires_grad=True, name="x")
        p = mr.tensor(X, requires_grad=True, name="p")
        y = mr.exp(x * p).sum()
        p.assign(2 * X)
        with pytest.raises(mr.StaleGraphError, match=r"\bp\b"):
            ask(y, x, p)

    def test_a_new_forward_pass_is_fresh(self):
        p = mr.tensor(X, requires_grad=True, name="p")
        (p * p).sum()
        p.assign(2 * X)
        (p * p).sum().backward()
        np.testing.assert_allclose(p.grad, 4 * X)

    def test_a_graph_that_does_not_read_it_is_untouched(self):
        x, p = leaves(X, X)
        y = (x * x).sum()
        p.assign(2 * X)
        y.backward()
        np.testing.assert_allclose(x.grad, 2 * X)

    def test_an_assignment_between_steps_of_one_graph(self):
        """Early ops read the old numbers, late ones the new: still stale."""
        p = mr.tensor(X, requires_grad=True, name="p")
        early = p * 2.0
        p.assign(3 * X)
        late = (early * p).sum()
        with pytest.raises(mr.StaleGraphError, match=r"\bp\b"):
            late.backward()
