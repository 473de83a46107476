"""One run as a report that a person can read and print: facts become one document, and the document becomes a page."""
