"""Measure the detector on sets of other people, at its frozen threshold: python pipeline/external.py"""

from pathlib import Path

import pandas as pd

from fakeface.base import stage_output
from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import write_figures
from fakeface.detector.decision import load_cn
from fakeface.evaluation.external import TEST, external_headline, set_report
from fakeface.params import PROTOCOLS, load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        _, rule = load_cn("models/cn.safetensors")

        def scores(table: pd.DataFrame) -> dict[str, object]:
            return {name: table[f"score_{name}"].to_numpy() for name in PROTOCOLS}

        predictions = pd.read_csv("data/predictions.csv", dtype={"gan": str}, keep_default_na=False)
        sets = {name: scores(pd.read_csv(Path(f"reports/external/{name}.csv"))) for name in params.external}
        kinds = {name: settings.kind for name, settings in params.external.items()}
        reals = {TEST: scores(predictions[predictions["gan"] == ""])}
        reals |= {name: sets[name] for name in sets if kinds[name] == "real"}
        report = set_report(
            reals,
            {name: sets[name] for name in sets if kinds[name] == "fake"},
            rule.threshold,
            bootstrap=params.evaluate.bootstrap,
            seed=params.seed,
        )
        write_figures("external", params, report, external_headline(report))
        print(stage_output.external(report))
