"""Probe the data for shortcuts between the classes; a leak is an error: python pipeline/leak_probes.py"""

from pathlib import Path

from fakeface.base import stage_output
from fakeface.base.errors import one_line_errors
from fakeface.base.runtime import write_figures
from fakeface.data.image_sets import Folders, set_aside
from fakeface.evaluation.leaks import (
    ProbedData,
    judge,
    leaks_headline,
    passed,
    refuse_leaks,
    run_probes,
)
from fakeface.params import load_params

if __name__ == "__main__":
    with one_line_errors():
        params = load_params()
        set_aside(Folders().fake, params.gans)
        data = ProbedData.read(Path("data/raw"), Path("data/real"), Path("data/fake"), list(params.gans))
        figures = run_probes(params, data)
        findings = judge(figures, params.leaks.tolerance)
        # Before the verdict, so that the figures of a leak are there to be read.
        report = {"passed": passed(findings)} | figures
        write_figures("leaks", params, report, leaks_headline(report))
        print(stage_output.leaks(report))
        refuse_leaks(findings, "reports/leaks.json")
