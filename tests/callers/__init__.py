"""Other people's engines, with `sampan-oci` as their runtime."""
