"""Encoder and decoder: activations, and standard deviations from exp or softplus."""

import pytest
import torch

from companion import datasets, models, verify

DRAWS = 5


def networks(activation, scale="exp", learnable_prior=False):
    model = models.GaussianVAE(10, 2, (6, 4), "head", learnable_prior, activation=activation)
    encoder = models.Encoder(10, 2, (6, 4), activation, scale)
    draws = torch.Generator().manual_seed(DRAWS)
    start = [one.initial_parameters(draws) for one in (model, encoder)]
    return model, encoder, *({k: v + 0.1 for k, v in one.items()} for one in start)


@pytest.mark.parametrize(("activation", "bend"), [("tanh", torch.nn.Tanh), ("relu", torch.nn.ReLU)])
@pytest.mark.parametrize(
    ("scale", "head", "last"),
    [("exp", "log_std", torch.exp), ("softplus", "std", torch.nn.functional.softplus)],
)
def test_networks_are_those_of_torch(activation, bend, scale, head, last):
    model, encoder, own, phi = networks(activation, scale)

    def layers(parameters, sizes, output):
        modules = []
        for index, (inputs, outputs) in enumerate(sizes):
            modules += [torch.nn.Linear(inputs, outputs, dtype=torch.float64), bend()]
            modules[-2].weight.data = parameters[f"hidden{index}.weights"]
            modules[-2].bias.data = parameters[f"hidden{index}.bias"]
        modules.append(torch.nn.Linear(4, 10, dtype=torch.float64))
        modules[-1].weight.data = parameters[f"{output}.weights"]
        modules[-1].bias.data = parameters[f"{output}.bias"]
        return torch.nn.Sequential(*modules)

    x = datasets.pca_ring(7)
    mean, std = encoder(phi, x)
    assert torch.allclose(mean, layers(phi, [(10, 6), (6, 4)], "mean")(x), atol=1e-14)
    assert torch.allclose(std, last(layers(phi, [(10, 6), (6, 4)], head)(x)), atol=1e-14)
    z = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(
        model.decode(own, z), layers(own, [(2, 6), (6, 4)], "mean")(z), atol=1e-14
    )


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("learnable_prior", [False, True])
def test_the_identity_holds_for_either_activation(activation, learnable_prior):
    model, encoder, own, phi = networks(activation, learnable_prior=learnable_prior)
    x = datasets.pca_ring(20)
    report = verify(model, own, encoder.posterior(phi, x), x)
    assert report.relative_residual < 1e-12 and abs(report.gap) > 0.01


def test_a_softplus_of_the_encoder_leaves_no_direction_unless_the_prior_is_learned():
    x = datasets.pca_ring(20)
    model, encoder, own, phi = networks("relu", "softplus")
    report = verify(model, own, encoder.posterior(phi, x), x)
    assert report.slope != report.slope and report.gradient_norm > 0  # there is no slope
    with pytest.raises(ValueError, match='scale="softplus" has no rescaling'):
        encoder.rescaling(phi, 0.5)
    model, encoder, own, phi = networks("relu", "softplus", learnable_prior=True)
    assert verify(model, own, encoder.posterior(phi, x), x).relative_residual < 1e-12


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: models.Encoder(3, 2, (4,), "sin"), "activation must be one of tanh, relu"),
        (lambda: models.Encoder(3, 2, (4,), "tanh", "abs"), "scale must be one of exp, softplus"),
        (lambda: models.GaussianVAE(3, 2, activation="gelu"), "activation must be one of"),
        (lambda: models.Encoder(3, 2, (0,)), "every entry of hidden"),
    ],
)
def test_other_networks_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
