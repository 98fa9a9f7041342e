/* Every kind of mistake, with its message to the letter. */
#include "base/obj.h"
#include "conf_text.h"

#define TOP_KEYS \
	"; known here: workers, user, state_dir, zone, cookie_secret, log, admin, listeners, timeouts, " \
	"limits, resolver, tenants, include, modules"

static void unknown_keys_get_the_nearest_one_suggested(void **state)
{
	(void)state;
	says(LISTEN "tenats: {}\n",
		"c.yaml:2:1: unknown key \"tenats\" at the top level; did you mean \"tenants\"?\n");
	says(LISTEN "zebra: {}\n", "c.yaml:2:1: unknown key \"zebra\" at the top level" TOP_KEYS "\n");
	says(ROUTES("      - {service: shop, redirect: {code: 301, to: /}}\n"),
		"c.yaml:7:19: a route has a \"service\" or a \"redirect\", not both\n"
		"c.yaml:7:36: unknown key \"code\" in redirect of route of tenant \"acme\"; known here: to, "
		"status\n");
	says(LISTEN "timeouts: {conect: 5s}\n",
		"c.yaml:2:12: unknown key \"conect\" in timeouts; did you mean \"connect\"?\n");
	says(SERVICE("pools: {\n green: {wieght: 1}}"),
		"c.yaml:4:9: warning: pool \"green\" has a weight but no backends\n"
		"c.yaml:4:10: unknown key \"wieght\" in pool \"green\"; did you mean \"weight\"?\n");
	says(SERVICE("health: {\n tcp: {}, rice: 3}," POOLS),
		"c.yaml:4:11: unknown key \"rice\" in health of service \"shop\"; did you mean \"rise\"?\n");
	says(LISTEN "<<: {}\n",
		"c.yaml:2:1: merge keys (\"<<\") are not supported; an alias can stand for a whole value\n");
}

static void every_error_is_listed_in_the_order_of_the_file(void **state)
{
	(void)state;
	says("workers: many\nlisteners: {a: {adress: x}}\nlimits: 5\ntenants: {t: {}}\n",
		"c.yaml:1:10: \"workers\" must be auto, or a number from 1 to 256, not \"many\"\n"
		"c.yaml:2:17: unknown key \"adress\" in listener \"a\"; did you mean \"address\"?\n"
		"c.yaml:3:9: \"limits\" must be a mapping, not \"5\"\n"
		"c.yaml:4:14: \"hosts\" is missing in tenant \"t\"\n");
}

static void a_misspelt_key_is_one_mistake_and_not_missing_as_well(void **state)
{
	(void)state;
	says("listners: {a: {address: \"127.0.0.1:1\"}}\n",
		"c.yaml:1:1: unknown key \"listners\" at the top level; did you mean \"listeners\"?\n");
	says(SERVICE("pols: {}"),
		"c.yaml:3:1: unknown key \"pols\" in service \"shop\"; did you mean \"pools\"?\n");
	says(SERVICE("pools: {a: {weight: 1, backends: []},\n b: {wieght: 1, bakends: [\"127.0.0.1:1\"]}}"),
		"c.yaml:4:6: unknown key \"wieght\" in pool \"b\"; did you mean \"weight\"?\n"
		"c.yaml:4:17: unknown key \"bakends\" in pool \"b\"; did you mean \"backends\"?\n");
	/* Another key that is unknown does not stand for it. */
	says(SERVICE("pools: {a: {weight: 1, backends: []},\n b: {zebra: 1, backends: []}}"),
		"c.yaml:4:2: pool \"b\" needs a \"weight\": with several pools, each says its share\n"
		"c.yaml:4:6: unknown key \"zebra\" in pool \"b\"; known here: weight, state, hosts, spill, "
		"backends, balance, stick, health, outlier, panic_threshold, retries, breaker, protocol, "
		"tls, "
		"proxy_protocol\n");
}

static void a_service_that_nobody_can_reach_is_worth_a_warning(void **state)
{
	(void)state;
	says(SERVICE("pools: {a: {weight: 0, backends: [\"127.0.0.1:1\"]}, b: {weight: 9, state: closed, "
		     "backends: "
		     "[\"127.0.0.1:2\"]}}"),
		"c.yaml:3:8: warning: no pool of service \"shop\" is open and has a weight above 0: all its "
		"requests "
		"fail\n");
	says(SERVICE("pools: {a: {weight: 0, backends: [\"127.0.0.1:1\"]}, b: {weight: 1, backends: "
		     "[\"127.0.0.1:2\"]}}"),
		"");
}

static void keys_written_twice_are_errors(void **state)
{
	(void)state;
	says(LISTEN "workers: 1\nworkers: 2\n",
		"c.yaml:3:1: \"workers\" is written twice at the top level\n");
	says(SERVICE("pools: {a: {weight: 0}, \n a: {weight: 0}}"),
		"c.yaml:4:2: \"a\" is written twice in \"pools\"; the first is on line 3\n");
	says(LISTEN "tenants:\n  a: {hosts: a}\n  a: {hosts: b}\n",
		"c.yaml:4:3: tenant \"a\" is there already (c.yaml:3:3)\n");
	says(LISTEN "tenants: {}\ntenants: {}\n",
		"c.yaml:3:1: \"tenants\" is written twice at the top level\n");
}

static void wrong_types_say_what_is_expected_and_what_was_found(void **state)
{
	(void)state;
	says(LISTEN "workers: [1]\n",
		"c.yaml:2:10: \"workers\" must be auto, or a number from 1 to 256, not a list\n");
	says(LISTEN "limits: {header_count: abc}\n",
		"c.yaml:2:24: \"header_count\" must be a whole number, not \"abc\"\n");
	says(LISTEN "limits: {header_count: {}}\n",
		"c.yaml:2:24: \"header_count\" must be a whole number, not a mapping\n");
	says(LISTEN "limits: {header_count: }\n",
		"c.yaml:2:24: \"header_count\" must be a whole number, not null\n");
	says(LISTEN "timeouts: [1]\n", "c.yaml:2:11: \"timeouts\" must be a mapping, not a list\n");
	says(LISTEN "tenants: [1]\n", "c.yaml:2:10: \"tenants\" must be a mapping of names, not a list\n");
	says(LISTEN "tenants: {a: b}\n", "c.yaml:2:14: tenant \"a\" must be a mapping, not \"b\"\n");
	says(LISTEN "modules: [geo]\n",
		"c.yaml:2:10: \"modules\" must be a mapping of module names to their configurations, not "
		"a list\n");
	says("listeners: {a: {address: \"127.0.0.1:1\", redirect_https: yes}}\n",
		"c.yaml:1:57: \"redirect_https\" must be true or false, not \"yes\"\n");
	says(ROUTES("      shop\n"), "c.yaml:7:7: \"routes\" must be a list, not \"shop\"\n");
	says(ROUTES("      - shop\n"),
		"c.yaml:7:9: an element of \"routes\" must be a mapping, not \"shop\"\n");
	says(SERVICE("pools: {a: {backends: [[]]}}"),
		"c.yaml:3:24: an element of \"backends\" must be a text or a mapping, not a list\n");
	says(SERVICE("tls: true, " POOLS), "c.yaml:3:6: \"tls\" must be a mapping, not \"true\"\n");
}

static void units_and_ranges_are_explained(void **state)
{
	(void)state;
	says(LISTEN "timeouts: {connect: 5}\n",
		"c.yaml:2:21: \"connect\" must be a duration such as 250ms, 5s, 2m or 1h, not \"5\"\n");
	says(LISTEN "timeouts: {connect: 1200h}\n",
		"c.yaml:2:21: \"connect\" must be at least 0s and less than 2^32, not \"1200h\"\n");
	says(LISTEN "limits: {body: 5 apples}\n",
		"c.yaml:2:16: \"body\" must be a size such as 512, 64KiB, 10MiB or 1MB, not \"5 apples\"\n");
	says(LISTEN "limits: {header_bytes: 2MiB}\n",
		"c.yaml:2:24: \"header_bytes\" must be between 1KiB and 1MiB, not \"2MiB\"\n");
	says(SERVICE("stick: {ttl: 1h}, " POOLS), "c.yaml:3:8: \"stick\" needs the name of a \"cookie\"\n");
	says(SERVICE("stick: {cookie: at, ttl: 1500ms}, " POOLS),
		"c.yaml:3:8: \"ttl\" of a cookie is in whole seconds\n");
	says(SERVICE("stick: {cookie: at, path: \"/a;b\"}, " POOLS),
		"c.yaml:3:27: \"path\" must be a path such as /app, without spaces and semicolons, not "
		"\"/a;b\"\n");
	says(SERVICE("breaker: {adaptive: {min: 9, max: 3}}, " POOLS),
		"c.yaml:3:21: \"min\" of \"adaptive\", 9, is above its \"max\", 3\n");
	says(SERVICE("breaker: {adaptive: often}, " POOLS),
		"c.yaml:3:21: \"adaptive\" must be a mapping, not \"often\"\n");
	says(SERVICE("retries: {budget: 0.2}, " POOLS),
		"c.yaml:3:19: \"budget\" must be a share from 0% to 100% such as 20%, not \"0.2\"\n");
	says(SERVICE("retries: {attempts: 11}, " POOLS),
		"c.yaml:3:21: \"attempts\" must be between 0 and 10, not \"11\"\n");
	says(SERVICE("pools: {a: {weight: -1, backends: [\"127.0.0.1:1\"]}}"),
		"c.yaml:3:21: \"weight\" must be a whole number, not \"-1\"\n");
}

static void a_pool_is_a_mapping_and_nothing_else(void **state)
{
	(void)state;
	says(SERVICE("pools: {a: [\"127.0.0.1:1\"]}"),
		"c.yaml:3:12: pool \"a\" must be a mapping, not a list\n");
	says(SERVICE("pools: {a: [x, y]}"), "c.yaml:3:12: pool \"a\" must be a mapping, not a list\n");
	says(SERVICE("pools: {a: \"127.0.0.1:1\"}"),
		"c.yaml:3:12: pool \"a\" must be a mapping, not \"127.0.0.1:1\"\n");
	says(SERVICE("pools: {a: {weight: 1, backends: []}, b: [x]}"),
		"c.yaml:3:42: pool \"b\" must be a mapping, not a list\n");
}

static void words_of_a_set_are_listed_and_the_nearest_is_suggested(void **state)
{
	(void)state;
	says(LISTEN "log: {access: {format: jsn}}\n",
		"c.yaml:2:24: \"format\" must be one of off, json, combined, logfmt, not "
		"\"jsn\"; did you mean \"json\"?\n");
	says(LISTEN "log: {events: {level: loud}}\n",
		"c.yaml:2:23: \"level\" must be one of debug, info, warning, error, not \"loud\"\n");
	says(SERVICE("balance: robin, " POOLS),
		"c.yaml:3:10: \"balance\" must be one of round_robin, least_request, random, hash, "
		"ewma, not \"robin\"\n");
	says(SERVICE("balance: {hash: {}}, " POOLS),
		"c.yaml:3:10: \"balance\" must be round_robin, least_request, random, ewma, hash, {hash: "
		"{header: NAME}}, {hash: {cookie: NAME}} or {hash: {path: true}}, not a mapping\n");
	says(SERVICE("balance: {hash: {path: false}}, " POOLS),
		"c.yaml:3:10: \"balance\" must be round_robin, least_request, random, ewma, hash, {hash: "
		"{header: NAME}}, {hash: {cookie: NAME}} or {hash: {path: true}}, not a mapping\n");
	says(SERVICE("split: {sticky: header}, " POOLS),
		"c.yaml:3:17: \"sticky\" must be none, cookie, ip or header:NAME, not \"header\"\n");
	says(SERVICE("retries: {on: [never]}, " POOLS),
		"c.yaml:3:16: \"on\" must be a list of connect, reset, refused_stream, 502, 503, 504 and "
		"timeout, not "
		"\"never\"\n");
}

static void addresses_are_numbers_unless_they_say_dns(void **state)
{
	(void)state;
	says("listeners: {a: {address: \"localhost:80\"}}\n",
		"c.yaml:1:26: \"address\" must be an address and port such as 0.0.0.0:8080 or [::]:8443, or "
		"unix:PATH, not "
		"\"localhost:80\"\n");
	says(SERVICE("pools: {a: {backends: [\"app:80\"]}}"),
		"c.yaml:3:24: \"address\": \"app:80\" has a name that has to be resolved: write "
		"dns:NAME:PORT\n");
	says(SERVICE("pools: {a: {backends: [\"10.0.0.1\"]}}"),
		"c.yaml:3:24: \"address\": \"10.0.0.1\" is not an address and port such as 10.0.0.1:8080 or "
		"[fd00::1]:8080, dns:NAME:PORT, srv:NAME, file:PATH or unix:PATH\n");
	says(SERVICE("pools: {a: {backends: [\"10.0.0.1:0\"]}}"),
		"c.yaml:3:24: \"address\": \"10.0.0.1:0\" has port 0: nobody can be reached there\n");
	says(SERVICE("pools: {a: {backends: [\"10.0.0.1:1\", \"10.0.0.1:1\"]}}"),
		"c.yaml:3:38: backend 10.0.0.1:1 is listed twice\n");
	says("listeners: {a: {address: \"127.0.0.1:1\", trusted_proxies: [10.0.0.0/33]}}\n",
		"c.yaml:1:59: an element of \"trusted_proxies\" must be an address or a network such as "
		"10.0.0.0/8, not "
		"\"10.0.0.0/33\"\n");
}

static void listeners_must_make_sense(void **state)
{
	(void)state;
	says("workers: 1\n", "c.yaml:1:1: \"listeners\" is missing at the top level\n");
	says("listeners:\n  a: {address: \"127.0.0.1:1\"}\n  b: {address: \"127.0.0.1:1\"}\n",
		"c.yaml:3:3: listener \"b\" has the address of listener \"a\", 127.0.0.1:1\n");
	says("listeners: {a: {address: \"127.0.0.1:1\", tls: {}}}\n",
		"c.yaml:1:46: TLS needs a certificate: \"certificates\" or \"directory\"\n");
	says("listeners: {a: {address: \"127.0.0.1:1\", tls: {directory: /}, redirect_https: true}}\n",
		"c.yaml:1:78: \"redirect_https\" is for plain listeners; this one has \"tls\" already\n");
	says("listeners: {a: {address: \"127.0.0.1:1\", hsts: max-age=1}}\n",
		"c.yaml:1:47: \"hsts\" is for TLS listeners; browsers ignore it elsewhere\n");
	says("listeners: {a: {address: \"127.0.0.1:1\", proxy_protocol: true}}\n",
		"c.yaml:1:57: \"proxy_protocol\" needs \"trusted_proxies\": without them nobody may "
		"connect\n");
	says("listeners: {a: {address: \"127.0.0.1:1\", tls: {certificates: [{cert: /nowhere/c.pem, key: "
	     "/nowhere/k.pem}]}}}\n",
		"c.yaml:1:69: cannot read /nowhere/c.pem: No such file or directory\n"
		"c.yaml:1:90: cannot read /nowhere/k.pem: No such file or directory\n");
	says("listeners: {\"a b\": {address: \"127.0.0.1:1\"}}\n",
		"c.yaml:1:13: the name of a listener must be up to 63 letters, digits, '.', '_' and '-', "
		"beginning with a letter "
		"or digit, not \"a b\"\n");
}

static void judges_are_told_by_scheme_host_and_port_alone(void **state)
{
	static const char *const wrong[] = {"http://judge/verdicts", "http://judge/", "ftp://judge", "judge",
		"http://", "http://somebody@judge", "http://judge?x", "http://a b"};
	char text[256], says_so[256];

	(void)state;
	says(LISTEN "admin: {judges: [\"http://judge:8080\", \"https://judge.internal\"]}\n", "");
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		snprintf(text, sizeof(text), LISTEN "admin: {judges: [\"%s\"]}\n", wrong[i]);
		snprintf(says_so, sizeof(says_so),
			"c.yaml:2:18: an element of \"judges\" must be a URL without a path, such as "
			"http://judge.internal:8080, not "
			"\"%s\"\n",
			wrong[i]);
		says(text, says_so);
	}
}

static void admin_stays_at_home_without_tls_and_tokens(void **state)
{
	(void)state;
	says(LISTEN "admin: {listen: \"0.0.0.0:9900\"}\n",
		"c.yaml:2:17: \"listen\" reaches beyond loopback: that needs \"tls\" and at least one of "
		"\"tokens\"\n");
	says(LISTEN "admin: {listen: \"127.0.0.1:9900\"}\n", "");
	says(LISTEN "admin: {tokens: [{name: x, sha256: hunter2}]}\n",
		"c.yaml:2:36: \"sha256\" must be the token's SHA-256 in 64 hexadecimal digits\n");
	says("listeners: {a: {address: \"127.0.0.1:1\"}}\nadmin: {listen: \"127.0.0.1:1\"}\n",
		"c.yaml:1:13: listener \"a\" has the address of \"admin\", 127.0.0.1:1\n");
	says(LISTEN "admin: {tokens: [{name: x}]}\n",
		"c.yaml:2:18: a token has either \"sha256\" or \"subject\"\n");
	says(LISTEN "admin: {listen: \"127.0.0.1:9900\", tokens: [{name: x, subject: CN=x}]}\n",
		"c.yaml:2:8: a token with a \"subject\" needs \"client_ca\" in \"tls\"\n");
}

static void a_cookie_secret_is_long_enough_and_is_not_told(void **state)
{
	(void)state;
	says(LISTEN "cookie_secret: hunter2\n", "c.yaml:2:16: a \"cookie_secret\" needs at least 16 "
						"characters, such as those of: openssl rand -hex "
						"32\n");
	says(LISTEN "cookie_secret: [\"\", 0123456789abcdef, short]\n",
		"c.yaml:2:39: a \"cookie_secret\" needs at least 16 characters, such as those of: openssl "
		"rand -hex "
		"32\n");
}

static void a_host_of_a_pool_is_the_tenants_and_stands_for_it_alone(void **state)
{
	(void)state;
	says(SERVICE("pools: {a: {weight: 1, backends: [\"127.0.0.1:1\"], hosts: [b.test]}}"),
		"c.yaml:3:58: host \"b.test\" of pool \"a\" is none of tenant \"acme\": list it there as "
		"well\n");
	says(SERVICE("pools: {a: {weight: 1, backends: [\"127.0.0.1:1\"], hosts: [a.test, A.test]}}"),
		"c.yaml:3:58: host \"a.test\" stands for pool \"a\" already\n");
	says(SERVICE("pools: {a: {weight: 1, backends: [\"127.0.0.1:1\"], hosts: \"*.test\"}}"),
		"c.yaml:3:58: \"*.test\" cannot stand for one pool: write the whole host\n");
}

static void hosts_are_checked_and_belong_to_one_tenant(void **state)
{
	(void)state;
	says(LISTEN "tenants:\n  a: {hosts: [A.test]}\n  b: {hosts: [a.test]}\n",
		"c.yaml:4:15: host \"a.test\" belongs to tenant \"a\" already (c.yaml:3:15)\n");
	says(LISTEN "tenants: {a: {hosts: [a.test, A.TEST]}}\n",
		"c.yaml:2:31: host \"a.test\" is listed twice\n");
	says(LISTEN "tenants: {a: {hosts: []}}\n", "c.yaml:2:22: a tenant needs at least one host\n");
	says(LISTEN "tenants: {a: {hosts: [\"a.test:80\"]}}\n",
		"c.yaml:2:23: \"a.test:80\" is no host: a host is written without a scheme and a port\n");
	says(LISTEN "tenants: {a: {hosts: [a.test.]}}\n",
		"c.yaml:2:23: \"a.test.\" is no host: a host is written without a dot at its end\n");
	says(LISTEN "tenants: {a: {hosts: [\"b\xc3\xbc"
		    "cher.test\"]}}\n",
		"c.yaml:2:23: \"b\xc3\xbc"
		"cher.test\" is no host: a host with other letters than ASCII's is written in its xn-- "
		"form\n");
	says(LISTEN "tenants: {a: {hosts: [\"a.*.test\"]}}\n",
		"c.yaml:2:23: \"a.*.test\" is no host: a host is a name such as shop.example.com, "
		"*.example.com, * or an IP "
		"address\n");
}

static void services_need_pools_and_pools_a_share(void **state)
{
	(void)state;
	says(SERVICE(""), "c.yaml:2:52: \"pools\" is missing in service \"shop\"\n");
	says(SERVICE("pools: {}"), "c.yaml:3:8: service \"shop\" needs at least one pool\n");
	says(SERVICE("pools: {blue: {weight: 0}, green: {}}"),
		"c.yaml:3:28: pool \"green\" needs a \"weight\": with several pools, each says its share\n"
		"c.yaml:3:35: warning: pool \"green\" has a weight but no backends\n");
	says(SERVICE("pools: {a/b: {weight: 0}}"), "c.yaml:3:9: the name of a pool must be up to 63 letters, "
						   "digits, '.', '_' and '-', beginning with a letter or "
						   "digit, not \"a/b\"\n");
}

static void what_policies_say_must_fit_together(void **state)
{
	(void)state;
	says(SERVICE("protocol: h2, " POOLS),
		"c.yaml:2:52: \"protocol: h2\" needs \"tls\"; HTTP/2 without TLS is \"h2c\"\n");
	says(SERVICE("protocol: h2c, pools: {a: {tls: {}, weight: 0}}"),
		"c.yaml:3:27: \"protocol: h2c\" is HTTP/2 without TLS, but \"tls\" is set; with TLS it is "
		"\"h2\"\n");
	says(SERVICE("tls: {cert: /dev/null}, " POOLS),
		"c.yaml:3:6: \"cert\" and \"key\" go together; \"key\" is missing\n");
	says(SERVICE("health: {interval: 1s}, " POOLS),
		"c.yaml:3:9: \"health\" needs one of http, tcp, tls and grpc\n");
	says(SERVICE("health: {tcp: , tls: }, " POOLS),
		"c.yaml:3:17: \"health\" has one of http, tcp, tls and grpc; \"tcp\" stands on line 3 "
		"already\n");
	says(SERVICE("health: {http: {status: 399-200}}, " POOLS),
		"c.yaml:3:25: \"status\" must be statuses such as 200-399 or 200,204, not \"399-200\"\n");
	says(SERVICE("health: {http: {headers: {Host: a.test}}}, " POOLS),
		"c.yaml:3:27: a name in \"headers\" must be a header name, and none that weir writes itself "
		"(Host, "
		"Content-Length, Connection and the like), not \"Host\"\n");
}

#define TWINS(a, b) ROUTES("      - {service: shop, " a "}\n      - {" b ", service: shop}\n")

static void no_two_routes_are_for_the_same_requests(void **state)
{
	const char *twin = "c.yaml:8:9: this route is for the same requests as that of line 7; one of the "
			   "two would never be used\n";

	(void)state;
	says(TWINS("path: /a", "path: /a"), twin);
	says(TWINS("path: /a", "path: /a/"), twin);
	says(TWINS("exact: /a", "exact: /a"), twin);
	says(TWINS("regex: /a+", "regex: /a+"), twin);
	says(TWINS("methods: [GET, PUT]", "path: /, methods: [PUT, GET]"), twin);
	says(TWINS("headers: {X-A: a, X-B: {present: true}}",
		     "headers: {x-b: {present: true}, x-a: {exact: a}}"),
		twin);
	says(TWINS("query: {a: {regex: x}}", "query: {a: {regex: x}}"), twin);
	says(TWINS("path: /a, hosts: A.test", "path: /a, hosts: a.test"), twin);
	says(TWINS("path: /a, hosts: [a.test, a.test]", "path: /a"), "");
	says(TWINS("path: /a, hosts: a.test", "path: /a, hosts: a.test, methods: GET"), "");
	says(TWINS("path: /a", "exact: /a"), "");
	says(TWINS("exact: /a", "exact: /a/"), "");
	says(TWINS("path: /a", "path: /a, methods: GET"), "");
	says(TWINS("path: /a, methods: [GET, PUT]", "path: /a, methods: GET"), "");
	says(TWINS("path: /a", "path: /a, hosts: a.test"), "");
	says(TWINS("headers: {X-A: a}", "headers: {X-A: b}"), "");
	says(TWINS("headers: {X-A: a}", "headers: {X-A: {regex: a}}"), "");
	says(TWINS("query: {a: x}", "query: {A: x}"), "");
}

static void routes_lead_somewhere(void **state)
{
	(void)state;
	says(ROUTES("      - {path: /, service: shp}\n"),
		"c.yaml:7:28: tenant \"acme\" has no service \"shp\"; did you mean \"shop\"?\n");
	says(ROUTES("      - {path: /}\n"), "c.yaml:7:9: a route needs a \"service\", a \"redirect\", or a "
					    "module that answers, such as respond\n");
	says(ROUTES("      - {service: shop, redirect: {to: /}}\n"),
		"c.yaml:7:19: a route has a \"service\" or a \"redirect\", not both\n");
	says(ROUTES("      - {redirect: {to: there}}\n"),
		"c.yaml:7:25: \"to\" must be a path that begins with /, or an http:// or https:// URL, not "
		"\"there\"\n");
	says(ROUTES("      - {redirect: {to: $(header.x)}}\n"),
		"c.yaml:7:25: \"to\" must be a path that begins with /, or an http:// or https:// URL, not "
		"\"$(header.x)\"\n");
	says(ROUTES("      - {redirect: {to: /$(request.pth)}}\n"),
		"c.yaml:7:25: \"/$(request.pth)\" in \"to\": there is no variable $(request.pth); did you "
		"mean "
		"$(request.path)?\n");
	says(ROUTES("      - {path: /a, redirect: {to: /$(1)}}\n"),
		"c.yaml:7:9: $(0) to $(9) in a redirect are what the route's \"regex\" captures, and it has "
		"none\n");
	says(ROUTES("      - {redirect: {status: 200}}\n"),
		"c.yaml:7:20: \"to\" is missing in redirect of route of tenant \"acme\"\n"
		"c.yaml:7:29: \"status\" must be 301, 302, 303, 307 or 308, not "
		"\"200\"\n");
	says(ROUTES("      - {service: shop, hosts: c.test}\n"),
		"c.yaml:7:9: host \"c.test\" of this route is none of tenant \"acme\"\n");
	says(LISTEN "tenants: {a: {hosts: a, services: {x: {" POOLS "}, y: {" POOLS "}}}}\n",
		"c.yaml:2:14: tenant \"a\" has several services and no \"routes\" that say which gets "
		"what\n");
}

static void route_conditions_are_checked(void **state)
{
	(void)state;
	says(ROUTES("      - {path: api, service: shop}\n"),
		"c.yaml:7:16: \"path\" must be the path of a URL: it begins with /, has no ? or #, and other "
		"characters are "
		"%-encoded, not \"api\"\n");
	says(ROUTES("      - {path: /a, exact: /b, service: shop}\n"),
		"c.yaml:7:20: a route has one of path, exact and regex; \"path\" stands on line 7 already\n");
	says(ROUTES("      - {regex: '\\x{100}', service: shop}\n"),
		"c.yaml:7:17: the regular expression \"\\x{100}\" is broken at character 7: character code "
		"point value in \\x{} or \\o{} is too large\n");
	says(ROUTES("      - {regex: \"a(b\", service: shop}\n"),
		"c.yaml:7:17: the regular expression \"a(b\" is broken at character 4: missing closing "
		"parenthesis\n");
	says(ROUTES("      - {exact: /a, strip_prefix: true, service: shop}\n"),
		"c.yaml:7:35: \"strip_prefix\" is for routes with a \"path\"\n");
	says(ROUTES("      - {methods: [get], service: shop}\n"),
		"c.yaml:7:20: an element of \"methods\" must be an HTTP method in capital letters, and "
		"neither CONNECT nor TRACE, not \"get\"\n");
	says(ROUTES("      - {headers: {\"X A\": 1}, service: shop}\n"),
		"c.yaml:7:20: a name in \"headers\" must be an HTTP token: letters, digits and "
		"!#$%&'*+-.^_`|~, not \"X A\"\n");
	says(ROUTES("      - {headers: {X-A: {like: 1}}, service: shop}\n"),
		"c.yaml:7:25: \"X-A\" in \"headers\" must be a text, {exact: TEXT}, {regex: PATTERN} or "
		"{present: true}\n");
}

static void headers_that_weir_writes_are_left_alone(void **state)
{
#define OWN "a header name, and none that weir writes itself (Host, Content-Length, Connection and the like)"
	(void)state;
	says(ROUTES("      - {service: shop, request_headers: {set: {Host: x}}}\n"),
		"c.yaml:7:49: a name in \"set\" must be " OWN ", not \"Host\"; module rewrite changes what "
		"backends get: rewrite: {host: ...}\n");
	says(ROUTES("      - {service: shop, response_headers: {set: {Host: x}}}\n"),
		"c.yaml:7:50: a name in \"set\" must be " OWN ", not \"Host\"\n");
	says(ROUTES("      - {service: shop, request_headers: {remove: [transfer-encoding]}}\n"),
		"c.yaml:7:52: an element of \"remove\" must be " OWN ", not \"transfer-encoding\"\n");
	says(ROUTES("      - {service: shop, request_headers: {set: {X-A: \"b\\r\\nc: d\"}}}\n"),
		"c.yaml:7:54: \"X-A\" must be a header value: one line, without space at either end, not "
		"\"b??c: d\"\n");
	says(ROUTES("      - {service: shop, request_headers: {add: {X-A: b, x-a: c}}}\n"),
		"c.yaml:7:57: \"x-a\" is written twice in \"add\"\n");
}

static void references_to_the_environment_need_an_answer(void **state)
{
	(void)state;
	unsetenv("WEIR_T_UNSET");
	says(LISTEN "user: ${WEIR_T_UNSET}\n",
		"c.yaml:2:7: the environment has no WEIR_T_UNSET; ${WEIR_T_UNSET:-...} would give a "
		"default\n");
	/* Keys are not expanded. */
	says(LISTEN "\"${WEIR_T_UNSET}\": 1\n",
		"c.yaml:2:1: unknown key \"${WEIR_T_UNSET}\" at the top level" TOP_KEYS "\n");
}

static void broken_syntax_hides_no_error_before_it(void **state)
{
	(void)state;
	says("workrs: 1\nlimits: {body: x\n",
		"c.yaml:1:1: unknown key \"workrs\" at the top level; did you mean \"workers\"?\n"
		"c.yaml:3:1: not valid YAML: did not find expected ',' or '}', while parsing a flow mapping "
		"that began on line "
		"2\n");
}

static void messages_show_no_control_bytes_and_stay_short(void **state)
{
	(void)state;
	says(LISTEN "workers: \"\\e[31m\\n\"\n",
		"c.yaml:2:10: \"workers\" must be auto, or a number from 1 to 256, not \"?[31m?\"\n");
	says(LISTEN "workers: 0123456789012345678901234567890123456789012345678901234567890123456789\n",
		"c.yaml:2:10: \"workers\" must be auto, or a number from 1 to 256, not "
		"\"012345678901234567890123456789012345678901234567890123456789...\"\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_keys_get_the_nearest_one_suggested),
		cmocka_unit_test(every_error_is_listed_in_the_order_of_the_file),
		cmocka_unit_test(a_misspelt_key_is_one_mistake_and_not_missing_as_well),
		cmocka_unit_test(a_service_that_nobody_can_reach_is_worth_a_warning),
		cmocka_unit_test(keys_written_twice_are_errors),
		cmocka_unit_test(wrong_types_say_what_is_expected_and_what_was_found),
		cmocka_unit_test(units_and_ranges_are_explained),
		cmocka_unit_test(a_pool_is_a_mapping_and_nothing_else),
		cmocka_unit_test(words_of_a_set_are_listed_and_the_nearest_is_suggested),
		cmocka_unit_test(addresses_are_numbers_unless_they_say_dns),
		cmocka_unit_test(listeners_must_make_sense),
		cmocka_unit_test(judges_are_told_by_scheme_host_and_port_alone),
		cmocka_unit_test(admin_stays_at_home_without_tls_and_tokens),
		cmocka_unit_test(a_cookie_secret_is_long_enough_and_is_not_told),
		cmocka_unit_test(a_host_of_a_pool_is_the_tenants_and_stands_for_it_alone),
		cmocka_unit_test(hosts_are_checked_and_belong_to_one_tenant),
		cmocka_unit_test(services_need_pools_and_pools_a_share),
		cmocka_unit_test(what_policies_say_must_fit_together),
		cmocka_unit_test(no_two_routes_are_for_the_same_requests),
		cmocka_unit_test(routes_lead_somewhere),
		cmocka_unit_test(route_conditions_are_checked),
		cmocka_unit_test(headers_that_weir_writes_are_left_alone),
		cmocka_unit_test(references_to_the_environment_need_an_answer),
		cmocka_unit_test(broken_syntax_hides_no_error_before_it),
		cmocka_unit_test(messages_show_no_control_bytes_and_stay_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
