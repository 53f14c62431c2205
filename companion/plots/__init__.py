"""Records and arrays to figures that carry their alternative text; imports no model."""

from companion.plots.base_measures import dispersion_and_gap, true_and_pseudo_entropy
from companion.plots.catalogue import residual_lines
from companion.plots.codes import sparse_codes
from companion.plots.counterexamples import gaps_by_cause, penalty_law
from companion.plots.discrete import category_bands, gap_over_variance, inverse_temperature
from companion.plots.display import COLOURS, show, show_animation, style
from companion.plots.entropies import code_length
from companion.plots.equality import (
    before_and_after,
    certificate_ratios,
    noise_by_samples,
    orders_of_convergence,
    unbounded_sum,
)
from companion.plots.exponential_families import (
    criterion_residuals,
    histogram_and_density,
    log_partition_plane,
    residual_against_nodes,
    tangent_and_entropy,
)
from companion.plots.frequencies import count_frequencies
from companion.plots.histograms import mixture_histograms
from companion.plots.identity import (
    affine_gap,
    along_direction,
    gap_against_slope,
    predicted_and_measured,
    thermometer,
)
from companion.plots.images import image_grid
from companion.plots.latents import (
    active_latents,
    contributions_by_noise,
    contributions_over_steps,
    prior_and_posterior_variances,
    sorted_contributions,
)
from companion.plots.learning import bound_and_entropies, gap_and_gradient
from companion.plots.manifolds import (
    data_and_samples,
    latent_planes,
    latents_in_use,
    point_clouds,
)
from companion.plots.mixtures import component_ellipses
from companion.plots.parts import gap_by_dimension, gap_by_layer
from companion.plots.profiled import (
    bias_by_batch,
    distance_by_start,
    runaway,
    spectra,
    steps_by_rate,
)
from companion.plots.residuals import residuals_by_case
from companion.plots.sections import ascent, cross_section
from companion.plots.seeds import (
    BANDS,
    entropies_over_seeds,
    gap_against_gradient,
    over_seeds,
    panels_over_seeds,
)
from companion.plots.streaming import after_switch, choice_strips, score_traces
from companion.plots.surfaces import maps, meeting_surfaces
from companion.plots.tempering import (
    rescaled,
    tempered_curves,
    tempered_densities,
    thermometer_images,
)
from companion.plots.vae import (
    bounds_by_model,
    gap_in_certificate,
    latent_curve,
    three_entropies,
)

__all__ = [
    "BANDS",
    "COLOURS",
    "active_latents",
    "affine_gap",
    "after_switch",
    "along_direction",
    "ascent",
    "before_and_after",
    "bias_by_batch",
    "bound_and_entropies",
    "bounds_by_model",
    "category_bands",
    "certificate_ratios",
    "choice_strips",
    "code_length",
    "component_ellipses",
    "contributions_by_noise",
    "contributions_over_steps",
    "count_frequencies",
    "criterion_residuals",
    "cross_section",
    "data_and_samples",
    "dispersion_and_gap",
    "distance_by_start",
    "entropies_over_seeds",
    "gap_against_gradient",
    "gap_against_slope",
    "gap_and_gradient",
    "gap_by_dimension",
    "gap_by_layer",
    "gap_in_certificate",
    "gap_over_variance",
    "gaps_by_cause",
    "histogram_and_density",
    "image_grid",
    "inverse_temperature",
    "latent_curve",
    "latent_planes",
    "latents_in_use",
    "log_partition_plane",
    "maps",
    "meeting_surfaces",
    "mixture_histograms",
    "noise_by_samples",
    "orders_of_convergence",
    "over_seeds",
    "panels_over_seeds",
    "penalty_law",
    "point_clouds",
    "predicted_and_measured",
    "prior_and_posterior_variances",
    "rescaled",
    "residual_against_nodes",
    "residual_lines",
    "residuals_by_case",
    "runaway",
    "score_traces",
    "show",
    "show_animation",
    "sorted_contributions",
    "sparse_codes",
    "spectra",
    "steps_by_rate",
    "style",
    "tangent_and_entropy",
    "tempered_curves",
    "tempered_densities",
    "thermometer",
    "thermometer_images",
    "three_entropies",
    "true_and_pseudo_entropy",
    "unbounded_sum",
]
