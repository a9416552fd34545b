"""Commands of `ksmrun host`."""
