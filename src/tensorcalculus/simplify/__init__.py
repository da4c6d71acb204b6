"""How expressions become short: named rules over a normal form that building already gives."""
