"""A server's network, where it is a list of hosts: what carries its connections, checks them and notes them down."""
