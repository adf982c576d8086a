/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Internet's checksums in a frame, put right after its bytes were changed.
 */
#ifndef NPF_CHECKSUM_H
#define NPF_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Put right those of IPv4, TCP, UDP, ICMP and ICMPv6, behind VLAN tags too. The lengths in the
 * headers are believed. False when there is nothing that could be put right: no IP, cut off, a
 * fragment, another protocol (IPv4's own checksum is put right all the same).
 */
bool npf_checksum_fix(uint32_t link_type, uint8_t *frame, size_t size);

#endif
