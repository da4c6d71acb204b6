"""`python -m tensorcalculus.cli`: the same as the command `tcalc`."""

from tensorcalculus.cli import main

main()
