"""Commands of `ksmrun wrap`."""
