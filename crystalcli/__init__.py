"""crystal: build crystal graphs, train graph neural networks on them, predict, relax, screen, run dynamics."""

__version__ = "0.1.0"
