"""From verified blobs to files: trees as values for images, directories on disk for environments."""
