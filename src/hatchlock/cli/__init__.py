"""The command line: arguments in, text or JSON out. Imports only the standard library until a command needs more."""
