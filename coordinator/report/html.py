"""Renders a report as one HTML file without scripts, images or fonts from other files."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from coordinator.report.document import Report


def as_html(report: Report) -> bytes:
    """The page in UTF-8. The template engine escapes every value."""
    environment = Environment(
        loader=PackageLoader("coordinator.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(report=report.as_data())
    return page.encode()
