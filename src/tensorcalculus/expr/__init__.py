"""What an expression is: interned nodes, dimensions, and the two tables of functions and operations."""
