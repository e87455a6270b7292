"""One HTML page with everything that was measured: python pipeline/report.py"""

from pathlib import Path

from fakeface.base.errors import one_line_errors
from fakeface.reporting.report import write_report

if __name__ == "__main__":
    with one_line_errors():
        write_report(Path(), Path("report.html"))
