"""Measure the detector on sets of other people, at its frozen threshold: python pipeline/external.py"""

from pathlib import Path

import pandas as pd

from fakeface.base import stage_output
from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import write_figures
from fakeface.detector.decision import load_rule
from fakeface.evaluation.external import external_headline, external_report
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        rule = load_rule("models/cn.safetensors")
        tables = {name: pd.read_csv(Path(f"reports/external/{name}.csv")) for name in params.external}
        predictions = pd.read_csv("data/predictions.csv", keep_default_na=False)
        report = external_report(params, rule.threshold, tables, predictions)
        write_figures("external", params, report, external_headline(report))
        print(stage_output.external(report))
