"""Rules of files: what each kind has to hold, as tables, and what of it has to agree."""
