"""The report as one HTML file that needs nothing else: no script, no picture, no font from elsewhere."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from coordinator.report.document import Report


def as_html(report: Report) -> bytes:
    """UTF-8; every value is escaped by the template engine, whatever it is."""
    environment = Environment(
        loader=PackageLoader("coordinator.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(report=report.as_data())
    return page.encode()
