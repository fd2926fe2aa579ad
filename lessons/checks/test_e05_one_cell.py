"""Checks of lesson 05: what a step reads, what the whole run returns, what is shared."""

from __future__ import annotations

import numpy as np

import microrecur as mr
from microrecur.course import Exercise, Slip
from microrecur.lessons.checks import recorded_rnn
from microrecur.lessons.checks.recorded_rnn import record

# -- rnn_cell --------------------------------------------------------------------------------------


def cell_probe(rng):
    """Two sequences, and three."""
    cases = []
    for sizes in ({}, {"N": 3, "D": 5, "H": 2}):
        X, h0, Wx, Wh, b, _ = recorded_rnn.probe(rng, **sizes)
        cases.append((X[0], h0, Wx, Wh, b))
    return cases


def cell_reference(x, h, Wx, Wh, b):
    """One recorded step."""
    return record([x], h, Wx, Wh, b).states[-1].numpy()


def _other_side(x, h, Wx, Wh, b):
    return np.tanh(x @ Wx + (Wh @ h.T).T + b)


def _from_the_left(x, h, Wx, Wh, b):
    return np.tanh(x @ Wx + Wh @ h + b)  # as for one column; rows do not fit


def _both_from_the_left(x, h, Wx, Wh, b):
    return np.tanh(Wx @ x + Wh @ h + b)


def _no_bias(x, h, Wx, Wh, b):
    return np.tanh(x @ Wx + h @ Wh)


def _sigmoid(x, h, Wx, Wh, b):
    return 1 / (1 + np.exp(-(x @ Wx + h @ Wh + b)))


def _no_squash(x, h, Wx, Wh, b):
    return x @ Wx + h @ Wh + b


def _squashed_before_input(x, h, Wx, Wh, b):
    return x @ Wx + np.tanh(h @ Wh + b)


rnn_cell = Exercise(
    name="e05.rnn_cell",
    task="One step of a plain RNN.",
    probe=cell_probe,
    reference=cell_reference,
    outputs=("h",),
    axes={"h": ("sequence", "unit")},
    slips=(
        Slip(
            "Wh from the other side",
            wrong=_other_side,
            said="with Wh transposed: Wh h in place of h Wh",
            hint="h holds one sequence per row. Along which axis of Wh do its H numbers lie in the "
            "product you wrote?",
        ),
        Slip(
            "a weight to the left of its rows",
            wrong=_from_the_left,
            also=(_both_from_the_left,),
            said="with a weight to the left of its rows",
            hint="x and h hold one sequence per row. On which side of such an array does a weight "
            "stand, so that every row stays a row?",
        ),
        Slip(
            "no bias",
            wrong=_no_bias,
            said="without b",
            hint="Put zeros in for x and h. What should come out?",
        ),
        Slip(
            "sigmoid in place of tanh",
            wrong=_sigmoid,
            said="with σ where tanh should be",
            hint="All your numbers are positive. Which squashing function can give negative ones?",
        ),
        Slip(
            "not squashed",
            wrong=_no_squash,
            said="before tanh",
            hint="Which of your numbers lies outside −1 … 1, and which function would not let it?",
        ),
        Slip(
            "tanh around a part",
            wrong=_squashed_before_input,
            said="with tanh around the recurrent part alone",
            hint="Which terms stand inside the brackets of tanh in the formula?",
        ),
    ),
    hints=(
        "Which shapes do the three terms inside tanh have?",
        "(N, D) times (D, H) is (N, H), and so is (N, H) times (H, H). NumPy adds b to every row.",
    ),
    section="The cell",
)


# -- rnn_forward -----------------------------------------------------------------------------------


def forward_probe(rng):
    """All states, and the last alone, of other numbers."""
    first, second = recorded_rnn.probe(rng), recorded_rnn.probe(rng, T=6, N=3, D=2, H=5)
    return [(*first[:5], True), (*second[:5], False)]


def forward_reference(X, h0, Wx, Wh, b, return_sequences):
    """Record the run and read its states."""
    states = [h.numpy() for h in record(X, h0, Wx, Wh, b).states]
    return np.stack(states) if return_sequences else states[-1]


def _run(X, h0, Wx, Wh, b):
    states, h = [], h0
    for x in X:
        h = np.tanh(x @ Wx + h @ Wh + b)
        states.append(h)
    return states


def _from_zeros(X, h0, Wx, Wh, b, return_sequences):
    states = np.stack(_run(X, np.zeros(h0.shape), Wx, Wh, b))
    return states if return_sequences else states[-1]


def _from_the_left_of_rows(X, h0, Wx, Wh, b, return_sequences):
    return np.tanh(X[0] @ Wx + Wh @ h0 + b)  # raises: rows do not fit


def _all_from_the_left(X, h0, Wx, Wh, b, return_sequences):
    return np.tanh(Wx @ X[0] + Wh @ h0 + b)


def _h0_every_step(X, h0, Wx, Wh, b, return_sequences):
    states = np.stack([np.tanh(x @ Wx + h0 @ Wh + b) for x in X])
    return states if return_sequences else states[-1]


def _always_the_last(X, h0, Wx, Wh, b, return_sequences):
    return _run(X, h0, Wx, Wh, b)[-1]


def _always_all(X, h0, Wx, Wh, b, return_sequences):
    return np.stack(_run(X, h0, Wx, Wh, b))


def _the_other_way_round(X, h0, Wx, Wh, b, return_sequences):
    states = np.stack(_run(X, h0, Wx, Wh, b))
    return states[-1] if return_sequences else states


def _a_list(X, h0, Wx, Wh, b, return_sequences):
    states = _run(X, h0, Wx, Wh, b)
    return states if return_sequences else states[-1]


def _along_sequences(X, h0, Wx, Wh, b, return_sequences):
    states = np.stack(_run(X, h0, Wx, Wh, b), axis=1)
    return states if return_sequences else states[:, -1]


def _last_sequence(X, h0, Wx, Wh, b, return_sequences):
    states = np.stack(_run(X, h0, Wx, Wh, b))
    return states if return_sequences else states[:, -1]


def _h0_included(X, h0, Wx, Wh, b, return_sequences):
    states = np.stack([h0, *_run(X, h0, Wx, Wh, b)[:-1]])
    return states if return_sequences else states[-1]


rnn_forward = Exercise(
    name="e05.rnn_forward",
    task="Run one cell over T steps; return all states or the last.",
    probe=forward_probe,
    reference=forward_reference,
    outputs=("states",),
    axes={"states": ("step", "sequence", "unit")},
    slips=(
        Slip(
            "starts from zeros",
            wrong=_from_zeros,
            said="when step 1 reads zeros in place of h0",
            hint="Which state does step 1 read?",
            missing=("t0.h->t1.mul2",),
        ),
        Slip(
            "h0 at every step",
            wrong=_h0_every_step,
            said="when every step reads h0",
            hint="Change X[0] and look at your last state: should it notice?",
            missing=("t1.h->t2.mul2", "t2.h->t3.mul2"),
        ),
        Slip(
            "a weight to the left of its rows",
            wrong=_from_the_left_of_rows,
            also=(_all_from_the_left,),
            said="with a weight to the left of its rows",
            hint="x_t and h hold one sequence per row. On which side of such an array does a "
            "weight stand, so that every row stays a row?",
        ),
        Slip(
            "always the last state",
            wrong=_always_the_last,
            said="when the last state alone is returned, whatever is asked for",
            hint="With return_sequences=True, how many states does the caller wait for?",
        ),
        Slip(
            "always all states",
            wrong=_always_all,
            said="when all states are returned, whatever is asked for",
            hint="With return_sequences=False, which of your T states should be left?",
        ),
        Slip(
            "return_sequences the other way round",
            wrong=_the_other_way_round,
            said="when return_sequences is read the other way round",
            hint="What does your function return when return_sequences is True, and what does its "
            "name promise?",
        ),
        Slip(
            "a list of states",
            wrong=_a_list,
            said="as a list of T arrays, not one array",
            hint="The next lesson will write states[:, 0]. Can a list do that? Which NumPy "
            "function joins T arrays along a new first axis?",
        ),
        Slip(
            "steps on the second axis",
            wrong=_along_sequences,
            said="with the axes of steps and sequences swapped",
            hint="X has its steps on the first axis. On which axis do yours come out?",
        ),
        Slip(
            "the last sequence for the last step",
            wrong=_last_sequence,
            said="when the last sequence is taken for the last step",
            hint="Of states with shape (T, N, H), what does [:, −1] pick: a step or a sequence?",
        ),
        Slip(
            "states before the steps",
            wrong=_h0_included,
            said="one step late: h_0 … h_{T−1}",
            hint="Is your first state the one before step 1, or the one after it?",
            missing=("t3.h->L",),
        ),
    ),
    hints=(
        "Which state does each step read, and which does it leave behind for the next?",
        "One variable h: the initial state before the loop, replaced in every turn of it.",
        "Keep every state as you go; at the end the flag decides between all and the last.",
    ),
    section="The same cell, T times",
    picture=recorded_rnn.three_steps,
)


# -- count_params ----------------------------------------------------------------------------------


def count_probe(rng):
    """Shared and not, sizes pairwise different."""
    T, D, H = (int(n) for n in rng.permutation([3, 5, 7]))
    return [(T, D, H, True), (T, D, H, False), (35, 10, 20, True)]


def count_reference(T, D, H, shared):
    """Count a cell of the package; its second bias only ever adds to the first."""
    cell = mr.RNNCell(D, H, seed=0)
    one = sum(p.size for name, p in cell.named_parameters() if name != "bias_hh")
    return one if shared else one * T


def _always_times_T(T, D, H, shared):
    return T * (D * H + H * H + H)


def _never_times_T(T, D, H, shared):
    return D * H + H * H + H


def _no_bias_counted(T, D, H, shared):
    return (D * H + H * H) * (1 if shared else T)


def _two_biases(T, D, H, shared):
    return (D * H + H * H + 2 * H) * (1 if shared else T)


def _no_recurrence(T, D, H, shared):
    return (D * H + H) * (1 if shared else T)


def _shared_swapped(T, D, H, shared):
    return (D * H + H * H + H) * (T if shared else 1)


count_params = Exercise(
    name="e05.count_params",
    task="Count the parameters of an unrolled RNN, shared and not.",
    probe=count_probe,
    reference=count_reference,
    outputs=("number of parameters",),
    slips=(
        Slip(
            "times T although shared",
            wrong=_always_times_T,
            said="times T also where the steps share one cell",
            hint="In the picture Wh is drawn once and has T arrows. How many numbers does a second "
            "arrow cost?",
        ),
        Slip(
            "never times T",
            wrong=_never_times_T,
            said="for one cell, also where each step has its own",
            hint="With shared=False step 2 has weights of its own. Where do they enter your count?",
        ),
        Slip(
            "no bias",
            wrong=_no_bias_counted,
            said="without the biases",
            hint="A cell with D = 1 and H = 1 is h = tanh(w x + u h + b). How many letters of it "
            "are learnt?",
        ),
        Slip(
            "two biases",
            wrong=_two_biases,
            said="with two biases per cell, as PyTorch counts",
            hint="PyTorch keeps two biases that are only ever added. How many has the formula of "
            "this lesson?",
        ),
        Slip(
            "no recurrent weights",
            wrong=_no_recurrence,
            said="without Wh",
            hint="Which matrix takes the state before to the state after, and what is its shape?",
        ),
        Slip(
            "shared the other way round",
            wrong=_shared_swapped,
            said="with True and False swapped",
            hint="Which of the two networks should be the larger one: that whose steps share, or "
            "that whose steps do not?",
        ),
    ),
    hints=(
        "How many numbers does one step use, and does step 2 use the same ones?",
        "Count the entries of Wx, Wh and b from their shapes. Then ask how many cells there are.",
    ),
    section="Shared weights",
    probe_rules="the cases are whole numbers and a flag",
)


# -- match_task ------------------------------------------------------------------------------------

SHAPES = {
    "image classification": "one-to-one",
    "image captioning": "one-to-many",
    "sentiment of a review": "many-to-one",
    "part-of-speech tags": "many-to-many, aligned",
    "frame-by-frame video labels": "many-to-many, aligned",
    "translation": "many-to-many, unaligned",
}


def match_reference(task):
    """The table above: a matter of definition."""
    return SHAPES[task]


def _captioning_one_to_one(task):
    return "one-to-one" if task == "image captioning" else SHAPES[task]


def _translation_aligned(task):
    return "many-to-many, aligned" if task == "translation" else SHAPES[task]


def _tags_unaligned(task):
    aligned = SHAPES[task] == "many-to-many, aligned"
    return "many-to-many, unaligned" if aligned else SHAPES[task]


def _directions_swapped(task):
    swapped = {"one-to-many": "many-to-one", "many-to-one": "one-to-many"}
    return swapped.get(SHAPES[task], SHAPES[task])


def _sentiment_many(task):
    return "many-to-many, aligned" if task == "sentiment of a review" else SHAPES[task]


match_task = Exercise(
    name="e05.match_task",
    task="Name the shape of input and output of six tasks.",
    probe=lambda rng: [(task,) for task in rng.permutation(list(SHAPES)).tolist()],
    reference=match_reference,
    outputs=("answer",),
    slips=(
        Slip(
            "captioning as one-to-one",
            wrong=_captioning_one_to_one,
            said="if a caption were one single thing",
            hint="A caption is a sentence. How many words come out for one picture?",
        ),
        Slip(
            "translation as aligned",
            wrong=_translation_aligned,
            said="if word n of a translation came from word n of the text",
            hint="Has a translated sentence always as many words as the original, in the same "
            "order?",
        ),
        Slip(
            "labels per step as unaligned",
            wrong=_tags_unaligned,
            said="if tags and labels could be more or fewer than the words and frames",
            hint="Seven words come in. How many tags go out, and which word does tag 3 belong to?",
        ),
        Slip(
            "one-to-many and many-to-one swapped",
            wrong=_directions_swapped,
            said="with input and output swapped where one of them is single",
            hint="In “a-to-b”, is a what goes in or what comes out?",
        ),
        Slip(
            "sentiment at every word",
            wrong=_sentiment_many,
            said="if every word of a review got a verdict of its own",
            hint="How many verdicts does the reader of a whole review want?",
        ),
    ),
    hints=(
        "Of each task: how many things go in, how many come out, and is there one out for each in?",
        "Only two of the six differ in length on both sides or match step by step: ask whether "
        "output n belongs to input n.",
    ),
    section="Five ways to use one cell",
    probe_rules="the cases are names of tasks",
)
