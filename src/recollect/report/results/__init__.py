"""The results of a study: composed of the chapters' records, read from files of this and earlier schemas, written."""
