"""Planted bugs: small named mistakes, put into the product from outside, that the tests must find.

Tests that are green say nothing of what they would have found. So the catalogue holds mistakes that
real systems made and that this code could make, each as one replaced piece of source text. One is
planted in a child process, while the module is imported (`planting`); no file changes. Then the
unit suites of the rooms concerned and the seeded simulations have to notice.

    python -m tools.mutants                        all of them: a table, exit 1 when one survives
    python -m tools.mutants --only NAME --units    one, and only against the unit suites
    python -m tools.mutants --list
    python -m tools.mutants NAME -- pytest tests/raft -x       any module, with NAME planted

Reading order: `mutation`, `planting`, a file of `catalogue`, `simulations`, `trial`.
"""
