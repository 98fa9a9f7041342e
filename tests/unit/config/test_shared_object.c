/* config/shared_object.c: a file that ends before its segments do is found out, wherever it was cut. */
#include "unit.h"
#include <dlfcn.h>
#include <link.h>
#include <unistd.h>
#include "config/shared_object.h"

static char path[] = "/tmp/weir-unit-XXXXXX";
static char whole[1 << 22]; /* a shared object that is on every machine: cmocka's own */
static size_t whole_n, needed;

static int set_up(void **state)
{
	const ElfW(Ehdr) *head = (const void *)whole;
	const ElfW(Phdr) * segment;
	Dl_info info;
	FILE *f;

	(void)state;
	if (!dladdr((void *)(uintptr_t)_cmocka_run_group_tests, &info) || !(f = fopen(info.dli_fname, "r")))
		return -1;
	whole_n = fread(whole, 1, sizeof(whole), f);
	fclose(f);
	segment = (const void *)(whole + head->e_phoff);
	for (unsigned i = 0; i < head->e_phnum; i++)
		if (segment[i].p_type == PT_LOAD && segment[i].p_offset + segment[i].p_filesz > needed)
			needed = segment[i].p_offset + segment[i].p_filesz;
	close(mkstemp(path));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return unlink(path);
}

static bool is_whole(const char *bytes, size_t n, char err[256])
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	err[0] = '\0';
	return shared_object_is_whole(path, err, 256);
}

static void one_that_is_cut_anywhere_is_found_out(void **state)
{
	char err[256], says[64];

	(void)state;
	assert_true(needed > sizeof(ElfW(Ehdr)) && needed <= whole_n);
	assert_true(is_whole(whole, whole_n, err));
	assert_true(is_whole(whole, needed, err));
	for (size_t n = SELFMAG; n < needed; n = n < 1024 ? n + 1 : n + 997) {
		assert_false(is_whole(whole, n, err));
		snprintf(says, sizeof(says), "it ends after %zu bytes", n);
		assert_non_null(strstr(err, says));
	}
	assert_false(is_whole(whole, needed - 1, err));
}

/* Those are for the loader to judge, which says it better. */
static void what_is_no_shared_object_is_none_that_was_cut(void **state)
{
	char err[256];

	(void)state;
	assert_true(is_whole("", 0, err));
	assert_true(is_whole("\177EL", 3, err));
	assert_true(is_whole(
		"#!/bin/sh\necho of more bytes than an ELF header has, which are sixty-four\n", 70, err));
	assert_true(shared_object_is_whole("/nonexistent/module.so", err, sizeof(err)));
	assert_true(shared_object_is_whole("/tmp", err, sizeof(err)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_is_cut_anywhere_is_found_out),
		cmocka_unit_test(what_is_no_shared_object_is_none_that_was_cut),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
