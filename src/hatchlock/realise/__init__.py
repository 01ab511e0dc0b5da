"""From verified blobs to a tree of files: pure, without a disk in between."""
