"""All rules: importing this module registers them, in the order in which they are tried."""

from tensorcalculus.simplify import commuting, jumps, maps, operations, products, reshapes, sums

__all__ = ["commuting", "jumps", "maps", "operations", "products", "reshapes", "sums"]
