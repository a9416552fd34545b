"""Writers of sysfs, and the record that undoes them."""
