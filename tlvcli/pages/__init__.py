"""Pages of HTML drawn from values: one file each, which needs neither network nor script."""
