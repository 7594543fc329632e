"""Tagged texts as JSONL, CoNLL columns, lines of entities, coloured text and an HTML page."""
