"""conda packages and interpreters from channels. Solving and installing are py-rattler's, which comes with the extra `conda`."""
