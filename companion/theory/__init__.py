"""The paper in code: models and q, ELBO and entropy sum, criterion, identity, and what follows."""
