"""Running processes made to set or clear their own merge flag."""
