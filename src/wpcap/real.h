/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libpcap itself, loaded privately. We answer under its names and maybe under its file name, so it
 * is found by an absolute path that is not ours and loaded where our symbols do not hide its own.
 */
#ifndef NPF_WPCAP_REAL_H
#define NPF_WPCAP_REAL_H

#include <pcap.h>
#include <pcap/namedb.h>

/* name, and what a call answers when there is no libpcap: integer, pointer or nothing. */
#define REAL_FUNCTIONS(X)                                                                          \
	X(bpf_dump, integer)                                                                       \
	X(bpf_filter, integer)                                                                     \
	X(bpf_image, pointer)                                                                      \
	X(bpf_validate, nothing)                                                                   \
	X(pcap_activate, integer)                                                                  \
	X(pcap_breakloop, nothing)                                                                 \
	X(pcap_bufsize, integer)                                                                   \
	X(pcap_can_set_rfmon, integer)                                                             \
	X(pcap_close, nothing)                                                                     \
	X(pcap_compile, integer)                                                                   \
	X(pcap_compile_nopcap, integer)                                                            \
	X(pcap_create, pointer)                                                                    \
	X(pcap_datalink, integer)                                                                  \
	X(pcap_datalink_ext, integer)                                                              \
	X(pcap_datalink_name_to_val, integer)                                                      \
	X(pcap_datalink_val_to_description, pointer)                                               \
	X(pcap_datalink_val_to_description_or_dlt, pointer)                                        \
	X(pcap_datalink_val_to_name, pointer)                                                      \
	X(pcap_dispatch, integer)                                                                  \
	X(pcap_dump, nothing)                                                                      \
	X(pcap_dump_close, nothing)                                                                \
	X(pcap_dump_file, pointer)                                                                 \
	X(pcap_dump_flush, integer)                                                                \
	X(pcap_dump_fopen, pointer)                                                                \
	X(pcap_dump_ftell, integer)                                                                \
	X(pcap_dump_ftell64, integer)                                                              \
	X(pcap_dump_open, pointer)                                                                 \
	X(pcap_dump_open_append, pointer)                                                          \
	X(pcap_ether_aton, pointer)                                                                \
	X(pcap_ether_hostton, pointer)                                                             \
	X(pcap_file, pointer)                                                                      \
	X(pcap_fileno, integer)                                                                    \
	X(pcap_findalldevs, integer)                                                               \
	X(pcap_fopen_offline, pointer)                                                             \
	X(pcap_fopen_offline_with_tstamp_precision, pointer)                                       \
	X(pcap_free_datalinks, nothing)                                                            \
	X(pcap_free_tstamp_types, nothing)                                                         \
	X(pcap_freealldevs, nothing)                                                               \
	X(pcap_freecode, nothing)                                                                  \
	X(pcap_get_required_select_timeout, pointer)                                               \
	X(pcap_get_selectable_fd, integer)                                                         \
	X(pcap_get_tstamp_precision, integer)                                                      \
	X(pcap_geterr, pointer)                                                                    \
	X(pcap_getnonblock, integer)                                                               \
	X(pcap_init, integer)                                                                      \
	X(pcap_inject, integer)                                                                    \
	X(pcap_is_swapped, integer)                                                                \
	X(pcap_lib_version, pointer)                                                               \
	X(pcap_list_datalinks, integer)                                                            \
	X(pcap_list_tstamp_types, integer)                                                         \
	X(pcap_lookupdev, pointer)                                                                 \
	X(pcap_lookupnet, integer)                                                                 \
	X(pcap_loop, integer)                                                                      \
	X(pcap_major_version, integer)                                                             \
	X(pcap_minor_version, integer)                                                             \
	X(pcap_nametoaddr, pointer)                                                                \
	X(pcap_nametoaddrinfo, pointer)                                                            \
	X(pcap_nametoeproto, integer)                                                              \
	X(pcap_nametollc, integer)                                                                 \
	X(pcap_nametonetaddr, integer)                                                             \
	X(pcap_nametoport, nothing)                                                                \
	X(pcap_nametoportrange, nothing)                                                           \
	X(pcap_nametoproto, integer)                                                               \
	X(pcap_next, pointer)                                                                      \
	X(pcap_next_etherent, pointer)                                                             \
	X(pcap_next_ex, integer)                                                                   \
	X(pcap_offline_filter, nothing)                                                            \
	X(pcap_open_dead, pointer)                                                                 \
	X(pcap_open_dead_with_tstamp_precision, pointer)                                           \
	X(pcap_open_offline, pointer)                                                              \
	X(pcap_open_offline_with_tstamp_precision, pointer)                                        \
	X(pcap_perror, nothing)                                                                    \
	X(pcap_sendpacket, integer)                                                                \
	X(pcap_set_buffer_size, integer)                                                           \
	X(pcap_set_datalink, integer)                                                              \
	X(pcap_set_immediate_mode, integer)                                                        \
	X(pcap_set_promisc, integer)                                                               \
	X(pcap_set_protocol_linux, integer)                                                        \
	X(pcap_set_rfmon, integer)                                                                 \
	X(pcap_set_snaplen, integer)                                                               \
	X(pcap_set_timeout, integer)                                                               \
	X(pcap_set_tstamp_precision, integer)                                                      \
	X(pcap_set_tstamp_type, integer)                                                           \
	X(pcap_setdirection, integer)                                                              \
	X(pcap_setfilter, integer)                                                                 \
	X(pcap_setnonblock, integer)                                                               \
	X(pcap_snapshot, integer)                                                                  \
	X(pcap_stats, integer)                                                                     \
	X(pcap_statustostr, pointer)                                                               \
	X(pcap_strerror, pointer)                                                                  \
	X(pcap_tstamp_type_name_to_val, integer)                                                   \
	X(pcap_tstamp_type_val_to_description, pointer)                                            \
	X(pcap_tstamp_type_val_to_name, pointer)

struct real {
#define REAL_MEMBER(name, kind) __typeof__(name) *name;
	REAL_FUNCTIONS(REAL_MEMBER)
#undef REAL_MEMBER
};

/* Loaded on first use; never NULL: what is missing fails. */
extern const struct real *wpcap_real_loaded;
const struct real *wpcap_real_load(void);
static inline const struct real *wpcap_real(void)
{
	const struct real *loaded = __atomic_load_n(&wpcap_real_loaded, __ATOMIC_ACQUIRE);

	return loaded ? loaded : wpcap_real_load();
}
/* Is there a libpcap? Otherwise a sentence why not. */
const char *wpcap_real_missing(void);
#define REAL(name) (wpcap_real()->name)

#endif
