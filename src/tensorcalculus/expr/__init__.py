"""What an expression is: interned nodes, dimensions, tables of functions and operations."""
