"""Every model with every q that the package ships: what it is, checked at random, and learned.

>>> from companion.studies.catalogue import measure, models_table, rows_table
"""

from companion.studies.catalogue.forms import FORMS, in_words, matching_forms
from companion.studies.catalogue.listing import Entry, entries
from companion.studies.catalogue.rows import Row, measure, models_table, rows_table

__all__ = [
    "FORMS",
    "Entry",
    "Row",
    "entries",
    "in_words",
    "matching_forms",
    "measure",
    "models_table",
    "rows_table",
]
