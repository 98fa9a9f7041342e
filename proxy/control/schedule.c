#include "control/schedule.h"

#include <stdio.h>
#include "base/obj.h"

#define DAY_MIN 1440
#define WEEK    7

static bool refuse(char *err, size_t err_n, const char *text, struct str what)
{
	snprintf(err, err_n, "\"" STR_FMT "\" is not %s", (int)MIN(what.n, 64u), what.p, text);
	return false;
}

/* "09:30"; 24:00 is the end of the day. */
static bool parse_time(struct str s, uint16_t *min)
{
	size_t colon = str_find(s, ':');
	uint64_t h, m;

	if (!str_to_u64(str_head(s, colon), &h) || !str_to_u64(str_skip(s, colon + 1), &m) || m > 59 ||
		h * 60 + m > DAY_MIN || s.n > 5)
		return false;
	*min = (uint16_t)(h * 60 + m);
	return true;
}

static int parse_day(struct str s)
{
	static const char *const names[WEEK] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

	for (int i = 0; i < WEEK; i++)
		if (str_case_eq(s, str_of(names[i])))
			return i;
	return -1;
}

/* "fri" or "fri-mon": over the end of the week as well. */
static bool parse_days(struct str s, uint8_t *days)
{
	size_t dash = str_find(s, '-');
	int first = parse_day(str_head(s, dash)),
	    last = dash < s.n ? parse_day(str_skip(s, dash + 1)) : first;

	if (first < 0 || last < 0)
		return false;
	for (int d = first;; d = (d + 1) % WEEK) {
		*days |= (uint8_t)BIT(d);
		if (d == last)
			return true;
	}
}

/* "+02:00", "-0330", "utc". */
static bool parse_offset(struct str s, int16_t *offset)
{
	bool west = s.n && s.p[0] == '-';
	uint64_t h, m;

	if (str_case_eq(s, STR("utc")) || str_case_eq(s, STR("z")))
		return true;
	if (s.n < 5 || (!west && s.p[0] != '+'))
		return false;
	s = str_skip(s, 1);
	if (!str_to_u64(str_head(s, 2), &h) || !str_to_u64(str_skip(s, s.n - 2), &m) || h > 14 || m > 59 ||
		(s.n != 4 && !(s.n == 5 && s.p[2] == ':')))
		return false;
	*offset = (int16_t)((west ? -1 : 1) * (int)(h * 60 + m));
	return true;
}

bool schedule_parse(
	struct schedule *s, struct str between, struct str days, struct str tz, char *err, size_t err_n)
{
	struct str one;
	size_t dash = str_find(between, '-');

	*s = (struct schedule){0};
	if (!between.n && !days.n && !tz.n)
		return true;
	if (between.n && (!parse_time(str_head(between, dash), &s->from_min) ||
				 !parse_time(str_skip(between, dash + 1), &s->to_min)))
		return refuse(err, err_n, "a time of day: 09:00-17:00", between);
	while (str_next_element(&days, &one))
		if (!parse_days(one, &s->days))
			return refuse(err, err_n, "a list of days: mon-fri,sun", one);
	if (!s->days)
		s->days = BIT(WEEK) - 1;
	if (tz.n && !parse_offset(tz, &s->offset_min))
		return refuse(err, err_n, "an offset from UTC: +02:00", tz);
	return true;
}

/* Is it open at that minute of the week? Monday 0:00 local is 0. */
static bool open_at(const struct schedule *s, uint32_t minute)
{
	uint32_t day = minute / DAY_MIN, of_day = minute % DAY_MIN, before = (day + WEEK - 1) % WEEK;

	if (s->from_min == s->to_min)
		return s->days & BIT(day);
	if (s->from_min < s->to_min)
		return (s->days & BIT(day)) && of_day >= s->from_min && of_day < s->to_min;
	return of_day >= s->from_min ? (s->days & BIT(day)) != 0
				     : of_day < s->to_min && (s->days & BIT(before));
}

static uint32_t minute_of_week(const struct schedule *s, int64_t wall_s)
{
	/* 1970-01-01 was a Thursday. */
	int64_t min = wall_s / 60 + s->offset_min + 3 * DAY_MIN, week = WEEK * DAY_MIN;

	return (uint32_t)((min % week + week) % week);
}

bool schedule_open(const struct schedule *s, int64_t wall_s)
{
	return !s->days || open_at(s, minute_of_week(s, wall_s));
}

uint32_t schedule_opens_in(const struct schedule *s, int64_t wall_s)
{
	uint32_t now = minute_of_week(s, wall_s), n = 0;

	while (s->days && n < WEEK * DAY_MIN && !open_at(s, (now + n) % (WEEK * DAY_MIN)))
		n++;
	return n ? n * 60 - (uint32_t)(wall_s % 60) : 0;
}
