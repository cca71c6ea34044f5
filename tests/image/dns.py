"""A name server on 127.0.0.1 that knows one name: console.phase.test is 127.0.0.1."""

import socket
import struct

KNOWN = b"\x07console\x05phase\x04test\x00"

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
while True:
    query, client = server.recvfrom(4096)
    end = query.index(b"\x00", 12) + 1
    name, (kind,) = query[12:end].lower(), struct.unpack(">H", query[end : end + 2])
    answer = b""
    if name == KNOWN and kind == 1:  # A
        answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + socket.inet_aton("127.0.0.1")
    code = 0x8180 if name == KNOWN else 0x8183  # an answer, or no such name
    header = query[:2] + struct.pack(">HHHHH", code, 1, 1 if answer else 0, 0, 0)
    server.sendto(header + query[12 : end + 4] + answer, client)
