"""From weights to a verdict: is the value right, is the gradient right, and if not, what is it."""

from __future__ import annotations

from functools import cached_property

from companion.models.own.hypotheses import Fit, Sight, parts_of
from companion.models.own.looks import Look
from companion.models.own.shapes import known_shape
from companion.models.own.value import EXTRA, left_over
from companion.models.own.verdict import Judgement, Tolerances
from companion.models.own.words import SAMPLE_WORDS, SUBJECTS, factor, sum_of

__all__ = ["judge"]

LATENT_PATHS = {"m": "mean", "t": "standard deviation", "z": "sample"}
#: Ways to estimate the KL divergence that are as right as its closed form.
KIND_WORDS = {
    "sampled": "The KL divergence is estimated with the sample.",
    "path": "The gradient of log q is taken along the sample only: unbiased, less noisy near the "
    "optimum.",
}


class _Judge:
    def __init__(self, fit: Fit, sights: list[Sight], tolerances: Tolerances) -> None:
        self.fit, self.sights, self.tolerances = fit, sights, tolerances
        self.points = [sight.points for sight in sights]
        self.looks: list[Look] = [sight.looks[fit.key] for sight in sights]
        self.sizes = {
            "latents": self.looks[0].latents,
            "observables": self.looks[0].observed,
            "points": self.points[0],
        }
        self.said = Judgement()
        self.labels = list(fit.guess.columns)
        self.powers = {
            label: fit.power(label, self.points, tolerances.weight) for label in self.labels
        }
        # Weights at the first setting that was moved: nothing is zero there by chance.
        at = min(1, len(sights) - 1)
        self.weights = fit.weights[at]

    def one(self, ratio: float) -> bool:
        return abs(ratio - 1) <= self.tolerances.weight

    def names(self, label: str) -> str:
        return SUBJECTS.get(label, label)

    def base(self) -> tuple[str, float]:
        """The column that sets the scale: the reconstruction, unless only the KL is right."""
        first = next(
            (n for n in self.labels if n in ("all", "recon", "recon.d", "sq", "nll")), None
        )
        first = first or next((n for n in self.labels if n.startswith("other ")), self.labels[0])
        others = [n for n in self.labels if n in ("kl", "log")]
        for label in (first, *others):
            if self.powers[label] in (0, 1) and self.one(self.scaled(label)):
                return label, self.scaled(label)
        for label in (first, *others, *self.labels):
            if abs(self.weights[label]) > self.tolerances.weight:
                return label, self.scaled(label)
        return first, 1.0

    def scaled(self, label: str) -> float:
        power = self.powers[label]
        n = self.points[min(1, len(self.points) - 1)]
        return self.weights[label] / n ** (power or 0)

    def judge(self) -> Judgement:
        label, scale = self.base()
        self.scale_label, self.scale = label, scale
        power = self.powers[label]
        reading, _, made = self.fit.key
        if made == "μ − τε":
            self.said.notes.append(SAMPLE_WORDS[made])
        elif made in SAMPLE_WORDS:
            self.said.wrong(SAMPLE_WORDS[made])
        self.stand()
        if reading != "log-variance":
            self.said.notes.append(
                f"The encoder's second tensor is the {reading}, and was read so: return the "
                "log-variance, or a distribution."
            )
        kind = self.fit.guess.kind
        known = known_shape(
            self.fit.weights if self.scale_label == "recon" else [],
            self.left,
            self.looks,
            self.tolerances.weight,
        )
        if known:
            self.said.wrong(known)
        if kind.startswith("kl 1e"):
            self.said.wrong(f"The logarithm of the KL divergence has {kind[3:]} inside.")
        elif kind.startswith("kl of"):
            floor = self.looks[0].floors[kind[3:]]
            self.said.wrong(
                f"The KL divergence has free bits: the one {kind[3:]} is kept above {floor:.6g}."
            )
        for each in self.labels:
            if each != label and not known:
                self.column(each, self.relative(each, label))
        if power == 1:
            self.said.notes.append(
                f"It is a sum over the batch: {self.points[0]} times the bound per data point."
            )
        if scale < 0:
            self.said.wrong(
                "It is the bound itself, not its negative: an optimiser that lowers the loss "
                "lowers the bound."
            )
        elif not self.one(scale):
            self.said.notes.append(f"It is {scale:.6g} times the negative bound as a whole.")
        if kind in KIND_WORDS:
            self.said.notes.append(KIND_WORDS[kind])
        if not known:
            self.noise()
            self.value()
        return self.said

    def relative(self, label: str, base: str) -> float | None:
        ratios = [w[label] / w[base] for w in self.fit.weights]
        if self.powers[label] is None or self.powers[base] is None:
            spread = max(ratios) - min(ratios)
            if spread > self.tolerances.weight * max(map(abs, ratios)):
                return None
        if self.powers[label] != self.powers[base]:
            return ratios[0]
        return ratios[min(1, len(ratios) - 1)]

    def noise(self) -> None:
        """Another weight of a squared error is another variance, where that is fixed."""
        if self.labels != ["recon", "kl"] or parts_of(self.looks[0]) != ["sq"]:
            return
        share = self.relative("kl", "recon")
        if share and share > self.tolerances.weight and not self.one(share):
            self.said.notes.append(
                "Up to constants and a factor it is the bound for another variance of the noise, "
                f"{share:.6g} times the one given."
            )

    def stand(self) -> None:
        key = self.fit.guess.stand
        if not key:
            return
        stand = self.looks[0].stands[key.removeprefix("other ")]
        if stand.right:
            self.said.notes.append(f"The reconstruction term is {stand.words.rstrip(',')}.")
        else:
            self.said.wrong(f"The reconstruction term is {stand.words} not −log p(x|z).")

    def column(self, label: str, ratio: float | None) -> None:
        wrong = self.said.wrong
        # Numbers of data points explain a weight only where it grows with them.
        sizes = self.sizes if label in ("recon", "kl") or label.startswith("other ") else {}
        if self.powers[label] == self.powers[self.scale_label]:
            sizes = {name: size for name, size in sizes.items() if name != "points"}
        if ratio is None:
            wrong(f"The weight of the {self.names(label)} varies with parameters or data.")
            return
        if label.startswith("decay "):
            if abs(ratio) > self.tolerances.weight**2:
                wrong(f"It has {label.removeprefix('decay ')} added, with weight {ratio:.6g}.")
            return
        if label in ("m1", "tau1", "tau4"):
            if abs(ratio) > self.tolerances.weight:
                wrong(f"The KL divergence has a term {EXTRA[label]}, with weight {ratio:.6g}.")
            return
        if self.one(ratio):
            return
        stem, _, path = label.partition(".")
        if path in LATENT_PATHS:
            through = LATENT_PATHS[path]
            term = {"recon": "the reconstruction", "zz": "log p(z)", "lq": "log q(z)"}.get(
                stem, f"the {self.names(stem)}"
            )
            if abs(ratio) <= self.tolerances.weight:
                wrong(
                    f"No gradient of {term} reaches the encoder by way of the {through}: it is "
                    "detached.",
                    value=False,
                )
            else:
                wrong(
                    f"The gradient of {term} by way of the encoder's {through} is "
                    f"{factor(ratio, sizes, self.tolerances.weight)}.",
                    value=False,
                )
            return
        wrong(f"The {self.names(label)} is {factor(ratio, sizes, self.tolerances.weight)}.")

    @cached_property
    def left(self) -> list[tuple[float, float]]:
        """What the terms leave of the value in each sight, and the round-off allowed, per point."""
        return left_over(self.fit, self.sights, self.scale_label, self.tolerances.value)

    def value(self) -> None:
        """What the terms leave of the value: nothing, or a constant that has a name."""
        left = self.left
        if all(abs(rest) <= allowed for rest, allowed in left):
            return
        rest, allowed = left[0]
        recon = self.relative("recon", self.scale_label) if "recon" in self.labels else None
        recon = 1.0 if recon is None else recon
        sums = [
            (sum_of(-rest, named, 10 * allowed), sum_of(rest, named, 10 * allowed))
            for (rest, allowed), look in zip(left, self.looks, strict=True)
            for named in [{k: v * recon for k, v in look.constants.items()} | look.closed]
        ]
        lost, more = sums[0] if len(set(sums)) == 1 else (None, None)
        if not (lost or more) and any(
            abs(rest - other) > allowed + more for other, more in left[1:]
        ):
            self.said.wrong(
                "The value has a part without a gradient that varies with parameters or data.",
                gradient=False,
            )
            return
        look = self.looks[0]
        if abs(rest - (1 - recon) * look.constant) <= 10 * allowed:
            return  # the reconstruction's constants keep a weight of one
        if lost:
            verb = "constants {} are" if " and " in lost else "constant {} is"
            scaled = not self.one(recon) and any(name in lost for name in look.constants)
            times = f", {recon:.6g} times as the whole reconstruction term" if scaled else ""
            sentence = (
                f"The {verb.format(lost)} missing{times}: {-rest:.6g} nats for each data point."
            )
        elif more:
            sentence = f"The constant {more} is there twice: {rest:.6g} nats for each data point."
        else:
            sentence = f"The value is off by a constant, {rest:.6g} nats for each data point."
        self.said.wrong(sentence, gradient=False)


def judge(fit: Fit, sights: list[Sight], tolerances: Tolerances) -> Judgement:
    """The verdict on a loss whose gradient a guess fits."""
    return _Judge(fit, sights, tolerances).judge()
