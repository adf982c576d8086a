/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The queue of frames that a program of ours in the kernel reads (bpf/send_state.h).
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

#include "host/linux/bpf/send_state.h"
#include "host/linux/linux.h"

int npf_send_queue_open(struct npf_send_queue *queue, const struct bpf_map *map)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *bytes;

	queue->size = (bpf_map__value_size(map) + page - 1) & ~(page - 1);
	bytes = mmap(NULL, queue->size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (bytes == MAP_FAILED)
		return -errno;
	queue->bytes = bytes;
	return 0;
}

void npf_send_queue_close(struct npf_send_queue *queue)
{
	if (queue->bytes)
		munmap(queue->bytes, queue->size);
}

uint32_t npf_send_queue_fill(struct npf_send_queue *queue, const struct npf_send_frame *frames,
			     uint32_t *n)
{
	uint32_t at = 0, longest = 0, i = 0;

	for (; i < *n; i++) {
		uint32_t size = (uint32_t)frames[i].size;
		struct npf_send_record *record = (void *)(queue->bytes + at);

		if (at + NPF_SEND_RECORD(size) > NPF_SEND_QUEUE)
			break;
		record->size = size;
		memcpy(record->data, frames[i].data, size);
		at += NPF_SEND_RECORD(size);
		longest = size > longest ? size : longest;
	}
	*n = i;
	return longest;
}
