"""All rules: importing this module registers them, in the order in which they are tried."""

from tensorcalculus.simplify import maps, operations, products, sums

__all__ = ["maps", "operations", "products", "sums"]
