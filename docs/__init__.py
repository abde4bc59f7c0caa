"""The documentation: pages in Markdown, and the code that fills their tables and checks their links."""
