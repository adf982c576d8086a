#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Traffic that is known, for programs.sh: serve | talk."""
import socket
import struct
import sys
import threading

SERVER = '192.0.2.2'
BODY = b'known answer\n'
REPLY = b'HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n' % len(BODY) + BODY

# Whoever saw the answer saw everything.
LAST_QUESTION, LAST_ANSWER = b'hello, for the last time', b'the-end'


def serve_web():
    listener = socket.create_server((SERVER, 80))
    while True:
        peer, _ = listener.accept()
        if peer.recv(4096):
            peer.sendall(REPLY)
        peer.close()


def send_tagged():
    """Of IPv4, for protocol 253, which is nobody's."""
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    link.bind(('vb', 0))
    macs = bytes.fromhex('02000000000a02000000000b')
    for number in range(5):
        text = b'tagged %d' % number
        header = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(text), 0, 0, 64, 253, 0,
                             socket.inet_aton(SERVER), socket.inet_aton('192.0.2.1'))
        link.send(macs + struct.pack('!HHH', 0x8100, 7, 0x0800) + header + text)
    link.close()


def serve():
    echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    echo.bind((SERVER, 7))
    threading.Thread(target=serve_web, daemon=True).start()
    print('serving', flush=True)
    while True:
        data, peer = echo.recvfrom(4096)
        if data == LAST_QUESTION:
            send_tagged()
            data = LAST_ANSWER
        echo.sendto(data, peer)


def ask(text, answer=None):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(200)  # only a failure waits for it
    client.bind(('192.0.2.1', 4000))
    client.sendto(text, (SERVER, 7))
    assert client.recv(4096) == (answer or text)
    client.close()


def talk():
    for number in range(20):
        ask(b'hello %d ' % number + b'x' * 60 * number)
    client = socket.create_connection((SERVER, 80))
    client.sendall(b'GET /known HTTP/1.0\r\nHost: npf.example\r\n\r\n')
    said = b''
    while piece := client.recv(4096):
        said += piece
    assert said == REPLY
    client.close()
    ask(LAST_QUESTION, LAST_ANSWER)


{'serve': serve, 'talk': talk}[sys.argv[1]]()
