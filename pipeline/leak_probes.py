"""Probe the data for shortcuts between the classes; a leak is an error: python pipeline/leak_probes.py"""

from pathlib import Path

from fakeface.base.errors import one_line_errors
from fakeface.base.files import write_json
from fakeface.base.runtime import provenance
from fakeface.evaluation.leaks.probes import ProbedData, judge, passed, refuse_leaks, run_probes
from fakeface.params import load_params

METRICS = "metrics/leaks.json"

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        data = ProbedData.read(Path("data/raw"), Path("data/real"), Path("data/fake"), list(params.gans))
        figures = run_probes(params, data)
        findings = judge(figures, params.leaks.tolerance)
        # Before the verdict, so that the figures of a leak are there to be read.
        write_json(METRICS, provenance(params) | {"passed": passed(findings)} | figures)
        refuse_leaks(findings, METRICS)
