"""One module for each dialect of the providers. Pure: bytes in, facts and bytes out."""
