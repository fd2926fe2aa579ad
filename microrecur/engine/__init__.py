"""The engine: tensors that remember how they were made, the cards of the ops, and calculus."""

import microrecur.engine.citizen  # noqa: F401 (gives Tensor its operators, whichever part is imported first)
