"""Pure decisions: domain values in, Problems or a Decision out."""
