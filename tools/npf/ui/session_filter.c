/* SPDX-License-Identifier: BSD-3-Clause */
/* See session_filter.h. */
#include "session_filter.h"

#include <errno.h>
#include <net/if.h>

#include "filter_text.h"

#define RET_K 0x06

/* To take all packets the kernel needs no program. Bytes of each, 0: it is not that. */
static uint32_t keeps_of_all(const struct npf_program *program)
{
	return program->length == 1 && program->insns->code == RET_K ? program->insns->k : 0;
}

int npf_session_filter(struct npf_session *session, const char *expression, uint32_t snaplen,
		       enum npf_direction direction)
{
	struct npf_compiled compiled;
	char error[NPF_ERROR_SIZE], told[NPF_ERROR_SIZE];
	uint32_t keep;
	int code = EXIT_OK;
	int err = npf_expression_compile(expression, session->adapter.link_type, snaplen, &compiled,
					 error);

	if (err)
		return npf_tool_fail(session->command, err == -EINVAL ? EXIT_USAGE : EXIT_FAILED,
				     "%s%s", npf_filter_wrong(expression, error, told),
				     if_nametoindex(expression) ? "; -i chooses an adapter" : "");
	if (npf_expression_restrict(&compiled, direction, error)) {
		code = npf_tool_fail(session->command, EXIT_FAILED, "%s", error);
		goto free_program;
	}
	keep = keeps_of_all(&compiled.program);
	err = keep ? npf_pass_unfiltered(session->instance, keep, NULL)
		   : npf_set_filter(session->instance, &compiled.program);
	if (err)
		code = npf_session_fail(session, err, "cannot install the filter");
free_program:
	npf_expression_free(&compiled);
	return code;
}
