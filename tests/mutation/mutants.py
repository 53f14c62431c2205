"""Mistakes on purpose: each is one change of text in the package that a test must notice."""

from __future__ import annotations

from dataclasses import dataclass

from tests.mutation.em_mutants import em_mutants
from tests.mutation.family_mutants import family_mutants
from tests.mutation.model_mutants import model_mutants
from tests.mutation.training_mutants import training_mutants

IDENTITY = "tests/theory/test_identity.py"
ELBO = "tests/theory/test_elbo.py"
FAMILIES = "tests/families/test_families.py"
CRITERION = "tests/theory/test_criterion.py"
GAP = "tests/theory/test_verify.py"
PROJECTION = "tests/theory/test_projection.py"
FIT = "tests/fit/test_fit.py"
MAXIMISE = "tests/fit/test_maximise.py"
VARIATIONAL = "tests/theory/test_variational.py"
NODES = "tests/theory/test_nodes.py"
BAD = "tests/theory/test_bad_input.py"
INTEROP = "tests/models/test_from_sklearn.py"


@dataclass(frozen=True)
class Mutant:
    """Replace ``old`` by ``new`` in ``companion/<file>``; ``tests`` with ``-k only`` must fail.

    ``old`` must occur exactly ``times`` times in the file; all of them are replaced.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str
    only: str
    times: int = 1


def identity(of: str) -> str:
    """The identity itself, for the cases whose names contain ``of``."""
    return f"far_from_any_optimum and ({of})"


# --- the direction v ------------------------------------------------------------------------------

VAE = "models/vae/gaussian.py"
NETWORKS = "models/vae/networks.py"
LINEAR = "models/linear_gaussian.py"
LINEAR_DECODER = "models/linear_decoder.py"
SCALED = "models/scaled.py"
MIXTURES = "models/mixtures/base.py"
GAUSSIANS = "models/mixtures/gaussian.py"
SBN = "models/sigmoid_belief.py"
SPARSE = "models/sparse/coding.py"
GAUSSIAN = "families/gaussian.py"
BINARY = "families/bernoulli.py"

DIRECTIONS = (
    Mutant(
        "v of the sigmoid belief net turned round",
        SBN,
        "        return dict(parameters)\n",
        "        return {k: -t for k, t in parameters.items()}\n",
        IDENTITY,
        identity("sbn"),
    ),
    Mutant(
        "v of the sigmoid belief net without its prior",
        SBN,
        "        return dict(parameters)\n",
        '        return dict(parameters) | {"prior_logits": 0 * parameters["prior_logits"]}\n',
        IDENTITY,
        identity("sbn"),
    ),
    Mutant(
        "v of the deep net without its hidden layer's biases",
        SBN,
        "        return dict(parameters)\n",
        '        return dict(parameters) | {"hidden.bias": 0 * parameters["hidden.bias"]}\n',
        IDENTITY,
        identity("deep"),
    ),
    Mutant(
        "sign of the noise block of v, linear models",
        LINEAR_DECODER,
        '"log_variance": -torch.ones_like(',
        '"log_variance": torch.ones_like(',
        IDENTITY,
        identity("ppca"),
    ),
    Mutant(
        "noise block of v halved, as if for log σ",
        LINEAR_DECODER,
        '"log_variance": -torch.ones_like(',
        '"log_variance": -0.5 * torch.ones_like(',
        IDENTITY,
        identity("factoranalysis"),
    ),
    Mutant(
        "sign of the block of v on W, linear models",
        SCALED,
        "direction[name] + part",
        "direction[name] - part",
        IDENTITY,
        identity("ppca or factoranalysis"),
    ),
    Mutant(
        "q not rescaled in linear models",
        SCALED,
        "0.0 if self.learnable_prior else self.fixed_rate",
        "0.0",
        IDENTITY,
        identity("ppca-fixed"),
    ),
    Mutant(
        "sign of the block of v on learnable prior variances",
        SCALED,
        "-torch.ones_like",
        "torch.ones_like",
        IDENTITY,
        identity("learnable"),
    ),
    Mutant(
        "rescaling of a free q turned round",
        "theory/variational.py",
        '{"mean": rates * self.mean, "scale": rows * self.scale}',
        '{"mean": -rates * self.mean, "scale": -rows * self.scale}',
        IDENTITY,
        identity("ppca-fixed"),
    ),
    Mutant(
        "rescaling of a free q forgets the mean",
        "theory/variational.py",
        '{"mean": rates * self.mean,',
        '{"mean": 0 * self.mean,',
        IDENTITY,
        identity("ppca-fixed and full"),
    ),
    Mutant(
        "rescaling of an encoder forgets its bias",
        NETWORKS,
        '"mean.bias": rates * parameters["mean.bias"],',
        '"mean.bias": 0 * parameters["mean.bias"],',
        IDENTITY,
        identity("encoder"),
    ),
    Mutant(
        "rescaling of an encoder doubles the log-std, as if a log-variance",
        NETWORKS,
        'rates * torch.ones_like(parameters["log_std.bias"])',
        '2 * rates * torch.ones_like(parameters["log_std.bias"])',
        IDENTITY,
        identity("encoder"),
    ),
    Mutant(
        "sign of the noise block of v, Gaussian VAEs",
        VAE,
        "{name: -torch.ones_like(parameters[name])}",
        "{name: torch.ones_like(parameters[name])}",
        IDENTITY,
        identity("vae-scalar or vae-head"),
    ),
    Mutant(
        "v of VAE-3 on the weights of the variance head instead of its bias",
        VAE,
        'name = "log_variance.bias" if',
        'name = "log_variance.weights" if',
        IDENTITY,
        identity("vae-head"),
    ),
    Mutant(
        "sign of the block of v on weights that read z, Gaussian VAEs",
        SCALED,
        "direction[name] + part",
        "direction[name] - part",
        IDENTITY,
        identity("vae-scalar-fixed"),
    ),
    Mutant(
        "a variance head that reads z is forgotten in v",
        NETWORKS,
        '("hidden0",) if self.hidden else self.heads',
        '("hidden0",) if self.hidden else self.heads[:1]',
        IDENTITY,
        identity("vae-head-fixed-0-hidden"),
    ),
    Mutant(
        "v of VAE-0 without its last biases",
        NETWORKS,
        'in (f"{head}.weights", f"{head}.bias")}',
        'in (f"{head}.weights",)}',
        IDENTITY,
        identity("vae-known"),
    ),
    Mutant(
        "v of discrete VAEs without the last weights",
        NETWORKS,
        'in (f"{head}.weights", f"{head}.bias")}',
        'in (f"{head}.bias",)}',
        IDENTITY,
        identity("bernoulli-vae or categorical-vae"),
    ),
    Mutant(
        "sign of the block of v on weights that read z, discrete VAEs",
        SCALED,
        "direction[name] + part",
        "direction[name] - part",
        IDENTITY,
        identity("bernoulli-vae or categorical-vae"),
    ),
    Mutant(
        "sign of the noise block of v, sparse coding",
        LINEAR_DECODER,
        '"log_variance": -torch.ones_like(',
        '"log_variance": torch.ones_like(',
        IDENTITY,
        identity("sparse-coding"),
    ),
    Mutant(
        "sign of the block of v on Laplace scales",
        SCALED,
        "-torch.ones_like",
        "torch.ones_like",
        IDENTITY,
        identity("sparse-coding"),
    ),
    Mutant(
        "block of v on the dictionary halved, as for a Gaussian prior",
        SCALED,
        "torch.tensor(self.fixed_rate,",
        "torch.tensor(0.5,",
        IDENTITY,
        identity("sparse-coding"),
    ),
    Mutant(
        "v of mixtures without the weights",
        MIXTURES,
        '{"prior_logits": parameters["prior_logits"]} | self',
        '{"prior_logits": 0 * parameters["prior_logits"]} | self',
        IDENTITY,
        identity("mixture"),
    ),
    Mutant(
        "sign of v on the Cholesky factors",
        GAUSSIANS,
        '"cholesky": -0.5 * torch.tril',
        '"cholesky": 0.5 * torch.tril',
        IDENTITY,
        identity("mixture-full or mixture-tied"),
    ),
    Mutant(
        "v on log-diagonals as if they were log-variances",
        GAUSSIANS,
        'parameters["log_diagonal"], -0.5)',
        'parameters["log_diagonal"], -1.0)',
        IDENTITY,
        identity("mixture-full or mixture-tied"),
    ),
    Mutant(
        "sign of v on mixture variances",
        GAUSSIANS,
        '{"log_variance": -torch.ones_like(',
        '{"log_variance": torch.ones_like(',
        IDENTITY,
        identity("mixture-spherical or mixture-diagonal"),
    ),
)

# --- ELBO and entropy sum -------------------------------------------------------------------------

TERMS = (
    Mutant(
        "the ELBO without the entropy of q",
        "theory/elbo.py",
        ".sum() + q.entropy().mean()\n",
        ".sum()\n",
        ELBO,
        "sbn_elbo or quadrature",
    ),
    Mutant(
        "the ELBO with half the entropy of q (a KL factor)",
        "theory/elbo.py",
        ".sum() + q.entropy().mean()\n",
        ".sum() + 0.5 * q.entropy().mean()\n",
        IDENTITY,
        identity("ppca or sbn"),
    ),
    Mutant(
        "the entropy of q summed, not averaged, over the data",
        "theory/elbo.py",
        ".sum() + q.entropy().mean()\n",
        ".sum() + q.entropy().sum()\n",
        IDENTITY,
        identity("ppca or sbn"),
    ),
    Mutant(
        "expectations summed, not averaged, over the data",
        "theory/elbo.py",
        "return total.mean() if",
        "return total.sum() if",
        ELBO,
        "sbn_elbo or brute",
    ),
    Mutant(
        "the entropy sum without its prior",
        "theory/elbo.py",
        "torch.stack(list(entropies.values())).sum() + base",
        'torch.stack([e for k, e in entropies.items() if k != "prior"]).sum() + base',
        IDENTITY,
        identity("sbn or vae-scalar"),
    ),
    Mutant(
        "the entropy sum without its observable",
        "theory/elbo.py",
        "torch.stack(list(entropies.values())).sum() + base",
        'torch.stack([e for k, e in entropies.items() if k != "observable"]).sum() + base',
        IDENTITY,
        identity("sbn or vae-scalar"),
    ),
    Mutant(
        "the entropy sum without its hidden layer",
        "theory/elbo.py",
        "torch.stack(list(entropies.values())).sum() + base",
        'torch.stack([entropies["prior"], entropies["observable"]]).sum() + base',
        IDENTITY,
        identity("deep"),
    ),
    Mutant(
        "the entropy sum without the posterior",
        "theory/elbo.py",
        "total = posterior - torch",
        "total = -torch",
        IDENTITY,
        identity("sbn"),
    ),
    Mutant(
        "the entropy sum without base measures",
        "theory/elbo.py",
        ".sum() + base\n",
        ".sum()\n",
        IDENTITY,
        identity("poisson or vae-known"),
    ),
    Mutant(
        "sign of the base measures",
        "theory/elbo.py",
        ".sum() + base\n",
        ".sum() - base\n",
        IDENTITY,
        identity("poisson or vae-known"),
    ),
    Mutant(
        "true entropies where pseudo-entropies are due",
        "theory/elbo.py",
        "values = family.pseudo_entropy(natural) if pseudo else",
        "values = family.entropy(natural) if pseudo else",
        IDENTITY,
        identity("vae-known"),
    ),
    Mutant(
        "E|z| of sparse coding with a variance for a standard deviation",
        "models/sparse/expectations.py",
        "return q.scale.abs() if q.diagonal",
        "return q.scale**2 if q.diagonal",
        IDENTITY,
        "derivative_of_the_elbo and sparse or sparse and far_from",
    ),
)

# --- families and q -------------------------------------------------------------------------------

ENTROPIES = (
    Mutant(
        "PyTorch's softplus, wrong beyond 20",
        "families/numerics.py",
        "    return -torch.nn.functional.logsigmoid(-a)\n",
        "    return torch.nn.functional.softplus(a)\n",
        FAMILIES,
        "large_logits or softplus",
    ),
    Mutant(
        "half of the Bernoulli entropy missing",
        BINARY,
        "(on * softplus(-natural) + off * softplus(natural))",
        "(on * softplus(-natural))",
        FAMILIES,
        "Bernoulli and entropy",
    ),
    Mutant(
        "sign of the categorical entropy",
        "families/categorical.py",
        "        return -(log_p.exp() * log_p).sum(-1)\n",
        "        return (log_p.exp() * log_p).sum(-1)\n",
        FAMILIES,
        "Categorical and entropy",
    ),
    Mutant(
        "spherical entropy without log 2π",
        GAUSSIAN,
        "0.5 * size * (1 + LOG_2PI - torch.log(-2 * natural[..., -1]))",
        "0.5 * size * (1 - torch.log(-2 * natural[..., -1]))",
        FAMILIES,
        "SphericalGaussian and entropy or gaussian_entropies",
    ),
    Mutant(
        "spherical entropy of one dimension only",
        GAUSSIAN,
        "0.5 * size * (1 + LOG_2PI - torch.log(-2 * natural[..., -1]))",
        "0.5 * (1 + LOG_2PI - torch.log(-2 * natural[..., -1]))",
        IDENTITY,
        identity("ppca or vae-scalar"),
    ),
    Mutant(
        "diagonal entropy with the variance for its logarithm's half",
        GAUSSIAN,
        "(0.5 * (1 + LOG_2PI - torch.log(-2 * second)))",
        "(0.5 * (1 + LOG_2PI) - torch.log(-2 * second))",
        IDENTITY,
        identity("factoranalysis or vae-pixel"),
    ),
    Mutant(
        "diagonal entropy without its 1",
        GAUSSIAN,
        "(0.5 * (1 + LOG_2PI - torch.log(-2 * second)))",
        "(0.5 * (LOG_2PI - torch.log(-2 * second)))",
        FAMILIES,
        "DiagonalGaussian and entropy or gaussian_entropies",
    ),
    Mutant(
        "full entropy with log det for half of it",
        GAUSSIAN,
        "(1 + LOG_2PI) - half_log_det",
        "(1 + LOG_2PI) - 2 * half_log_det",
        FAMILIES,
        "FullGaussian and entropy or gaussian_entropies",
    ),
    Mutant(
        "pseudo-entropy of a known variance, sign",
        GAUSSIAN,
        "return -0.5 * self.variance * (natural",
        "return 0.5 * self.variance * (natural",
        IDENTITY,
        identity("vae-known"),
    ),
    Mutant(
        "Laplace entropy without its 1",
        "families/laplace.py",
        "(1 + math.log(2) - torch.log(-natural))",
        "(math.log(2) - torch.log(-natural))",
        IDENTITY,
        identity("sparse-coding"),
    ),
    Mutant(
        "the generic entropy without its second term",
        "families/base.py",
        "- (natural * self.mean_parameters(natural)).sum(-1)",
        "",
        FAMILIES,
        "agrees_with_the_generic",
    ),
    Mutant(
        "gradient of the generic entropy cut off, as in torch.distributions",
        "families/base.py",
        "self.log_partition(eta).sum())(natural)",
        "self.log_partition(eta).sum())(natural.detach())",
        FAMILIES,
        "gradient_of_the_entropy or forward_and_reverse",
    ),
    Mutant(
        "log 2π missing in the spherical log-partition",
        GAUSSIAN,
        "torch.log(-2 * second) + 0.5 * size * LOG_2PI",
        "torch.log(-2 * second)",
        ELBO,
        "likelihood or quadrature",
    ),
    Mutant(
        "log 2π missing in the diagonal log-partition",
        GAUSSIAN,
        "torch.log(-2 * second) + 0.5 * LOG_2PI",
        "torch.log(-2 * second)",
        FAMILIES,
        "densities_agree or integrate",
    ),
    Mutant(
        "log 2π missing in the full log-partition",
        GAUSSIAN,
        "- half_log_det + 0.5 * first.shape[-1] * LOG_2PI",
        "- half_log_det",
        FAMILIES,
        "densities_agree",
    ),
    Mutant(
        "PyTorch's inverse from a Cholesky factor, with its wrong forward derivative",
        GAUSSIAN,
        "    return inverse.mT @ inverse\n",
        "    return torch.cholesky_inverse(factor)\n",
        FAMILIES,
        "forward_and_reverse",
    ),
    Mutant(
        "standard deviation for variance in spherical natural parameters",
        GAUSSIAN,
        "precision = (1 / variance)[..., None]",
        "precision = (1 / variance.sqrt())[..., None]",
        FAMILIES,
        "densities_agree",
    ),
    Mutant(
        "entropy of a Gaussian q without log 2π",
        "theory/variational.py",
        "+ 0.5 * size * (1 + math.log(2 * math.pi))",
        "+ 0.5 * size",
        VARIATIONAL,
        "entropies_agree",
    ),
    Mutant(
        "entropy of a tabulated q, sign",
        "theory/variational.py",
        "        return -torch.where(q > 0, q * log_q, 0.0).sum(-1)\n",
        "        return torch.where(q > 0, q * log_q, 0.0).sum(-1)\n",
        VARIATIONAL,
        "tabulated_entropy",
    ),
    Mutant(
        "mean-field weights with on and off exchanged",
        "theory/variational.py",
        "log_on @ self.states.T + log_off @ (1 - self.states).T",
        "log_off @ self.states.T + log_on @ (1 - self.states).T",
        VARIATIONAL,
        "mean_field",
    ),
    Mutant(
        "cubature points at the wrong distance",
        "theory/nodes.py",
        "points = math.sqrt(size) * torch.eye",
        "points = torch.eye",
        NODES,
        "cubature",
    ),
    Mutant(
        "physicists' Gauss–Hermite in place of the probabilists'",
        "theory/nodes.py",
        "np.polynomial.hermite_e.hermegauss(order)",
        "np.polynomial.hermite.hermgauss(order)",
        NODES,
        "gauss_hermite",
    ),
    Mutant(
        "Cholesky factor of q transposed",
        "theory/variational.py",
        "noise @ torch.tril(self.scale).mT",
        "noise @ torch.tril(self.scale)",
        VARIATIONAL,
        "mean_and_covariance",
    ),
)

# --- models ---------------------------------------------------------------------------------------

MODELS = (
    Mutant(
        "PPCA divides by N − 1",
        "models/factor_em.py",
        "first, second = first / len(x), second / len(x)",
        "first, second = first / len(x), second / (len(x) - 1)",
        FIT,
        "ppca_in_closed_form",
    ),
    Mutant(
        "likelihood of linear models with half of log det",
        LINEAR,
        "log_det = 2 * factor",
        "log_det = factor",
        ELBO,
        "likelihood_agrees",
    ),
    Mutant(
        "posterior covariance without the prior's precision",
        LINEAR,
        "W.T @ weighted + (1 / self.prior_widths(parameters)).diag()",
        "W.T @ weighted",
        ELBO,
        "closes_the_bound",
    ),
    Mutant(
        "closed-form entropy sum of linear models, sign of log det",
        LINEAR,
        "return -factor.diagonal().log().sum() - 0.5",
        "return factor.diagonal().log().sum() - 0.5",
        IDENTITY,
        "minus_the_entropy_of_x",
    ),
    Mutant(
        "log-variance head read as a log-std head",
        VAE,
        'noise[0].exp() if self.noise == "head"',
        '(2 * noise[0]).exp() if self.noise == "head"',
        IDENTITY,
        identity("vae-head"),
    ),
    Mutant(
        "M-step forgets to centre",
        GAUSSIANS,
        "            centered = x - mean\n",
        "            centered = x\n",
        FIT,
        "one_m_step",
    ),
    Mutant(
        "M-step divides by N − 1",
        GAUSSIANS,
        "responsibilities / count, means, data)",
        "responsibilities / (count - 1), means, data)",
        FIT,
        "one_m_step",
    ),
    Mutant(
        "M-step with uniform weights",
        GAUSSIANS,
        "return self.from_covariances(count / count.sum(), means, covariances)",
        "return self.from_covariances(torch.full_like(count, 1 / len(count)), means, covariances)",
        FIT,
        "one_m_step",
    ),
    Mutant(
        "tied covariance as a plain mean",
        GAUSSIANS,
        "torch.tensordot(count / count.sum(), covariances, 1)",
        "covariances.mean(0)",
        FIT,
        "one_m_step and tied",
    ),
    Mutant(
        "M-step drops its floor",
        GAUSSIANS,
        "        return covariances + floor\n",
        "        return covariances\n",
        FIT,
        "predicted_gap",
    ),
    Mutant(
        "dead components go unnoticed",
        GAUSSIANS,
        "if not bool((count > 1e-10).all()):",
        "if False:",
        FIT,
        "dies_or_collapses",
    ),
    Mutant(
        "PCA's loadings without the noise taken off",
        "models/from_sklearn.py",
        "torch.clamp(variances - estimator.noise_variance_, min=0)",
        "variances",
        INTEROP,
        "pca_is_off",
    ),
    Mutant(
        "components of FactorAnalysis taken for standard deviations",
        "models/from_sklearn.py",
        "_tensor(estimator.noise_variance_).log()",
        "2 * _tensor(estimator.noise_variance_).log()",
        INTEROP,
        "factor_analysis",
    ),
)

# --- checks that must not be blind ----------------------------------------------------------------

CHECKS = (
    Mutant(
        "tolerance of the criterion widened",
        "theory/criterion.py",
        "TOLERANCE = 1e-8\n",
        "TOLERANCE = 1e-2\n",
        CRITERION,
        "miss_the_criterion or near_misses",
    ),
    Mutant(
        "held-out nodes ignored",
        "theory/criterion.py",
        "equations(points[half:])",
        "equations(points[:half])",
        CRITERION,
        "training_nodes or too_few",
    ),
    Mutant(
        "undecided reported as fail",
        "theory/criterion.py",
        "found.rank >= len(target)",
        "False",
        CRITERION,
        "too_few",
    ),
    Mutant(
        "gauge ignored",
        "theory/equations.py",
        "eta - (eta @ basis) @ basis.T",
        "eta",
        CRITERION,
        "gauge",
    ),
    Mutant(
        "the certificate forgets the direction's length",
        "theory/identity.py",
        "math.fsum(g * v for g, v in",
        "math.fsum(g for g, v in",
        GAP,
        "gradient_norm_is",
    ),
    Mutant(
        "the slope taken for the gap, so that the residual is always zero",
        "theory/identity.py",
        "gap=float(self.value) - float(sums.total),",
        "gap=math.nan if v is None else math.fsum(blocks.values()),",
        IDENTITY,
        "reversing_any_block or named_terms",
    ),
    Mutant(
        "the slope computed from the gap, so that the residual is always zero",
        "theory/identity.py",
        "slope=math.nan if v is None else math.fsum(blocks.values()),",
        "slope=float(self.value) - float(sums.total),",
        IDENTITY,
        "reversing_any_block",
    ),
    Mutant(
        "residual without its absolute value",
        "theory/identity.py",
        "return abs(self.gap - self.slope)",
        "return self.gap - self.slope",
        IDENTITY,
        "far_from_any_optimum or reversing",
    ),
    Mutant(
        "projection goes downhill",
        "theory/projection.py",
        "ratio = torch.where(second < 0, first / -second, torch.inf)",
        "ratio = torch.where(second < 0, first / second, torch.inf)",
        PROJECTION,
        "closes_the_gap and ppca",
    ),
    Mutant(
        "projection accepts a lower ELBO",
        "theory/projection.py",
        "if reached >= value - slack]",
        "if True]",
        PROJECTION,
        "projection_shortens",
    ),
    Mutant(
        "projection stops too early",
        "theory/projection.py",
        "_TOLERANCE = 1e-13",
        "_TOLERANCE = 1e-4",
        PROJECTION,
        "closes_the_gap and sbn",
    ),
    Mutant(
        "projection skips the last block",
        "theory/projection.py",
        "for block in _blocks(model, q, variables):\n        variables = _climb",
        "for block in _blocks(model, q, variables)[:-1]:\n        variables = _climb",
        PROJECTION,
        "closes_the_gap and ppca",
    ),
    Mutant(
        "projection closes the sum of the gaps only",
        "theory/projection.py",
        "for block in _blocks(model, q, variables):\n        variables = _climb",
        'for block in [_Block("all", lambda merged: full_direction(model, tree.split(merged)[0], '
        "q.with_parameters(tree.split(merged)[1])))]:\n        variables = _climb",
        PROJECTION,
        "closes_the_gap and ppca",
    ),
    Mutant(
        "variances move together",
        "theory/projection.py",
        "entrywise = set(group) <= set(model.log_scales)",
        "entrywise = False",
        PROJECTION,
        "every_single_scale or closed_form",
    ),
    Mutant(
        "latents are not rescaled one by one",
        "theory/projection.py",
        "rates=rate * one))",
        "rates=rate * (one + 0.1)))",
        PROJECTION,
        "add_up_to_v",
    ),
    Mutant(
        "fits never warn",
        "fit/records.py",
        "            if not converged:\n"
        "                warnings.warn(message, ConvergenceWarning, stacklevel=3)\n",
        "",
        FIT,
        "stopped_early or too_soon",
    ),
    Mutant(
        "a fit that was asked for nothing has always converged",
        "fit/records.py",
        "SMALL_GRADIENT if tolerance is None",
        "1e9 if tolerance is None",
        FIT,
        "only_where_the_gradient_is_small",
    ),
    Mutant(
        "the last step of a fit is not verified",
        "fit/records.py",
        "        if self._logged[-1][0] != self._last[0]:\n            self._log()\n",
        "",
        FIT,
        "mean_the_same",
    ),
    Mutant(
        "Newton goes to saddles: signed eigenvalues",
        "fit/maximise.py",
        "/ eigenvalues[curved].abs())",
        "/ eigenvalues[curved])",
        FIT,
        "reaches_round_off",
    ),
    Mutant(
        "a step that is too long is not halved",
        "fit/maximise.py",
        "trial = vector + rate * 0.5**halved * move",
        "trial = vector + rate * move",
        MAXIMISE,
        "halves_the_steps",
    ),
    Mutant(
        "Adam goes downhill",
        "fit/maximise.py",
        "lr=learning_rate, maximize=True",
        "lr=learning_rate, maximize=False",
        FIT,
        "adam",
    ),
    Mutant(
        "data that are not binary go unnoticed",
        BINARY,
        "if bool(((x == 0) | (x == 1)).all()):\n            return None\n        return (",
        "if True:\n            return None\n        return (",
        BAD,
        "not_binary",
    ),
    Mutant(
        "NaN in the data goes unnoticed",
        "support/checks.py",
        "    if bad:\n",
        "    if False:\n",
        BAD,
        "bad_data",
    ),
    Mutant(
        "lists lose precision",
        "support/checks.py",
        'torch.as_tensor(np.require(x, requirements="W"))',
        "torch.as_tensor(x)",
        BAD,
        "good_data",
    ),
)

PLANTED = DIRECTIONS + TERMS + ENTROPIES + MODELS + CHECKS

MORE = (
    em_mutants(Mutant) + family_mutants(Mutant) + model_mutants(Mutant) + training_mutants(Mutant)
)

MUTANTS = PLANTED + MORE
