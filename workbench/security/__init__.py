"""What keeps secrets out of records and code out of files: masking, loopback addresses, safe unpickling."""
