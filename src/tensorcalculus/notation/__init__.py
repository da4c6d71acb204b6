"""Reading formulas: grammar, syntax tree and what is built from it."""
