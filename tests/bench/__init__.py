"""`make bench`: what a session costs and how late it is, as one table. docs/performance.md says how to read it."""
