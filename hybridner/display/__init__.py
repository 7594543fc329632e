"""Output for people: console, tables, HTML, plots."""
