#include "exchange/edit.h"

#include "base/obj.h"
#include "exchange/exchange.h"
#include "exchange/render.h"

static void rename_header(struct fields *fs, const struct conf_pair *r)
{
	uint16_t kept = 0;

	if (!fields_find_name(fs, r->name))
		return;
	for (uint16_t i = 0; i < fs->n; i++) {
		struct field f = fs->v[i];

		if (str_case_eq(field_name(&f), r->name)) {
			f.name = r->value.p;
			f.name_len = (uint16_t)r->value.n;
			f.id = (uint8_t)field_id_of(r->value);
			f.raw = false;
		} else if (str_case_eq(field_name(&f), r->value)) {
			continue;
		}
		fs->v[kept++] = f;
	}
	fs->n = kept;
}

static void add_header(struct exchange *x, struct fields *fs, const struct conf_header *h, struct str value)
{
	if (value.n || h->value.n == 0)
		fields_add(&x->arena, fs, field_id_of(h->name), h->name, value);
}

/* What the client's headers cannot say after this, its trailers cannot either. */
static void claim_trailers(struct exchange *x, const struct conf_headers *h)
{
	for (uint32_t i = 0; i < h->remove.n; i++)
		claim_trailer(x, h->remove.v[i]);
	for (uint32_t i = 0; i < h->rename_n; i++)
		claim_trailer(x, h->rename[i].value);
	for (uint32_t i = 0; i < h->set_n; i++)
		claim_trailer(x, h->set[i].name);
}

void headers_edit(struct exchange *x, struct head *head, const struct conf_headers *h, bool answer)
{
	struct fields *fs = &head->fields;
	struct render r;

	/* Most routes change nothing, and both heads of every request come by here. */
	if (h->remove.n + h->rename_n + h->set_n + h->add_n == 0)
		return;
	r = (struct render){.into = RENDER_HEADER, .answer = answer ? head : NULL};
	if (!answer)
		claim_trailers(x, h);
	for (uint32_t i = 0; i < h->remove.n; i++)
		fields_remove_name(fs, h->remove.v[i]);
	for (uint32_t i = 0; i < h->rename_n; i++)
		rename_header(fs, &h->rename[i]);
	for (uint32_t i = 0; i < h->set_n; i++) {
		/* Before the old one goes: the value may be made of it. */
		struct str value = render(x, &r, &h->set[i].value);

		fields_remove_name(fs, h->set[i].name);
		add_header(x, fs, &h->set[i], value);
	}
	for (uint32_t i = 0; i < h->add_n; i++)
		add_header(x, fs, &h->add[i], render(x, &r, &h->add[i].value));
}
