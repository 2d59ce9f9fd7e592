"""The standards as data, each table naming its source."""
