"""What stands in other tools' files, as servers of a manifest."""
