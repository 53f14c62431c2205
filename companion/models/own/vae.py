"""Is my loss an ELBO? The three entropies of any VAE, and what its loss is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td

from companion.models.own.doors import as_points, noises_of, scalar_of, sum_of_tensors
from companion.models.own.hypotheses import Key, Sight, first_fit, free_bits, narrow, wide
from companion.models.own.judge import judge
from companion.models.own.looks import SAMPLES
from companion.models.own.noise import Draw, Recorder
from companion.models.own.outputs import decoded, encoded, matched, other_readings
from companion.models.own.pieces import look
from companion.models.own.programs import Program
from companion.models.own.record import VAEVerification, entropies
from companion.models.own.regress import rows
from companion.models.own.temper import stripped
from companion.models.own.terms import terms_of
from companion.models.own.verdict import DOUBLE, SINGLE, Judgement, Tolerances
from companion.models.own.weighted import other_bound, unexplained
from companion.support.checks import positive_integer
from companion.support.doors import door

__all__ = ["verify_vae"]

RIGHT = "μ + τε"


@door
def verify_vae(
    encoder: Callable[[Tensor], Any],
    decoder: Callable[[Tensor], Any],
    x: Any,
    prior: td.Distribution | Callable[[], td.Distribution] | None = None,
    loss: Callable[[Tensor], Any] | None = None,
    samples: int = 1,
    seed: int = 0,
    *,
    likelihood: str | None = None,
    variance: Any = 1.0,
) -> VAEVerification:
    """ELBO, three entropies, gap and slope of a VAE; and whether its loss is that ELBO.

    F = E_q log p(x|z) + E_q log p(z) + H[q], S = H[q] − H[p(z)] − E_q H[p(x|z)], and F − S is the
    slope of F as prior and noise become colder, at any parameters. The loss is judged apart: its
    gradient is compared with those of all terms of F, by each path on which they reach a parameter.

    Parameters
    ----------
    encoder
        x to q(z|x): a distribution of torch, or mean and log-variance.
    decoder
        z to p(x|z): a distribution, mean and log-variance, or a tensor with ``likelihood``.
    x
        Data, the points along the first dimension; some hundred do.
    prior
        p(z), or a function that gives it if it is learned; by default N(0, I).
    loss
        x to what training minimises: a scalar, or a dictionary or object with an entry ``loss``.
    samples
        Samples for each data point behind the entropies; the loss draws its own.
    seed
        Of all draws.
    likelihood
        What a decoder's tensor is: ``bernoulli`` (probabilities), ``bernoulli_logits``,
        ``gaussian`` (means), ``laplace`` (means, scale one), ``poisson`` (rates), ``categorical``
        (logits).
    variance
        Of the Gaussian noise, where ``likelihood`` is ``gaussian``.

    Raises
    ------
    ValueError
        If x is empty or not finite; if encoder, decoder or loss return something else than above.

    Everything is left as it was: parameters, gradients, buffers, modes, random states. Source: this
    companion; the entropies are those of Damm et al. (arXiv:2010.14860).

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> encoder, decoder = torch.nn.Linear(8, 6), torch.nn.Linear(3, 8)
    >>> def loss(x):
    ...     mean, log_variance = encoder(x).chunk(2, -1)
    ...     z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
    ...     kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
    ...     return (0.5 * (x - decoder(z)) ** 2).sum() / len(x) + kl
    >>> report = verify_vae(
    ...     lambda x: encoder(x).chunk(2, -1), decoder, torch.rand(20, 8), loss=loss,
    ...     likelihood="gaussian",
    ... )
    >>> report.findings[0]
    'The KL divergence is 1/H = 0.3333 times what it should be (averaged over the 3 latents?).'
    """
    positive_integer(samples, "samples")
    if not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number from 0 to 2⁶³ − 1: got {seed!r}")
    try:
        check = _Check(encoder, decoder, as_points(x), prior, loss, seed, likelihood, variance)
        return check.report(samples)
    except ValueError as error:
        first, *more = str(error).split("\n")
        if not more:
            raise
        # torch's own sentence on a parameter of a distribution prints all of its values.
        raise ValueError(f"encoder and decoder must give distributions at x: {first}") from error


@dataclass
class _Check:
    encoder: Callable[[Tensor], Any]
    decoder: Callable[[Tensor], Any]
    x: Tensor
    prior: td.Distribution | Callable[[], td.Distribution] | None
    loss: Callable[[Tensor], Any] | None
    seed: int
    likelihood: str | None
    variance: Any
    notes: list[str] = field(default_factory=list)
    reading: str = "log-variance"

    def __post_init__(self) -> None:
        functions = [self.encoder, self.decoder, self.prior, self.loss]
        self.program = Program([f for f in functions if callable(f)], self._once)

    def _once(self) -> Tensor:
        """Everything that has parameters, once, as it stands."""
        q = encoded(self.encoder(self.x))
        total = sum_of_tensors(self._decode(q.rsample()))
        return total if self.loss is None else total + scalar_of(self.loss(self.x))

    def _decode(self, z: Tensor, x: Tensor | None = None) -> td.Distribution:
        x = self.x if x is None else x
        return decoded(self.decoder(z), x, self.likelihood, self.variance)

    def _prior(self) -> td.Distribution | None:
        given: Any = self.prior
        return given() if callable(given) else given

    def report(self, samples: int) -> VAEVerification:
        """Entropies at the parameters as given, then the verdict on the loss."""
        self._settle()
        value, said = (None, Judgement(None, None)) if self.loss is None else self._judge()
        with self.program.setting(seed=self.seed):
            q = encoded(self.encoder(self.x), self.reading)
            three = entropies(q, self._decode, matched(self._prior(), q), self.x, samples)
        notes = tuple(dict.fromkeys((*said.notes, *self.notes)))
        right = said.value_right, said.gradient_right
        return VAEVerification(three, value, *right, tuple(said.findings), notes)

    def _settle(self) -> None:
        """Take float64 if the program runs in it."""
        self.program.dtype = torch.float64
        try:
            with self.program.setting(seed=self.seed):
                self._once()
        except (RuntimeError, TypeError) as error:
            self.program.dtype = None
            first = str(error).split("\n")[0]
            self.notes.append(
                "It does not run in float64 and is judged in its own precision, in which what "
                "changes a gradient by less than a thousandth, as may 1e-3 inside a logarithm, "
                f"can't be seen: {first}"
            )

    def _judge(self) -> tuple[float, Judgement]:
        assert self.loss is not None
        tolerances = SINGLE if self.program.dtype is None else DOUBLE.of(self.program.coarsest)
        sights: list[Sight] = []
        keys: list[Key] = []
        floors: list[tuple[str, float]] = []
        spare: Judgement | None = None
        for stage in ("narrow", "wide", "floors"):
            if stage == "floors" and not (floors := free_bits(sights, keys[0])):
                break
            sights = [
                self._sight(moved, self.x[:count], stage == "wide", floors)
                for moved, count in ((False, len(self.x)), (True, len(self.x)), (True, self._half))
                if count
            ]
            keys = list(sights[0].looks)
            seen = sights[0].looks[keys[0]]
            tiers = list(narrow(seen)) if stage != "floors" else []
            tiers += list(wide(seen)) if stage != "narrow" else []
            fit, other = first_fit(sights, keys, tiers, tolerances.floor, tolerances.fit)
            if other is not None and spare is None:
                spare = judge(other, sights, tolerances)
            if fit is not None:
                verdict = judge(fit, sights, tolerances)
                verdict.notes += seen.notes
                self.reading = fit.key[0]
                return sights[0].value, verdict
        found = spare or self._weighted(tolerances) or unexplained(keys[0][2] == RIGHT)
        return sights[0].value, found

    @property
    def _half(self) -> int:
        return len(self.x) // 2 if len(self.x) >= 4 else 0

    def _weighted(self, tolerances: Tolerances) -> Judgement | None:
        """What a loss is that is none of one sample and one layer of latents."""
        draws, _, target = self._run(True, self.x)
        with self.program.setting(True, self.seed):
            q = stripped(encoded(self.encoder(self.x), self.reading))
            prior = stripped(matched(self._prior(), q))
            around = (self._decode, self.x, draws, tolerances.fit)
            return other_bound(self.program, torch.cat(target), q, prior, *around)

    def _run(self, moved: bool, x: Tensor) -> tuple[list[Draw], float, list[Tensor]]:
        """What the loss draws, its value, and the rows of its gradient."""
        assert self.loss is not None
        recorder = Recorder()
        with self.program.setting(moved, self.seed, [recorder]):
            value = scalar_of(self.loss(x))
            return recorder.draws, float(value.detach()), rows(self.program.gradient(value))

    def _sight(self, moved: bool, x: Tensor, broad: bool, floors: list[tuple[str, float]]) -> Sight:
        draws, value, target = self._run(moved, x)
        with self.program.setting(moved, self.seed):
            given = self.encoder(x)
            q = encoded(given)
            noises = noises_of(draws, q)
            looks = {}
            for key in self._keys(given, len(noises), bool(draws), broad):
                reading, number, sample = key
                looks[key] = look(
                    self.program,
                    given,
                    reading,
                    lambda z: terms_of(self._decode(z, x), x),
                    self._prior(),
                    noises[number],
                    SAMPLES[sample],
                    broad,
                    floors,
                )
                looks[key].observed = x[0].numel()
        return Sight(len(x), value, target, looks)

    def _keys(self, given: Any, noises: int, drawn: bool, broad: bool) -> list[Key]:
        first = "log-variance"
        made = RIGHT if drawn else "μ"
        keys = [(first, number, made) for number in range(noises)]
        if broad and drawn:
            keys += [(first, 0, sample) for sample in SAMPLES if sample != RIGHT]
        if broad and not isinstance(given, td.Distribution):
            keys += [(reading, 0, made) for reading in other_readings(given)]
        return keys
