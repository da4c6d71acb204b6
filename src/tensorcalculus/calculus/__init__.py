"""How expressions are differentiated: forward, reverse, and the derivatives people ask for."""
