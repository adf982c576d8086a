#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Packets that are known, for tcpdump.sh: packets | many FROM TO. From vb to va, a few the other way."""
import os
import socket
import struct
import sys

HERE = bytes.fromhex('02000000000a')
THERE = bytes.fromhex('02000000000b')


def checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ethernet(payload, kind=0x0800, to=HERE, source=THERE, tag=None):
    tags = b'' if tag is None else struct.pack('!HH', 0x8100, tag)
    return to + source + tags + struct.pack('!H', kind) + payload


def ip(payload, protocol, ttl=64):
    head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(payload), 7, 0, ttl, protocol, 0,
                       socket.inet_aton('192.0.2.2'), socket.inet_aton('192.0.2.1'))
    return head[:10] + struct.pack('!H', checksum(head)) + head[12:] + payload


def udp(port, data=b'known', ttl=64):
    return ip(struct.pack('!HHHH', 4000, port, 8 + len(data), 0) + data, 17, ttl)


def tcp(flags, number, data=b''):
    return ip(struct.pack('!HHIIBBHHH', 4000, 80, number, 0, 0x50, flags, 8192, 0, 0) + data, 6)


def icmp():
    body = struct.pack('!BBHHH', 8, 0, 0, 1, 2) + b'abcdefgh'
    return ip(body[:2] + struct.pack('!H', checksum(body)) + body[4:], 1)


def arp():
    return struct.pack('!HHBBH', 1, 0x0800, 6, 4, 1) + THERE + socket.inet_aton('192.0.2.2') + \
        bytes(6) + socket.inet_aton('192.0.2.1')


def ip6():
    address = socket.inet_pton(socket.AF_INET6, 'fe80::1')
    return struct.pack('!IHBB', 6 << 28, 8, 58, 255) + address + address + \
        struct.pack('!BBHHH', 128, 0, 0, 1, 1)


def inbound():
    yield ethernet(arp(), 0x0806, b'\xff' * 6)
    for number in range(6):
        yield ethernet(udp(53 + number, b'x' * (100 * number)))
        yield ethernet(udp(7, b'tagged'), tag=5 + (number & 1))
    yield ethernet(icmp())
    yield ethernet(ip6(), 0x86dd)
    yield ethernet(tcp(2, 100))
    yield ethernet(tcp(16, 101, b'GET / HTTP/1.0\r\n\r\n'))
    yield ethernet(tcp(17, 119))
    yield ethernet(udp(33434, ttl=1))
    for number in range(6):
        yield ethernet(udp(600 + number, bytes(range(256)) * 4))
    for number in range(3):
        yield ethernet(bytes([number]) * 50, 0x88b5)


def open_on(adapter):
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    opened.bind((adapter, 0))
    return opened


def packets():
    there, here = open_on('vb'), open_on('va')
    local = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    local.bind(('127.0.0.1', 4000))
    local.sendto(b'local', ('127.0.0.1', 9999))
    for frame in inbound():
        there.send(frame)
    for number in range(6):
        here.send(ethernet(udp(1000 + number, b'outbound'), to=THERE, source=HERE))
    there.send(ethernet(udp(9999, b'the end')))


def many():
    # What another CPU has in its backlog could be overtaken.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    there = open_on('vb')
    for number in range(int(sys.argv[2]), int(sys.argv[3])):
        there.send(ethernet(udp(number, struct.pack('!I', number) * 200)))


{'packets': packets, 'many': many}[sys.argv[1]]()
