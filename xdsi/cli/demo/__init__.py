"""The demonstration: two hospitals, their studies, and a whole affinity domain on one machine."""
