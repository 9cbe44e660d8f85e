"""The report on a study, as a document: one module for each part."""
