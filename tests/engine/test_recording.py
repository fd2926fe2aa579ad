"""What is recorded: edges, order, scopes, names; and a tensor as a Python and NumPy citizen."""

import asyncio
import copy
import gc
import operator
import pickle
import threading

import numpy as np
import pytest

import microrecur as mr
from microrecur.engine import ops

from .strategies import ancestry, live_tensors

X = np.array([0.5, -1.25, 2.0])


@pytest.fixture
def x():
    return mr.tensor(X, requires_grad=True, name="x")


class TestEdges:
    def test_a_square_by_product_keeps_two_edges(self, x):
        y = x * x
        assert y.op is ops.TABLE["mul"]
        assert len(y.inputs) == 2
        assert y.inputs[0] is x and y.inputs[1] is x

    def test_the_order_of_operands_is_kept(self, x):
        other = mr.tensor(2 * X)
        y = x - other
        assert y.inputs[0] is x and y.inputs[1] is other

    def test_a_leaf_has_no_op_and_no_inputs(self, x):
        assert x.op is None
        assert x.inputs == ()

    def test_static_arguments_are_kept_with_the_op(self):
        y = mr.sum(mr.tensor(np.ones((2, 3))), axis=1)
        assert y.op.name == "sum"
        assert y.static["axis"] in (1, (1,))

    def test_everything_is_recorded_whether_or_not_it_requires_a_gradient(self):
        y = mr.tensor(2.0) * mr.tensor(3.0)
        assert y.op.name == "mul"
        assert not y.requires_grad

    def test_requires_grad_spreads_to_what_depends_on_it(self, x):
        assert (mr.tensor(1.0) + x).requires_grad

    def test_creation_order_is_topological(self, x):
        y = mr.tanh(x * x + 1.0) @ mr.concatenate([x, x])[1:4]
        for node in ancestry(y):
            assert all(source.serial < node.serial for source in node.inputs)

    @pytest.mark.parametrize("name", ["lt", "le", "gt", "ge"])
    @pytest.mark.parametrize("other", [0.5, np.array([0.0, -1.25, 3.0])], ids=["number", "array"])
    def test_comparisons_record_boolean_tensors(self, x, name, other):
        compare = getattr(operator, name)
        y = compare(x, other)
        assert isinstance(y, mr.Tensor)
        assert y.dtype == np.bool_
        assert y.op is not None and y.inputs[0] is x
        np.testing.assert_array_equal(y.data, compare(X, other))

    @pytest.mark.parametrize("name", ["less", "less_equal", "greater", "greater_equal", "equal"])
    def test_comparisons_by_name(self, x, name):
        other = np.array([0.0, -1.25, 3.0])
        y = getattr(mr, name)(x, other)
        assert y.op.name == name
        np.testing.assert_array_equal(y.data, getattr(np, name)(X, other))

    def test_a_mask_passes_no_gradient(self, x):
        y = mr.where(x > 0, 3.0 * x, -x).sum()
        y.backward()
        np.testing.assert_array_equal(x.grad, [3.0, -1.0, 3.0])


class TestScope:
    def test_nests_and_closes(self):
        with mr.scope("layer1"):
            with mr.scope("t=3", "forget gate"):
                inner = mr.tensor(1.0) + 1.0
            between = mr.tensor(1.0) + 1.0
        outside = mr.tensor(1.0) + 1.0
        assert inner.scope == ("layer1", "t=3", "forget gate")
        assert between.scope == ("layer1",)
        assert outside.scope == ()

    def test_closes_when_the_body_raises(self):
        with pytest.raises(ZeroDivisionError), mr.scope("t=1"):
            1 / 0  # noqa: B018
        assert mr.tensor(1.0).scope == ()

    def test_decorates_a_function_and_nests_where_it_is_called(self):
        @mr.scope("encoder")
        def encode():
            return mr.tensor(1.0) + 1.0

        @mr.no_grad()
        def evaluate():
            return mr.tensor(1.0) + 1.0

        with mr.scope("t=1"):
            assert encode().scope == ("t=1", "encoder")
            assert evaluate().scope == ("t=1",)
            assert evaluate().op is None
        assert encode().op is not None

    def test_a_name_must_be_text(self):
        with pytest.raises(TypeError, match=r"scope.*3"):
            mr.scope(3)

    def test_threads_do_not_see_each_other(self):
        both_inside = threading.Barrier(2, timeout=30)
        filed = {}

        def work(name):
            with mr.scope(name):
                both_inside.wait()
                y = mr.tensor(1.0) * 2.0
                both_inside.wait()
                filed[name] = y.scope

        threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert filed == {"a": ("a",), "b": ("b",)}

    def test_tasks_do_not_see_each_other(self):
        async def work(name):
            with mr.scope(name):
                await asyncio.sleep(0)
                y = mr.tensor(1.0) * 2.0
                await asyncio.sleep(0)
                return y.scope

        async def both():
            return await asyncio.gather(work("a"), work("b"))

        assert asyncio.run(both()) == [("a",), ("b",)]

    def test_no_grad_in_one_thread_leaves_another_recording(self):
        recorded = []
        with mr.no_grad():
            thread = threading.Thread(target=lambda: recorded.append(mr.tensor(1.0) + 1.0))
            thread.start()
            thread.join()
        assert recorded[0].op.name == "add"


class TestNoGrad:
    def test_records_nothing_and_keeps_the_value(self, x):
        with mr.no_grad():
            y = mr.tanh(x * x)
        assert y.op is None and y.inputs == ()
        assert not y.requires_grad
        np.testing.assert_allclose(y.data, np.tanh(X * X), rtol=1e-15)

    def test_recording_resumes_afterwards(self, x):
        with mr.no_grad(), mr.no_grad():
            pass
        assert (x + x).op.name == "add"

    def test_keeps_the_scope(self):
        with mr.scope("t=1"), mr.no_grad():
            assert mr.tensor(1.0).scope == ("t=1",)


class TestNames:
    def test_named_returns_the_tensor_itself(self, x):
        y = mr.sigmoid(x)
        assert y.named("f") is y
        assert y.name == "f"

    def test_a_leaf_is_named_when_made(self):
        assert mr.tensor(1.0, name="h").name == "h"
        assert mr.tensor(1.0).name is None

    @pytest.mark.parametrize("name", ["", 3, None])
    def test_a_name_is_text(self, x, name):
        with pytest.raises(TypeError, match="name"):
            x.named(name)


class TestIdentity:
    def test_equality_and_hash_are_by_identity(self):
        a, b = mr.tensor(1.0), mr.tensor(1.0)
        assert a == a
        assert a != b
        assert len({a, b, a}) == 2
        assert {a: "a", b: "b"}[b] == "b"

    @pytest.mark.parametrize("compare", [operator.eq, operator.ne])
    def test_an_array_compared_with_a_tensor_raises_with_advice(self, x, compare):
        with pytest.raises(TypeError, match=r"equal|\.data"):
            compare(X, x)

    def test_the_truth_of_several_numbers_raises_with_advice(self, x):
        with pytest.raises(ValueError, match=r"(?s)greater.*3 numbers.*where"):
            bool(x > 0)
        with pytest.raises(ValueError, match=r"(?s)x.*\(3,\).*where"):
            if x:
                pass

    @pytest.mark.parametrize("value", [0.0, 1.0, -2.5])
    def test_one_number_has_a_truth(self, value):
        assert bool(mr.tensor(value)) is bool(value)
        assert bool(mr.tensor([value]) > 0) is (value > 0)


class TestData:
    def test_tensor_copies_its_input(self):
        source = X.copy()
        t = mr.tensor(source)
        source[0] = 99.0
        np.testing.assert_array_equal(t.data, X)

    def test_data_is_a_read_only_view(self, x):
        assert not x.data.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            x.data[0] = 1.0

    def test_a_result_does_not_share_writeable_memory(self, x):
        x.numpy()[0] = 99.0
        np.asarray(x)[0] = 99.0
        np.testing.assert_array_equal(x.data, X)

    def test_setting_data_raises_with_advice(self, x):
        with pytest.raises(AttributeError, match=r"x.*assign"):
            x.data = np.zeros(3)
        np.testing.assert_array_equal(x.data, X)

    def test_writing_an_entry_raises_with_advice(self, x):
        with pytest.raises(TypeError, match=r"(?s)x.*assign.*where"):
            x[0] = 0.0
        np.testing.assert_array_equal(x.data, X)

    def test_writing_in_place_by_an_operator_makes_a_new_tensor(self, x):
        before = x
        x += 1.0
        assert x is not before
        np.testing.assert_array_equal(before.data, X)

    def test_assign_copies_and_keeps_shape_and_dtype(self):
        p = mr.tensor(np.zeros(3, np.float32))
        new = np.arange(3.0)
        p.assign(new)
        new[:] = 7.0
        np.testing.assert_array_equal(p.data, [0.0, 1.0, 2.0])
        assert p.dtype == np.float32

    def test_assign_refuses_another_shape(self, x):
        with pytest.raises(ValueError, match=r"x.*\(3,\).*\(2,\)"):
            x.assign(np.zeros(2))

    def test_assign_refuses_a_computed_tensor(self, x):
        with pytest.raises(RuntimeError, match=r"mul.*leaf"):
            (x * x).assign(X)

    def test_detach_keeps_the_value_and_drops_the_history(self, x):
        d = (x * x).detach()
        assert d.op is None and d.inputs == () and not d.requires_grad
        np.testing.assert_array_equal(d.data, X * X)

    def test_item(self, x):
        assert mr.tensor([[2.5]]).item() == 2.5
        with pytest.raises(ValueError, match=r"x.*3 numbers"):
            x.item()

    def test_integers_cannot_require_a_gradient(self):
        with pytest.raises(TypeError, match=r"(?s)requires_grad.*int"):
            mr.tensor([1, 2], requires_grad=True)
        with pytest.raises(TypeError, match=r"(?s)requires_grad.*count.*int"):
            mr.tensor(3, requires_grad=True, name="count")

    @pytest.mark.parametrize("data", ["text", [None], [1j]], ids=["text", "object", "complex"])
    def test_what_is_no_number_is_refused(self, data):
        with pytest.raises(TypeError, match="numbers"):
            mr.tensor(data)


class TestRepr:
    def test_shows_value_name_and_op(self, x):
        text = repr((x * x).named("square"))
        assert "1.5625" in text and "square" in text and "mul" in text

    def test_of_a_leaf(self, x):
        text = repr(x)
        assert "-1.25" in text and "'x'" in text

    def test_of_very_many_numbers_stays_short(self):
        assert len(repr(mr.tensor(np.zeros((300, 300))))) < 1000


class TestCopies:
    @pytest.mark.parametrize("again", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
    def test_of_a_leaf(self, again):
        with mr.scope("layer1"):
            x = mr.tensor(X, requires_grad=True, name="x")
        y = again(x)
        assert y is not x
        np.testing.assert_array_equal(y.data, X)
        assert (y.name, y.requires_grad, y.op, y.scope) == ("x", True, None, ("layer1",))
        y.assign(np.zeros(3))
        np.testing.assert_array_equal(x.data, X)
        (3.0 * y).sum().backward()
        np.testing.assert_array_equal(y.grad, [3.0, 3.0, 3.0])
        assert x.grad is None


class TestTypes:
    @pytest.mark.parametrize("number", [2, 2.5, True])
    def test_a_python_number_takes_the_dtype_of_the_tensor(self, number):
        t = mr.tensor(np.ones(2, np.float32))
        for y in (t * number, number * t, t + number, number / t, t**number, mr.maximum(t, number)):
            assert y.dtype == np.float32

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_arrays_keep_their_dtype(self, dtype):
        t = mr.tensor(np.ones((2, 2), dtype))
        for y in (t, mr.tanh(t), mr.sigmoid(t), mr.sech2(t), mr.softplus(t), mr.relu(t), t @ t):
            assert y.dtype == dtype
        for y in (t.sum(), t.mean(), mr.softmax(t, axis=0), mr.logsumexp(t), t**2, t**0.5):
            assert y.dtype == dtype

    def test_python_numbers_are_float64(self):
        assert mr.tensor(0.1).dtype == np.float64
        assert mr.tensor([1.0, 2.0]).dtype == np.float64

    def test_mixed_floats_promote(self):
        y = mr.tensor(np.ones(2, np.float32)) * mr.tensor(np.ones(2))
        assert y.dtype == np.float64

    def test_integers_promote_in_true_division(self):
        y = mr.tensor([1, 2]) / mr.tensor([2, 4])
        assert y.dtype == np.float64
        np.testing.assert_array_equal(y.data, [0.5, 0.5])

    @pytest.mark.parametrize("op", ["tanh", "sigmoid", "exp", "sqrt", "mean", "softplus"])
    def test_integers_promote_where_the_result_is_real(self, op):
        y = getattr(mr, op)(mr.tensor([1, 4]))
        expected = getattr(mr, op)(mr.tensor([1.0, 4.0]))
        assert y.dtype == np.float64
        np.testing.assert_array_equal(y.data, expected.data)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_a_gradient_has_the_dtype_of_its_tensor(self, dtype):
        x = mr.tensor(np.ones(2, dtype), requires_grad=True)
        w = mr.tensor(np.ones(2), requires_grad=True)
        (x * w).sum().backward()
        assert x.grad.dtype == dtype
        assert w.grad.dtype == np.float64

    def test_dtype_can_be_chosen(self):
        assert mr.tensor([1, 2], dtype=np.float32, requires_grad=True).dtype == np.float32


CALLS = {
    "np.tanh": (lambda t: np.tanh(t), np.tanh(X)),
    "np.exp": (lambda t: np.exp(t), np.exp(X)),
    "np.negative": (lambda t: np.negative(t), -X),
    "np.absolute": (lambda t: np.abs(t), np.abs(X)),
    "array * tensor": (lambda t: X * t, X * X),
    "array + tensor": (lambda t: X + t, X + X),
    "array - tensor": (lambda t: (2 * X) - t, X),
    "array / tensor": (lambda t: np.ones(3) / t, 1 / X),
    "array @ tensor": (lambda t: np.ones((2, 3)) @ t, np.ones((2, 3)) @ X),
    "array ** tensor": (lambda t: np.full(3, 2.0) ** t, 2.0**X),
    "array < tensor": (lambda t: np.zeros(3) < t, X > 0),
    "np.float64 * tensor": (lambda t: np.float64(3.0) * t, 3 * X),
    "np.maximum": (lambda t: np.maximum(t, 0.0), np.maximum(X, 0)),
    "np.matmul": (lambda t: np.matmul(t, t), X @ X),
    "np.dot": (lambda t: np.dot(t, t), X @ X),
    "np.concatenate": (lambda t: np.concatenate([t, X]), np.concatenate([X, X])),
    "np.stack": (lambda t: np.stack([t, X], axis=1), np.stack([X, X], axis=1)),
    "np.sum": (lambda t: np.sum(t), X.sum()),
    "np.mean": (lambda t: np.mean(t, axis=0), X.mean()),
    "np.max": (lambda t: np.max(t), 2.0),
    "np.where": (lambda t: np.where(X > 0, t, 0.0), np.where(X > 0, X, 0)),
    "np.clip": (lambda t: np.clip(t, -1.0, 1.0), np.clip(X, -1, 1)),
    "np.sqrt": (lambda t: np.sqrt(np.abs(t)), np.sqrt(np.abs(X))),
    "np.power": (lambda t: np.power(t, 2), X**2),
    "np.subtract": (lambda t: np.subtract(1.0, t), 1 - X),
    "np.split": (lambda t: np.split(t, 3)[1], X[1:2]),
    "np.take": (lambda t: np.take(t, [2, 2], axis=0), X[[2, 2]]),
    "np.swapaxes": (lambda t: np.swapaxes(t[None], 0, 1), X[:, None]),
    "np.broadcast_to": (lambda t: np.broadcast_to(t, (2, 3)), np.stack([X, X])),
    "np.sum over an axis": (lambda t: np.sum(t[None], axis=-1, keepdims=True), [[X.sum()]]),
    "np.reshape": (lambda t: np.reshape(t, (3, 1)), X[:, None]),
    "np.transpose": (lambda t: np.transpose(np.reshape(t, (3, 1))), X[None]),
    "5 + tensor": (lambda t: 5 + t, 5 + X),
    "5 - tensor": (lambda t: 5 - t, 5 - X),
    "5 * tensor": (lambda t: 5 * t, 5 * X),
    "5 / tensor": (lambda t: 5 / t, 5 / X),
    "2 ** tensor": (lambda t: 2**t, 2**X),
    "list + tensor": (lambda t: list(X) + t, X + X),
    "abs(tensor)": (lambda t: abs(t), np.abs(X)),
    "-tensor": (lambda t: -t, -X),
    "tensor.tanh()": (lambda t: t.tanh(), np.tanh(X)),
    "tensor.sigmoid()": (lambda t: t.sigmoid(), 1 / (1 + np.exp(-X))),
    "tensor.exp()": (lambda t: t.exp(), np.exp(X)),
    "tensor.log()": (lambda t: abs(t).log(), np.log(np.abs(X))),
    "tensor.sum()": (lambda t: t.sum(axis=0, keepdims=True), X.sum(keepdims=True)),
    "tensor.mean()": (lambda t: t.mean(), X.mean()),
    "tensor.max()": (lambda t: t.max(), 2.0),
    "tensor.reshape()": (lambda t: t.reshape(3, 1), X[:, None]),
    "tensor.reshape(tuple)": (lambda t: t.reshape((1, -1)), X[None]),
    "tensor.transpose()": (lambda t: t.reshape(3, 1).transpose(), X[None]),
    "tensor.T": (lambda t: t.reshape(3, 1).T, X[None]),
}


PLAIN = {
    "add": (lambda a: mr.add(a, 1.0), lambda a: a + 1),
    "pow": (lambda a: mr.pow(a, 3), lambda a: a**3),
    "negative pow": (lambda a: mr.pow(a, -2), lambda a: a**-2.0),
    "div": (lambda a: mr.div(1.0, a), lambda a: 1 / a),
    "tanh": (mr.tanh, np.tanh),
    "sigmoid": (mr.sigmoid, lambda a: 1 / (1 + np.exp(-a))),
    "softplus": (mr.softplus, lambda a: np.log1p(np.exp(a))),
    "relu": (mr.relu, lambda a: np.maximum(a, 0)),
    "maximum": (lambda a: mr.maximum(a, 0.75), lambda a: np.maximum(a, 0.75)),
    "clip": (lambda a: mr.clip(a, 0.0, 1.0), lambda a: np.clip(a, 0, 1)),
    "where": (lambda a: mr.where(mr.greater(a, 0), a, 0.0), lambda a: np.maximum(a, 0)),
    "sum": (mr.sum, np.sum),
    "mean": (mr.mean, np.mean),
    "max": (mr.max, np.max),
    "logsumexp": (mr.logsumexp, lambda a: np.log(np.sum(np.exp(a)))),
    "matmul": (lambda a: mr.matmul(a, a), lambda a: np.dot(a, a)),
    "reshape": (lambda a: mr.reshape(a, (-1, 1)), lambda a: np.reshape(a, (-1, 1))),
    "transpose": (mr.transpose, np.transpose),
    "broadcast_to": (lambda a: mr.broadcast_to(a, (2, 3)), lambda a: np.broadcast_to(a, (2, 3))),
    "stack": (lambda a: mr.stack([a, a]), lambda a: np.stack([a, a])),
}
OF_VECTORS = {
    "softmax": (mr.softmax, lambda a: np.exp(a) / np.exp(a).sum()),
    "log_softmax": (mr.log_softmax, lambda a: a - np.log(np.exp(a).sum())),
    "concatenate": (lambda a: mr.concatenate([a, a]), lambda a: np.concatenate([a, a])),
    "split": (lambda a: mr.split(a, 3)[1], lambda a: a[1:2]),
    "take": (lambda a: mr.take(a, [2, 0]), lambda a: a[[2, 0]]),
    "swapaxes": (lambda a: mr.swapaxes(a[None], 0, 1), lambda a: a[:, None]),
    "getitem": (lambda a: mr.getitem(a, index=slice(1, None)), lambda a: a[1:]),
}


class TestPlain:
    """The same functions on what is no tensor: nothing is recorded, a plain array comes back."""

    @pytest.mark.parametrize("name", [*PLAIN, *OF_VECTORS])
    def test_arrays(self, name):
        ours, expected = (PLAIN | OF_VECTORS)[name]
        y = ours(X)
        assert isinstance(y, np.ndarray | np.generic)
        np.testing.assert_allclose(y, expected(X), rtol=1e-14)
        recorded = ours(mr.tensor(X))
        np.testing.assert_array_equal(recorded.data, y, strict=False)

    @pytest.mark.parametrize("name", PLAIN)
    def test_python_numbers(self, name):
        ours, expected = PLAIN[name]
        y = ours(0.5)
        assert not isinstance(y, mr.Tensor)
        np.testing.assert_allclose(y, expected(0.5), rtol=1e-14)


class TestNumPy:
    @pytest.mark.parametrize("name", CALLS)
    def test_calls_record_and_give_numpys_value(self, x, name):
        call, expected = CALLS[name]
        y = call(x)
        assert isinstance(y, mr.Tensor)
        assert x in ancestry(y)
        np.testing.assert_allclose(y.data, expected, rtol=1e-14)
        assert y.shape == np.shape(expected)

    def test_asarray_is_a_copy(self, x):
        a = np.asarray(x)
        assert type(a) is np.ndarray
        a[0] = 99.0
        np.testing.assert_array_equal(x.data, X)

    def test_a_numpy_function_that_is_no_op_raises_and_says_so(self, x):
        with pytest.raises(TypeError, match=r"(?s)arctan2|\.data|numpy"):
            np.arctan2(x, x)
        with pytest.raises(TypeError, match=r"(?s)percentile|\.data|numpy"):
            np.percentile(x, 50)

    def test_out_and_where_are_not_recorded_silently(self, x):
        with pytest.raises(TypeError, match="out"):
            np.tanh(x, out=np.empty(3))
        with pytest.raises(TypeError, match="where"):
            np.tanh(x, where=X > 0)
        with pytest.raises(TypeError, match="reduce"):
            np.add.reduce(x)

    def test_an_array_does_not_swallow_a_tensor_in_place(self, x):
        a = np.ones(3)
        with pytest.raises(TypeError, match="out"):
            a += x

    def test_np_dot_of_more_than_two_axes_is_refused(self):
        """np.dot and np.matmul part ways there: the wrong one must not come back silently."""
        a, b = mr.tensor(np.ones((2, 2, 3))), np.ones((2, 3, 2))
        with pytest.raises(TypeError, match=r"np\.dot.*two axes.*matmul"):
            np.dot(a, b)

    def test_len_iter_float(self, x):
        assert len(x) == 3
        entries = list(x)
        assert [float(e) for e in entries] == list(X)
        assert all(x in ancestry(e) for e in entries)
        assert float(mr.tensor([[1.5]])) == 1.5
        assert f"{float(mr.tensor(0.25)):.3f}" == "0.250"

    def test_one_number_has_no_length(self):
        with pytest.raises(TypeError, match="length"):
            len(mr.tensor(1.0))
        with pytest.raises(TypeError):
            iter(mr.tensor(1.0))

    def test_properties(self):
        t = mr.tensor(np.zeros((2, 3)))
        assert (t.shape, t.ndim, t.dtype, t.T.shape) == ((2, 3), 2, np.float64, (3, 2))

    def test_an_unknown_attribute_is_an_attribute_error(self, x):
        assert not hasattr(x, "no_such_thing")
        with pytest.raises(AttributeError, match="no_such_thing"):
            x.no_such_thing  # noqa: B018


class TestShapeErrors:
    def test_names_shapes_and_scope_are_in_the_message(self, x):
        other = mr.tensor(np.ones(4), name="w")
        with mr.scope("t=3", "forget gate"), pytest.raises(mr.ShapeError) as error:
            x + other
        text = str(error.value)
        for word in ("add", "t=3", "forget gate", "x", "(3,)", "w", "(4,)"):
            assert word in text

    def test_of_a_product(self, x):
        W = mr.tensor(np.ones((4, 2)), name="W")
        with mr.scope("t=2"), pytest.raises(mr.ShapeError) as error:
            x @ W
        text = str(error.value)
        for word in ("matmul", "t=2", "x", "(3,)", "W", "(4, 2)"):
            assert word in text

    @pytest.mark.parametrize(
        "ask",
        [
            lambda x: x.reshape(2, 2),
            lambda x: mr.concatenate([x, mr.tensor(np.ones((2, 2)))]),
            lambda x: mr.stack([x, mr.tensor(np.ones(2))]),
            lambda x: mr.broadcast_to(x, (2, 2)),
            lambda x: mr.split(x, 2),
            lambda x: x[..., 0, 0],
            lambda x: x.sum(axis=3),
        ],
        ids=["reshape", "concatenate", "stack", "broadcast_to", "split", "getitem", "sum"],
    )
    def test_of_other_ops_name_the_shape(self, x, ask):
        with pytest.raises((ValueError, IndexError), match=r"3"):
            ask(x)

    def test_an_index_out_of_range_is_an_index_error(self, x):
        with pytest.raises(IndexError, match=r"getitem: the index does not fit: .*x.*\(3,\)"):
            x[3]

    @pytest.mark.parametrize(
        "ask",
        [
            lambda x: mr.transpose(x, (2, 1)),
            lambda x: mr.transpose(x, (0, 0)),
            lambda x: mr.transpose(x, (0,)),
            lambda x: mr.swapaxes(x, 0, 2),
            lambda x: mr.take(x, [0], axis=2),
            lambda x: mr.take(x, [0], axis=-3),
            lambda x: mr.split(x, 1, axis=2),
            lambda x: mr.concatenate([x, x], axis=2),
            lambda x: mr.stack([x, x], axis=3),
            lambda x: mr.sum(x, axis=2),
            lambda x: mr.max(x, axis=2),
            lambda x: mr.mean(x, axis=-3),
            lambda x: mr.softmax(x, axis=2),
            lambda x: mr.logsumexp(x, axis=2),
        ],
    )
    def test_an_axis_out_of_range_never_wraps_around(self, ask):
        with pytest.raises((ValueError, IndexError)):
            ask(mr.tensor(np.ones((1, 2))))

    def test_integers_to_a_negative_power_are_no_shape_error(self):
        with pytest.raises(TypeError, match=r"pow.*whole numbers.*-1.*float"):
            mr.tensor([1, 2]) ** -1

    def test_bounds_of_clip_may_be_tensors(self, x):
        y = mr.clip(x, mr.tensor(-1.0), mr.tensor([0.25, 0.0, 1.0]))
        np.testing.assert_array_equal(y.data, np.clip(X, -1.0, [0.25, 0.0, 1.0]))
        assert x in ancestry(y)


class TestMemory:
    @pytest.fixture(autouse=True)
    def _by_reference_counts_alone(self):
        gc.collect()
        gc.disable()
        yield
        gc.enable()

    def build(self, use):
        x = mr.tensor(np.ones((2, 2)), requires_grad=True, name="x")
        h = x
        for t in range(5):
            with mr.scope(f"t={t}"):
                h = mr.tanh(h @ x + h * x[0:1]).named("h")
        use((h * h).sum(), x)

    @pytest.mark.parametrize(
        "use",
        [
            lambda y, x: None,
            lambda y, x: y.backward(),
            lambda y, x: mr.grad(mr.grad(y, x).sum(), x),
            lambda y, x: mr.jvp(y, [x], [np.ones((2, 2))]),
            lambda y, x: mr.vjp(y, [x], np.ones(())),
            lambda y, x: mr.concatenate([mr.softmax(x, axis=0), mr.stack([y, y])[None]]),
        ],
        ids=["forward", "backward", "grad of grad", "jvp", "vjp", "other ops"],
    )
    def test_a_dropped_graph_is_freed_without_the_collector(self, use):
        before = live_tensors()
        self.build(use)
        assert live_tensors() == before


class TestWhatAReaderTried:
    """Small things that went wrong for somebody once."""

    def test_a_view_cannot_be_made_writable(self):
        view = mr.tensor([1.0, 2.0]).data
        with pytest.raises(ValueError, match="WRITEABLE"):
            view.flags.writeable = True

    def test_one_number_formats_as_a_number(self):
        assert f"{mr.tensor(1.234):.2f}" == "1.23"
        assert f"{mr.tensor([1.0, 2.0])}" == "tensor([1., 2.])"

    def test_clip_with_bounds_that_are_arrays_has_slope_one_on_the_ends(self):
        x = mr.tensor([-0.5, 0.0, 0.5, 1.0, 1.5], requires_grad=True)
        mr.clip(x, np.zeros(5), np.ones(5)).sum().backward()
        np.testing.assert_array_equal(x.grad, [0, 1, 1, 1, 0])

    def test_numpys_other_names(self):
        x = mr.tensor([1.0, 3.0])
        assert np.amax(x).item() == 3
        np.testing.assert_array_equal(np.square(x).data, [1, 9])

    def test_an_axis_that_is_not_there(self):
        with pytest.raises(ValueError, match="swapaxes: axis 5 is out of bounds"):
            mr.tensor(np.ones((2, 3))).swapaxes(0, 5)

    def test_a_sequence_of_one_number(self):
        with pytest.raises(
            TypeError, match=r"unroll: the sequence is one number, 3\.0; give one x"
        ):
            mr.unroll(mr.RNNCell(1, 1), 3.0)

    def test_a_state_dict_that_does_not_fit_changes_nothing(self):
        cell = mr.RNNCell(1, 1, seed=0)
        before = cell.state_dict()
        words = before | {"weight_ih": np.zeros((1, 1)), "bias_hh": np.array(["a"])}
        with pytest.raises(ValueError, match="bias_hh holds <U1, which are no real numbers"):
            cell.load_state_dict(words)
        assert all(np.array_equal(cell.state_dict()[name], before[name]) for name in before)

    def test_a_card_is_pickled_by_its_name(self):
        assert pickle.loads(pickle.dumps(mr.tanh)) is mr.tanh
