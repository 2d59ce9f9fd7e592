"""What the profiles speak of, as frozen values; standard library only."""
