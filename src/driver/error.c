/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sentence that an instance keeps about its last failure.
 */
#include <errno.h>

#include "base/text.h"
#include "driver/core.h"

int npf_fail(struct npf_instance *instance, int err, const char *sentence)
{
	struct npf_text text;

	if (npf_lock_is_mine(&instance->error_lock)) /* a signal handler amid another sentence */
		return err;
	npf_lock_take(instance->host, &instance->error_lock);
	npf_text_init(&text, instance->error, sizeof(instance->error));
	npf_text_add(&text, sentence);
	npf_lock_release(instance->host, &instance->error_lock);
	return err;
}

int npf_fail_value(struct npf_instance *instance, int err, const char *before, uint64_t value,
		   const char *after)
{
	char sentence[NPF_ERROR_SIZE];
	struct npf_text text;

	npf_text_init(&text, sentence, sizeof(sentence));
	npf_text_add(&text, before);
	npf_text_add_unsigned(&text, value);
	npf_text_add(&text, after);
	return npf_fail(instance, err, sentence);
}

int npf_fail_hex(struct npf_instance *instance, int err, const char *before, uint32_t value,
		 const char *after)
{
	char sentence[NPF_ERROR_SIZE];
	struct npf_text text;

	npf_text_init(&text, sentence, sizeof(sentence));
	npf_text_add(&text, before);
	npf_text_add_hex(&text, value, 8);
	npf_text_add(&text, after);
	return npf_fail(instance, err, sentence);
}

/* What to do about an error that a host answers without a sentence; NULL: nothing is known. */
static const char *advice(int err)
{
	switch (-err) {
	case ENODEV:
		return "the adapter is gone; when it is back, open it anew";
	case ENETDOWN:
		return "the adapter is down or has no carrier; bring it up first";
	case ENOMEM:
		return "memory is short; close something or ask for less";
	case ENOBUFS:
		return "the adapter takes no more: its queue is full (send more slowly), or its "
		       "receiver takes none so long (compare the MTUs of both ends)";
	case EPERM:
	case EACCES:
		return "it is not permitted; run with the capabilities that npf doctor names";
	case ENOTSUP:
		return "this adapter or hook cannot do it; see npf doctor";
	case EMSGSIZE:
		return "the frame is longer than the adapter sends; shorten it or raise the MTU";
	case EBADF:
		return "it is not an open descriptor";
	default:
		return NULL;
	}
}

int npf_fail_host(struct npf_instance *instance, int err, const char *doing)
{
	char sentence[NPF_ERROR_SIZE];
	struct npf_text text;

	npf_text_init(&text, sentence, sizeof(sentence));
	npf_text_add_failure(&text, doing, advice(err), err);
	return npf_fail(instance, err, sentence);
}

const char *npf_error(const struct npf_instance *instance)
{
	return instance->error;
}
