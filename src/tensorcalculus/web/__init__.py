"""`tcalc serve`: a page for formulas and their derivatives, on the machine of its user."""
