"""Models over devices, threads and batch sizes: the story of ``compaudit bench``, told in `story`.

`subjects` holds what is known of the models, `document` makes the report.
"""

from compaudit.sweep.story import bench

__all__ = ["bench"]
