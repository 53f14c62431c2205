"""The paper in code: models and q, ELBO and entropy sum, criterion, identity, and what follows.

In the order to read it: ``nodes`` and ``variational`` are the distributions q, ``model`` is what a
generative model is; ``elbo`` has both sides of the theorem, ``criterion`` (with ``equations`` and
``solvers``) its condition, ``identity`` the theorem at any parameters. Then ``scores`` puts the
criterion without natural parameters, ``factors`` is the proof line by line, ``objective`` the ELBO
as a function to be maximised, ``projection`` goes to where ELBO and entropy sum are equal,
``explain`` says why they are not, and ``module_check`` (with ``module_sides``) takes any module of
torch, which ``module_state`` runs in float64 and leaves as it was.
"""
