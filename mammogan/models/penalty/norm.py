"""The scalar that the penalty differentiates, and the power of its gradient's norm (study, Eq. 3 and 4)."""

from __future__ import annotations

from torch import Tensor

from mammogan.models.networks import at_least_float32


def differentiated(logits: Tensor, of: str, labels: Tensor | None = None) -> Tensor:
    """Compute the scalar (N,) whose gradient is penalised.

    - sum: the sum of all logits, as published. For the CAD's two logits it is blind to the decision margin.
    - margin: positive minus negative logit, which bounds what an attack can use.
    - target: the logit of the sample's own class in ``labels``.

    With one logit (the discriminator) all three are that logit. Raises ValueError for target without labels, or for
    another name.
    """
    if of == "sum" or logits.shape[1] == 1:
        return logits.sum(1)
    if of == "margin":
        return logits[:, 1] - logits[:, 0]
    if of == "target":
        if labels is None:
            raise ValueError("penalty of='target' needs the labels of the batch")
        return logits.gather(1, labels[:, None]).squeeze(1)
    raise ValueError(f"penalty of={of!r}: expected sum, margin or target")


def power(gradient: Tensor, o: float) -> Tensor:
    """Compute ||g||^o (N,) over all values of each gradient (N,3,H,W), in at least float32.

    Half precision cannot represent it.
    """
    return at_least_float32(gradient).square().sum((1, 2, 3)) ** (o / 2)


def penalty(powers: Tensor, k: float = 10.0) -> Tensor:
    """Compute (k/2) mean ||g||^o from the powers (N,) of one class. Eq. 3 adds those of positives and negatives."""
    return k / 2 * powers.mean()
