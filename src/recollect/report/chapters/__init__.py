"""The chapters of the report, a folder each; `headline` is the page's first box."""
