"""Cross approximation: matrices and tensor trains from few of their entries."""
