/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The schedule of packets, and rates as people write them.
 */
#include "pace.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "tool.h"

#define SECOND    UINT64_C(1000000000)
#define MILLION   1000000u
#define MOST_RATE UINT64_C(1000000000000) /* 1T a second; a million times that fits into 64 bits */

/* ---- text ------------------------------------------------------------------------------------ */

/* As millionths; a rate is above zero. Moves *text behind it. */
static bool take_decimal(const char **text, uint64_t *millionths)
{
	struct npf_decimal decimal;

	if (!npf_take_decimal(text, &decimal) || decimal.whole > MOST_RATE)
		return false;
	*millionths = decimal.whole * MILLION + decimal.millionths;
	return *millionths && *millionths <= MOST_RATE * MILLION;
}

bool npf_parse_decimal(const char *text, uint64_t *millionths)
{
	uint64_t value;

	if (!take_decimal(&text, &value) || *text)
		return false;
	*millionths = value;
	return true;
}

bool npf_rate_in_bytes(const char *text)
{
	const char *b = strchr(text, 'B');

	return b && strncasecmp(b, "bit", 3) != 0;
}

bool npf_parse_rate(const char *text, struct npf_pace *pace)
{
	static const struct {
		const char *unit;
		enum npf_pace_kind kind;
	} units[] = {
		{ "", NPF_PACE_PACKETS }, { "pps", NPF_PACE_PACKETS }, { "p/s", NPF_PACE_PACKETS },
		{ "bps", NPF_PACE_BITS }, { "bit/s", NPF_PACE_BITS },  { "bit", NPF_PACE_BITS },
	};
	uint64_t millionths;

	if (!take_decimal(&text, &millionths) || npf_rate_in_bytes(text))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcasecmp(text, units[i].unit))
			continue;
		*pace = (struct npf_pace){ units[i].kind, millionths };
		return true;
	}
	return false;
}

/* ---- times ----------------------------------------------------------------------------------- */

uint64_t npf_time_add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

uint64_t npf_time_of(uint64_t seconds, uint64_t ns)
{
	return npf_time_add(seconds > UINT64_MAX / SECOND ? UINT64_MAX : seconds * SECOND, ns);
}

uint64_t npf_plan_until(uint64_t now)
{
	return npf_time_add(now, NPF_PLAN_NS);
}

uint64_t npf_plan_again(uint64_t now)
{
	return npf_time_add(now, NPF_PLAN_NS / 2);
}

/* ---- schedule -------------------------------------------------------------------------------- */

void npf_schedule_init(struct npf_schedule *schedule, struct npf_pace pace)
{
	*schedule = (struct npf_schedule){ .pace = pace };
}

/* n * factor / divisor without loss; the greatest number when it does not fit. */
static uint64_t scale(uint64_t n, uint64_t factor, uint64_t divisor)
{
	unsigned __int128 result = (unsigned __int128)n * factor / divisor;

	return result > UINT64_MAX ? UINT64_MAX : (uint64_t)result;
}

static uint64_t recorded(struct npf_schedule *schedule, uint64_t time)
{
	if (!schedule->taken++)
		schedule->first = schedule->last = time;
	if (time < schedule->last)
		schedule->backwards++;
	else
		schedule->last = time;
	return scale(npf_time_add(schedule->before, schedule->last - schedule->first), MILLION,
		     schedule->pace.millionths);
}

void npf_schedule_pass(struct npf_schedule *schedule)
{
	uint64_t span = schedule->last - schedule->first;

	if (schedule->taken > 1)
		schedule->before = npf_time_add(schedule->before,
						npf_time_add(span, span / (schedule->taken - 1)));
	schedule->taken = 0;
}

uint64_t npf_schedule_next(struct npf_schedule *schedule, uint64_t time, uint32_t length)
{
	uint64_t due = 0;

	switch (schedule->pace.kind) {
	case NPF_PACE_TOP:
		break;
	case NPF_PACE_PACKETS:
		due = scale(schedule->packets, SECOND * MILLION, schedule->pace.millionths);
		break;
	case NPF_PACE_BITS:
		due = scale(schedule->bits, SECOND * MILLION, schedule->pace.millionths);
		break;
	case NPF_PACE_RECORDED:
		due = recorded(schedule, time);
		break;
	}
	schedule->packets++;
	schedule->bits += (uint64_t)length * 8;
	return due;
}
