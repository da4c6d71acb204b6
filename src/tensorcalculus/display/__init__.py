"""How work and its results are shown: a status line, labelled rows, axes to draw on."""
