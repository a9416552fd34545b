"""Make running processes set or clear their own merge flag."""
