"""Results become rows: all wording of all reports, in one place.

Cells are text already; a renderer only lays them out.
"""
