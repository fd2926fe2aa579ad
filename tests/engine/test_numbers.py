"""The numbers where they are hard: saturation, overflow, the ceilings ¼ and 1."""

import math
import warnings

import numpy as np
import pytest

import microrecur as mr


@pytest.fixture(autouse=True)
def _every_warning_is_an_error():
    with np.errstate(over="raise", divide="raise", invalid="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def slope(op, z, dtype=np.float64):
    """The recorded gradient of a one-number op at z, as reverse mode and as a graph give it."""
    x = mr.tensor(np.asarray(z, dtype), requires_grad=True)
    y = op(x)
    y.sum().backward()
    recorded = mr.grad(y, x, seed=np.ones(y.shape, dtype)).numpy()
    np.testing.assert_array_equal(recorded, x.grad)
    return x.grad


def sigmoid_slope(z):
    """σ′(z) = e⁻ᶻ / (1 + e⁻ᶻ)², with z ≥ 0 by symmetry so that nothing cancels."""
    e = math.exp(-abs(z))
    return e / (1 + e) ** 2


def tanh_slope(z):
    """tanh′(z) = 4 e⁻²ᶻ / (1 + e⁻²ᶻ)²."""
    return 4 * sigmoid_slope(2 * z)


EVERYWHERE = [0.0, 1e-300, 0.1, 1.0, 5.0, 15.0, 19.0, 20.0, 36.5, 37.0, 40.0, 100.0, 350.0]
SIGNED = [s * z for z in EVERYWHERE for s in (1, -1)]


class TestSigmoid:
    @pytest.mark.parametrize("z", [*SIGNED, 700.0, -700.0])
    def test_value(self, z):
        expected = 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))
        assert mr.sigmoid(mr.tensor(z)).item() == pytest.approx(expected, rel=4e-16, abs=0)

    @pytest.mark.parametrize(("z", "value"), [(1e308, 1.0), (-1e308, 0.0)])
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_at_the_ends_of_the_range(self, z, value, dtype):
        end = np.clip(z, np.finfo(dtype).min, np.finfo(dtype).max)
        assert mr.sigmoid(mr.tensor(end, dtype=dtype)).item() == value
        assert slope(mr.sigmoid, end, dtype) == 0.0

    def test_at_infinity(self):
        values = mr.sigmoid(mr.tensor([np.inf, -np.inf])).data
        np.testing.assert_array_equal(values, [1.0, 0.0])

    @pytest.mark.parametrize("z", [*SIGNED, 700.0, -700.0])
    def test_slope_keeps_its_digits_in_saturation(self, z):
        assert slope(mr.sigmoid, z) == pytest.approx(sigmoid_slope(z), rel=1e-14, abs=0)

    def test_slope_at_forty_is_not_zero(self):
        assert slope(mr.sigmoid, 40.0) == pytest.approx(4.248354255291589e-18, rel=1e-12, abs=0)

    @pytest.mark.parametrize("z", [5.0, 15.0, 20.0, 40.0, 80.0])
    def test_slope_in_single_precision(self, z):
        got = slope(mr.sigmoid, [z, -z], np.float32)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, sigmoid_slope(z), rtol=5e-6)

    def test_slope_is_a_quarter_at_zero_and_less_elsewhere(self):
        z = np.linspace(-8, 8, 1601)
        slopes = slope(mr.sigmoid, z)
        assert slopes.max() == 0.25
        np.testing.assert_array_equal(np.flatnonzero(slopes == 0.25), [800])

    def test_second_slope(self):
        x = mr.tensor(np.linspace(-30, 30, 121), requires_grad=True)
        first = mr.grad(mr.sigmoid(x), x, seed=np.ones(121))
        s = 1 / (1 + np.exp(-x.numpy()))
        one_minus_s = 1 / (1 + np.exp(x.numpy()))
        second = mr.grad(first, x, seed=np.ones(121)).numpy()
        np.testing.assert_allclose(second, s * one_minus_s * (one_minus_s - s), rtol=1e-12)


class TestTanh:
    @pytest.mark.parametrize("z", SIGNED)
    def test_slope_keeps_its_digits_in_saturation(self, z):
        assert slope(mr.tanh, z) == pytest.approx(tanh_slope(z), rel=1e-14, abs=0)

    def test_slope_at_twenty_is_not_zero(self):
        assert slope(mr.tanh, 20.0) == pytest.approx(4 * math.exp(-40), rel=1e-12, abs=0)

    @pytest.mark.parametrize("z", [5.0, 9.0, 15.0, 20.0, 40.0])
    def test_slope_in_single_precision(self, z):
        got = slope(mr.tanh, [z, -z], np.float32)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, tanh_slope(z), rtol=5e-6)

    @pytest.mark.parametrize("z", [400.0, 1e308, -1e308])
    def test_slope_far_out_is_zero(self, z):
        assert slope(mr.tanh, z) == 0.0

    def test_slope_is_one_at_zero_and_less_elsewhere(self):
        slopes = slope(mr.tanh, np.linspace(-4, 4, 801))
        assert slopes.max() == 1.0
        np.testing.assert_array_equal(np.flatnonzero(slopes == 1.0), [400])

    def test_is_a_stretched_sigmoid(self):
        x = mr.tensor(np.linspace(-5, 5, 101))
        stretched = 2 * mr.sigmoid(2 * x) - 1
        np.testing.assert_allclose(mr.tanh(x).data, stretched.data, rtol=0, atol=4e-16)

    def test_falls_below_the_slope_of_sigmoid_beyond_their_crossing(self):
        crossing = 1.66289
        assert slope(mr.tanh, crossing - 1e-4) > slope(mr.sigmoid, crossing - 1e-4)
        assert slope(mr.tanh, crossing + 1e-4) < slope(mr.sigmoid, crossing + 1e-4)


class TestSech2:
    @pytest.mark.parametrize("z", SIGNED)
    def test_value(self, z):
        expected = tanh_slope(z)
        assert mr.sech2(mr.tensor(z)).item() == pytest.approx(expected, rel=1e-14, abs=0)

    @pytest.mark.parametrize("z", [0.3, -2.0, 15.0, -40.0])
    def test_slope(self, z):
        """∂ sech²(z) = −2 tanh(z) sech²(z)."""
        expected = -2 * math.tanh(z) * tanh_slope(z)
        assert slope(mr.sech2, z) == pytest.approx(expected, rel=1e-13, abs=0)

    @pytest.mark.parametrize(("dtype", "far"), [(np.float32, 3e38), (np.float64, 1e308)])
    def test_far_out(self, dtype, far):
        values = mr.sech2(mr.tensor([far, -far], dtype=dtype))
        assert values.dtype == dtype
        np.testing.assert_array_equal(values.data, [0.0, 0.0])

    def test_of_a_plain_array_is_a_plain_array(self):
        assert isinstance(mr.sech2(np.ones(3)), np.ndarray)


class TestSoftplus:
    @pytest.mark.parametrize("z", [0.0, 1.0, -1.0, 40.0, -40.0, 700.0, -700.0])
    def test_value(self, z):
        expected = max(z, 0.0) + math.log1p(math.exp(-abs(z)))
        assert mr.softplus(mr.tensor(z)).item() == pytest.approx(expected, rel=1e-15, abs=0)

    @pytest.mark.parametrize("z", [0.5, -0.5, 40.0, -40.0, 700.0, -700.0, 1e308, -1e308])
    def test_slope_is_sigmoid(self, z):
        expected = 1.0 if z > 0 else math.exp(max(z, -745.2))
        expected /= 1 + math.exp(-abs(z))
        assert slope(mr.softplus, z) == pytest.approx(expected, rel=1e-14, abs=1e-300)


BIG = np.array([1000.0, 999.0, -1000.0])


class TestSoftmax:
    expected = np.array([1 / (1 + math.exp(-1)), 1 / (1 + math.e), 0.0])

    @pytest.mark.parametrize("shift", [0.0, 1e15, -1e15])
    def test_of_large_numbers(self, shift):
        x = mr.tensor(BIG + shift, requires_grad=True)
        np.testing.assert_allclose(mr.softmax(x, axis=0).data, self.expected, rtol=1e-14)
        np.testing.assert_allclose(mr.logsumexp(x).item(), BIG[0] + shift + math.log1p(1 / math.e))

    def test_log_softmax_does_not_lose_what_softmax_does(self):
        lse = 1000 + math.log1p(math.exp(-1))
        got = mr.log_softmax(mr.tensor(BIG), axis=0).data
        np.testing.assert_allclose(got, BIG - lse, rtol=1e-12)

    def test_gradients_of_large_numbers(self):
        x = mr.tensor(BIG, requires_grad=True)
        np.testing.assert_allclose(mr.grad(mr.logsumexp(x), x).data, self.expected, rtol=1e-14)
        s = self.expected
        first = mr.grad(mr.softmax(x, axis=0)[0], x).data
        np.testing.assert_allclose(first, s[0] * (np.eye(3)[0] - s), rtol=1e-12, atol=1e-18)
        first = mr.grad(mr.log_softmax(x, axis=0)[2], x).data
        np.testing.assert_allclose(first, np.eye(3)[2] - s, rtol=1e-12)

    def test_minus_infinity_has_no_weight(self):
        x = mr.tensor([0.5, -np.inf, 1.5], requires_grad=True)
        s = 1 / (1 + math.e)
        assert mr.logsumexp(x).item() == pytest.approx(1.5 + math.log1p(math.exp(-1)), rel=1e-15)
        np.testing.assert_allclose(mr.softmax(x, axis=0).data, [s, 0.0, 1 - s], rtol=1e-14)
        np.testing.assert_allclose(mr.grad(mr.logsumexp(x), x).data, [s, 0.0, 1 - s], rtol=1e-14)
        first = mr.grad(mr.softmax(x, axis=0)[0], x).data
        np.testing.assert_allclose(first, [s * (1 - s), 0.0, -s * (1 - s)], rtol=1e-14)

    def test_logsumexp_of_nothing_but_minus_infinity(self):
        assert mr.logsumexp(mr.tensor([-np.inf, -np.inf])).item() == -np.inf

    def test_rows_sum_to_one(self):
        x = mr.tensor(np.random.default_rng(0).normal(0, 300, (20, 7)))
        np.testing.assert_allclose(mr.softmax(x, axis=-1).data.sum(-1), 1.0, rtol=1e-14)
        np.testing.assert_allclose(np.exp(mr.log_softmax(x, axis=1).data).sum(1), 1.0, rtol=1e-12)


class TestPowers:
    @pytest.mark.parametrize("exponent", [0, 1, 2, 3, 2.0, 5])
    def test_of_zero_and_of_negative_numbers(self, exponent):
        base = np.array([0.0, -2.0, 3.0])
        x = mr.tensor(base, requires_grad=True)
        y = x**exponent
        np.testing.assert_allclose(y.data, base**exponent, rtol=1e-15)
        expected = exponent * base ** max(exponent - 1, 0)
        np.testing.assert_allclose(mr.grad(y, x, seed=np.ones(3)).data, expected, rtol=1e-14)

    def test_second_derivative_at_zero(self):
        x = mr.tensor(0.0, requires_grad=True)
        assert mr.grad(mr.grad(x**2, x), x).item() == 2.0
        assert mr.grad(mr.grad(x**3, x), x).item() == 0.0
