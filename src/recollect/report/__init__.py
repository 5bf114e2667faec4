"""The report: one self-contained HTML page with its charts, and the results behind it as JSON and tables."""

from recollect.report.chapters.attributes.charts import attribute_rows as attribute_rows
from recollect.report.chapters.attributes.collect import AskedPages as AskedPages
from recollect.report.chapters.attributes.collect import collect_attributes as collect_attributes
from recollect.report.chapters.attributes.collect import has_page_scores as has_page_scores
from recollect.report.chapters.attributes.record import Attributes as Attributes
from recollect.report.chapters.attributes.record import AttributeSystem as AttributeSystem
from recollect.report.chapters.elicits.verdict import verdict as verdict
from recollect.report.chapters.findings.words import counts_line as counts_line
from recollect.report.chapters.findings.words import finding_line as finding_line
from recollect.report.chapters.parts.record import Parts as Parts
from recollect.report.data.page import write_data_page as write_data_page
from recollect.report.page.results import Results as Results
from recollect.report.results.collect import collect_results as collect_results
from recollect.report.results.collect import report_results as report_results
from recollect.report.results.read import RESULTS_FILE as RESULTS_FILE
from recollect.report.results.read import make_results as make_results
from recollect.report.results.read import read_results as read_results
from recollect.report.results.write import render as render
from recollect.report.results.write import write_report as write_report
from recollect.report.scores.findings import Findings as Findings
from recollect.report.scores.record import Trained as Trained
