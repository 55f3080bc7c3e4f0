"""Runs a program that cannot set SO_RCVBUF with sockets that have it. Arguments: BUFFER PROGRAM ARGUMENT...
SOCKETS in the environment says which of its files are sockets, not yet connected."""
import os
import socket
import sys

sockets = [socket.socket() for _ in range(2)]
for s in sockets:
    if int(sys.argv[1]):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(sys.argv[1]))
    s.set_inheritable(True)
os.environ["SOCKETS"] = " ".join(str(s.fileno()) for s in sockets)
os.execvp(sys.argv[2], sys.argv[2:])
