"""The providers' dialects, one file for each surface. Pure: bytes in, facts and bytes out."""
