"""Counts the MACs of every model named on stdin; one process for all, in which inference may crash.

Writes a line of JSON for each: its path, the total, the coverage and what was not counted.
"""

from __future__ import annotations

import json
import sys

from compaudit.measure.ledger import take
from compaudit.measure.macs.count import count_macs
from compaudit.measure.macs.counting import nonzero_shares
from compaudit.models import open as models
from compaudit.models.onnx.shapes import infer_shapes


def main() -> None:
    for line in sys.stdin:
        source = models.recognise(line.rstrip("\n"))
        model = models.read(source, trust_model_code=False)
        counted = count_macs(model, infer_shapes(source, {}), nonzero_shares(take(model)))
        assert counted is not None
        row = (source.path, counted.total, counted.nonzero, counted.coverage, counted.uncounted_ops)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
