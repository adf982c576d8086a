/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Installation of filters and of the classes of statistics mode. Programs are copied, the
 * copy is checked, the host swaps, and only then the old ones are freed. Filter and classes live in
 * one allocation: changing one makes a new set that takes the other over.
 */
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "driver/core.h"
#include "filter/filter.h"

/* What a set is made of. filter NULL accepts all. */
struct recipe {
	const struct npf_program *filter;
	uint32_t n_classes;
	const struct npf_program *classes[NPF_MAX_CLASSES];
	const struct npf_match *match;
};

static size_t recipe_size(const struct recipe *recipe)
{
	size_t n = recipe->filter ? recipe->filter->length : 0;

	for (uint32_t i = 0; i < recipe->n_classes; i++)
		n += recipe->classes[i]->length;
	return sizeof(struct npf_filters) + n * sizeof(struct npf_insn);
}

/* Copy a program to `at`; where the next one goes. */
static struct npf_insn *copy_program(struct npf_program *to, const struct npf_program *from,
				     struct npf_insn *at)
{
	*to = *from;
	to->insns = at;
	if (from->length)
		memcpy(at, from->insns, from->length * sizeof(*at));
	return at + from->length;
}

static struct npf_filters *cook(struct npf_host *host, const struct recipe *recipe)
{
	size_t size = recipe_size(recipe);
	struct npf_filters *filters = npf_alloc(host, size);

	if (!filters)
		return NULL;
	filters->size = size;

	struct npf_insn *at = filters->insns;

	if (recipe->filter) {
		at = copy_program(&filters->programs[0], recipe->filter, at);
		filters->set.filter = &filters->programs[0];
	}
	for (uint32_t i = 0; i < recipe->n_classes; i++) {
		at = copy_program(&filters->programs[1 + i], recipe->classes[i], at);
		filters->set.classes[i] = &filters->programs[1 + i];
	}
	filters->set.n_classes = recipe->n_classes;
	filters->set.match = recipe->match;
	return filters;
}

struct npf_filters *npf_filters_none(struct npf_host *host)
{
	const struct recipe recipe = { 0 };

	return cook(host, &recipe);
}

static void discard(struct npf_instance *instance, struct npf_filters *filters)
{
	npf_free(instance->host, filters, filters->size);
}

/* Give a checked set to the host and let go of the one before. */
static int swap(struct npf_instance *instance, struct npf_filters *filters)
{
	char error[NPF_ERROR_SIZE] = "";
	int err = instance->host->nic->set_filters(instance->nic, &filters->set, error);

	if (err)
		return error[0] ? npf_fail(instance, err, error)
				: npf_fail_host(instance, err, "installing the filter failed");
	discard(instance, instance->filters);
	instance->filters = filters;
	return 0;
}

int npf_install_match(struct npf_instance *instance, const struct npf_match *match)
{
	const struct npf_filter_set *old = &instance->filters->set;
	struct recipe recipe = { .filter = old->filter,
				 .n_classes = old->n_classes,
				 .match = match };
	struct npf_filters *filters;
	int err;

	memcpy(recipe.classes, old->classes, sizeof(recipe.classes));
	filters = cook(instance->host, &recipe);
	if (!filters)
		return npf_fail_host(instance, -ENOMEM, "installing the sets failed");
	err = swap(instance, filters);
	if (err)
		discard(instance, filters);
	return err;
}

/* ---- the filter ---------------------------------------------------------------------------- */

int npf_refuse_filter(struct npf_instance *instance, const char *reason)
{
	char sentence[NPF_ERROR_SIZE];
	struct npf_text text;

	npf_text_init(&text, sentence, sizeof(sentence));
	npf_text_add(&text, "the filter is refused: ");
	npf_text_add(&text, reason);
	return npf_fail(instance, -EINVAL, sentence);
}

static int check_filter(struct npf_instance *instance, const struct npf_filters *filters)
{
	char reason[NPF_ERROR_SIZE - 32] = "";

	if (!npf_filter_validate(filters->set.filter, reason, sizeof(reason)))
		return 0;
	return npf_refuse_filter(instance, reason);
}

/* What is in the buffer stays as it is. */
static int exchange(struct npf_instance *instance, const struct npf_program *program)
{
	const struct npf_filters *old = instance->filters;
	struct recipe recipe = { .filter = program,
				 .n_classes = old->set.n_classes,
				 .match = old->set.match };
	const char *misfit = npf_filter_misfit(program);
	int err;

	if (misfit)
		return npf_refuse_filter(instance, misfit);
	memcpy(recipe.classes, old->set.classes, sizeof(recipe.classes));

	struct npf_filters *filters = cook(instance->host, &recipe);

	if (!filters)
		return npf_fail_host(instance, -ENOMEM, "installing the filter failed");
	err = check_filter(instance, filters);
	if (!err)
		err = swap(instance, filters);
	if (err)
		discard(instance, filters);
	return err;
}

static void set_unfiltered(struct npf_instance *instance, uint32_t keep)
{
	instance->config.unfiltered = keep;
	npf_apply_config(instance);
}

int npf_install_filter(struct npf_instance *instance, const struct npf_program *program)
{
	int err = npf_check_no_batch(instance);

	if (!err)
		err = exchange(instance, program);
	if (err)
		return err;
	set_unfiltered(instance, 0);
	npf_reset(instance);
	npf_update_readiness(instance);
	return 0;
}

/* Records that no batch and no read has given yet. The tap works by the new rule by now, or a moment
 * later: those that it stores meanwhile count as well. */
static uint64_t not_given(const struct npf_instance *instance)
{
	struct npf_ring_totals totals;

	if (instance->dumping)
		return 0;
	npf_await_stores(instance);
	npf_ring_totals(&instance->view, &totals);
	return totals.captured - instance->walked;
}

int npf_exchange_filter(struct npf_instance *instance, const struct npf_program *program,
			uint64_t *earlier)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	npf_begin_control(instance);
	err = exchange(instance, program);
	if (!err && earlier)
		*earlier = not_given(instance);
	npf_end_control(instance);
	npf_stop_using_open_instance(instance);
	return err;
}

int npf_pass_unfiltered(struct npf_instance *instance, uint32_t keep, uint64_t *earlier)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	npf_begin_control(instance);
	set_unfiltered(instance, keep);
	if (earlier)
		*earlier = not_given(instance);
	npf_end_control(instance);
	npf_stop_using_open_instance(instance);
	return 0;
}

int npf_set_filter(struct npf_instance *instance, const struct npf_program *program)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	npf_begin_control(instance);
	err = npf_install_filter(instance, program);
	npf_end_control(instance);
	npf_stop_using_open_instance(instance);
	return err;
}

/* ---- classes ------------------------------------------------------------------------------- */

static bool name_ends(const char *name)
{
	for (size_t i = 0; i < NPF_NAME_SIZE; i++) {
		if (!name[i])
			return true;
	}
	return false;
}

static bool names_equal(const char *a, const char *b)
{
	for (size_t i = 0; i < NPF_NAME_SIZE; i++) {
		if (a[i] != b[i])
			return false;
		if (!a[i])
			return true;
	}
	return true;
}

/* "class 'name': reason". */
static int fail_class(struct npf_instance *instance, int err, const char *name, const char *reason)
{
	char sentence[NPF_ERROR_SIZE];
	struct npf_text text;

	npf_text_init(&text, sentence, sizeof(sentence));
	npf_text_add(&text, "class '");
	npf_text_add(&text, name);
	npf_text_add(&text, "': ");
	npf_text_add(&text, reason);
	return npf_fail(instance, err, sentence);
}

static int check_class_shape(struct npf_instance *instance, const struct npf_class *classes,
			     uint32_t i)
{
	const struct npf_program *program = &classes[i].program;
	const char *name = classes[i].name, *misfit;

	if (!name[0])
		return npf_fail_value(instance, -EINVAL, "class number ", i,
				      " has no name; give it one");
	if (!name_ends(name))
		return npf_fail_value(instance, -EINVAL, "the name of class number ", i,
				      " is longer than 31 bytes; shorten it");
	for (uint32_t k = 0; k < i; k++) {
		if (names_equal(classes[k].name, name))
			return fail_class(instance, -EINVAL, name,
					  "the name is there twice; choose another");
	}
	/* One without instructions counts all. */
	misfit = program->length ? npf_filter_misfit(program) : NULL;
	return misfit ? fail_class(instance, -EINVAL, name, misfit) : 0;
}

static int check_classes_shape(struct npf_instance *instance, const struct npf_class *classes,
			       uint32_t n)
{
	int err = 0;

	if (n > NPF_MAX_CLASSES)
		return npf_fail_value(instance, -EINVAL, "there are ", n,
				      " classes; at most 64 can be counted");
	if (n && !classes)
		return npf_fail(instance, -EINVAL, "there are no classes to read");
	for (uint32_t i = 0; i < n && !err; i++)
		err = check_class_shape(instance, classes, i);
	return err;
}

static int check_programs(struct npf_instance *instance, const struct npf_filters *filters,
			  const struct npf_class *classes)
{
	char reason[NPF_ERROR_SIZE / 2] = "";

	for (uint32_t i = 0; i < filters->set.n_classes; i++) {
		const struct npf_program *program = filters->set.classes[i];
		int err = program->length ? npf_filter_validate(program, reason, sizeof(reason))
					  : 0;

		if (err)
			return fail_class(instance, err, classes[i].name, reason);
	}
	return 0;
}

static int install_classes(struct npf_instance *instance, const struct npf_class *classes,
			   uint32_t n)
{
	struct recipe recipe = { .filter = instance->filters->set.filter,
				 .n_classes = n,
				 .match = instance->filters->set.match };
	int err = check_classes_shape(instance, classes, n);

	if (err)
		return err;
	for (uint32_t i = 0; i < n; i++)
		recipe.classes[i] = &classes[i].program;

	struct npf_filters *filters = cook(instance->host, &recipe);

	if (!filters)
		return npf_fail_host(instance, -ENOMEM, "installing the classes failed");
	err = check_programs(instance, filters, classes);
	if (!err)
		err = swap(instance, filters);
	if (err) {
		discard(instance, filters);
		return err;
	}
	instance->config.n_classes = n;
	npf_apply_config(instance);
	npf_monitor_restart(instance);
	npf_update_readiness(instance);
	return 0;
}

int npf_set_classes(struct npf_instance *instance, const struct npf_class *classes, uint32_t n)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	npf_begin_control(instance);
	err = install_classes(instance, classes, n);
	npf_end_control(instance);
	npf_stop_using_open_instance(instance);
	return err;
}
