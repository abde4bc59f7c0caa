"""Every fault on every product, by both drivers, on the first, a middle and the last page: one table."""
